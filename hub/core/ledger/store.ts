/** All SQL of the ledger, with statements prepared once: this is the hot path, and the seam for another engine. */
import { present } from "../../../base/assert.ts";
import type { Currency } from "../../../base/money.ts";
import { type Reading, sql, type Within, wideSql } from "../../store/store.ts";
import type { Account, BalanceLimit, NewAccount, Transfer } from "./types.ts";

export type PendingState = "pending" | "posted" | "voided" | "expired";

/** By how much a transfer changes the two accounts: never anything but sums. */
export interface BalanceChange {
  readonly debitsPending: bigint;
  readonly debitsPosted: bigint;
  readonly creditsPending: bigint;
  readonly creditsPosted: bigint;
}

export interface LedgerStore {
  /**
   * Keeps the accounts that `work` uses in memory, and writes those that changed once, at its end. The caller undoes the
   * transaction if it throws.
   */
  batched<T>(within: Within, work: () => Promise<T>): Promise<T>;
  /** Undoes what `work` did when it throws, and throws on. */
  undoable<T>(within: Within, work: () => Promise<T>): Promise<T>;
  account(reading: Reading, id: string): Promise<Account | undefined>;
  insertAccount(within: Within, account: NewAccount, at: number): Promise<void>;
  transfer(reading: Reading, id: string): Promise<Transfer | undefined>;
  insertTransfer(within: Within, transfer: Omit<Transfer, "number">): Promise<void>;
  change(within: Within, accountId: string, change: BalanceChange): Promise<void>;
  pendingState(reading: Reading, id: string): Promise<PendingState | undefined>;
  insertPending(within: Within, id: string, expiresAt: number | undefined): Promise<void>;
  resolvePending(within: Within, id: string, state: Exclude<PendingState, "pending">): Promise<void>;
  /** Pending transfers due at `now`, oldest first. */
  due(reading: Reading, now: number, limit: number): Promise<readonly string[]>;
  hasFailed(reading: Reading, id: string): Promise<boolean>;
  markFailed(within: Within, id: string): Promise<void>;
  accounts(reading: Reading, after: string, limit: number): Promise<readonly Account[]>;
  transfers(reading: Reading, afterNumber: number, limit: number): Promise<readonly Transfer[]>;
  /** Transfers whose id starts with `prefix`, in the order in which they were made. */
  transfersUnder(reading: Reading, prefix: string, limit: number): Promise<readonly Transfer[]>;
}

interface AccountRow {
  readonly id: string;
  readonly currency: string;
  readonly code: bigint;
  readonly balance_limit: string;
  readonly debits_pending: bigint;
  readonly debits_posted: bigint;
  readonly credits_pending: bigint;
  readonly credits_posted: bigint;
  readonly created_at: bigint;
}

interface TransferRow {
  readonly number: bigint;
  readonly id: string;
  readonly kind: Transfer["kind"];
  readonly debit_account: string;
  readonly credit_account: string;
  readonly amount: bigint;
  readonly requested: bigint | null;
  readonly pending_id: string | null;
  readonly code: bigint;
  readonly linked: bigint;
  readonly balancing_debit: bigint;
  readonly timeout_ms: bigint | null;
  readonly created_at: bigint;
}

const toAccount = (row: AccountRow): Account => ({
  id: row.id,
  currency: row.currency as Currency,
  code: Number(row.code),
  limit: row.balance_limit as BalanceLimit,
  debitsPending: row.debits_pending,
  debitsPosted: row.debits_posted,
  creditsPending: row.credits_pending,
  creditsPosted: row.credits_posted,
  createdAt: Number(row.created_at),
});

const toTransfer = (row: TransferRow): Transfer => ({
  number: Number(row.number),
  id: row.id,
  kind: row.kind,
  debitAccount: row.debit_account,
  creditAccount: row.credit_account,
  amount: row.amount,
  ...(row.requested === null ? {} : { requested: row.requested }),
  ...(row.pending_id === null ? {} : { pendingId: row.pending_id }),
  code: Number(row.code),
  ...(row.linked === 0n ? {} : { linked: true }),
  ...(row.balancing_debit === 0n ? {} : { balancingDebit: true }),
  ...(row.timeout_ms === null ? {} : { timeoutMs: Number(row.timeout_ms) }),
  createdAt: Number(row.created_at),
});

/** The end of the range of texts that start with `prefix`, in SQLite's binary order of UTF-8. */
const RANGE_END = "\u{10FFFF}";

const ACCOUNT = wideSql<[string], AccountRow>("SELECT * FROM ledger__account WHERE id = ?");
const ACCOUNTS = wideSql<[string, number], AccountRow>(
  "SELECT * FROM ledger__account WHERE id > ? ORDER BY id LIMIT ?",
);
const INSERT_ACCOUNT = sql<[string, string, number, string, number]>(
  "INSERT INTO ledger__account (id, currency, code, balance_limit, created_at) VALUES (?, ?, ?, ?, ?)",
);
const BALANCES = sql<[bigint, bigint, bigint, bigint, string]>(
  `UPDATE ledger__account SET debits_pending = ?, debits_posted = ?, credits_pending = ?, credits_posted = ? WHERE id = ?`,
);
const TRANSFER = wideSql<[string], TransferRow>("SELECT * FROM ledger__transfer WHERE id = ?");
const TRANSFERS = wideSql<[number, number], TransferRow>(
  "SELECT * FROM ledger__transfer WHERE number > ? ORDER BY number LIMIT ?",
);
const UNDER = wideSql<[string, string, number], TransferRow>(
  "SELECT * FROM ledger__transfer WHERE id >= ? AND id < ? ORDER BY number LIMIT ?",
);
const INSERT_TRANSFER = sql(
  `INSERT INTO ledger__transfer (id, kind, debit_account, credit_account, amount, requested, pending_id, code, linked,
     balancing_debit, timeout_ms, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
);
const PENDING = sql<[string], { state: PendingState }>("SELECT state FROM ledger__pending WHERE transfer_id = ?");
const INSERT_PENDING = sql<[string, number | null]>(
  "INSERT INTO ledger__pending (transfer_id, state, expires_at) VALUES (?, 'pending', ?)",
);
const RESOLVE = sql<[string, string]>("UPDATE ledger__pending SET state = ? WHERE transfer_id = ?");
const DUE = sql<[number, number], { transfer_id: string }>(
  `SELECT transfer_id FROM ledger__pending WHERE state = 'pending' AND expires_at IS NOT NULL AND expires_at <= ?
     ORDER BY expires_at LIMIT ?`,
);
const FAILED = sql<[string], { id: string }>("SELECT id FROM ledger__failed WHERE id = ?");
const MARK_FAILED = sql<[string]>("INSERT INTO ledger__failed (id) VALUES (?) ON CONFLICT DO NOTHING");

export function createLedgerStore(): LedgerStore {
  const kept = accountCache(async (reading, id) => {
    const row = await reading.get(ACCOUNT, [id]);
    return row && toAccount(row);
  });
  return {
    account: kept.account,
    change: kept.change,
    batched: kept.batched,
    undoable: kept.undoable,
    insertAccount: async (within, a, at) =>
      void (await within.run(INSERT_ACCOUNT, [a.id, a.currency, a.code, a.limit, at])),
    async transfer(reading, id) {
      const row = await reading.get(TRANSFER, [id]);
      return row && toTransfer(row);
    },
    insertTransfer: async (within, t) =>
      void (await within.run(INSERT_TRANSFER, [
        t.id,
        t.kind,
        t.debitAccount,
        t.creditAccount,
        t.amount,
        t.requested ?? null,
        t.pendingId ?? null,
        t.code,
        t.linked ? 1 : 0,
        t.balancingDebit ? 1 : 0,
        t.timeoutMs ?? null,
        t.createdAt,
      ])),
    pendingState: async (reading, id) => (await reading.get(PENDING, [id]))?.state,
    insertPending: async (within, id, expiresAt) => void (await within.run(INSERT_PENDING, [id, expiresAt ?? null])),
    resolvePending: async (within, id, state) => void (await within.run(RESOLVE, [state, id])),
    due: async (reading, now, limit) => (await reading.all(DUE, [now, limit])).map((row) => row.transfer_id),
    hasFailed: async (reading, id) => (await reading.get(FAILED, [id])) !== undefined,
    markFailed: async (within, id) => void (await within.run(MARK_FAILED, [id])),
    async accounts(reading, after, limit) {
      await kept.saveAll(reading);
      return (await reading.all(ACCOUNTS, [after, limit])).map(toAccount);
    },
    transfers: async (reading, after, limit) => (await reading.all(TRANSFERS, [after, limit])).map(toTransfer),
    transfersUnder: async (reading, prefix, limit) =>
      (await reading.all(UNDER, [prefix, prefix + RANGE_END, limit])).map(toTransfer),
  };
}

interface AccountCache extends Pick<LedgerStore, "batched" | "undoable" | "account" | "change"> {
  saveAll(reading: Reading): Promise<void>;
}

interface Batch {
  /** Whose batch it is: nobody else sees what is not written yet. */
  readonly within: Within;
  readonly accounts: Map<string, Account>;
  readonly changed: Set<string>;
}

/** A batch of sales changes few accounts many times: each is read once and written once. */
function accountCache(read: (reading: Reading, id: string) => Promise<Account | undefined>): AccountCache {
  let open: Batch | undefined;
  const batchOf = (reading: Reading) => (open?.within === reading ? open : undefined);
  const save = async (within: Within, { id, ...a }: Account) =>
    await within.run(BALANCES, [a.debitsPending, a.debitsPosted, a.creditsPending, a.creditsPosted, id]);
  async function saveAll(reading: Reading): Promise<void> {
    const batch = batchOf(reading);
    if (!batch) return;
    for (const id of batch.changed)
      await save(batch.within, present(batch.accounts.get(id), "an account that changed"));
    batch.changed.clear();
  }
  async function account(reading: Reading, id: string): Promise<Account | undefined> {
    const batch = batchOf(reading);
    const known = batch?.accounts.get(id);
    if (known) return known;
    const found = await read(reading, id);
    if (found) batch?.accounts.set(id, found);
    return found;
  }
  return {
    account,
    saveAll,
    async batched(within, work) {
      if (batchOf(within)) return await work();
      open = { within, accounts: new Map(), changed: new Set() };
      try {
        const result = await work();
        await saveAll(within);
        return result;
      } finally {
        open = undefined;
      }
    },
    async undoable(within, work) {
      await saveAll(within);
      try {
        return await within.savepoint(work);
      } catch (error) {
        const batch = batchOf(within);
        batch?.changed.clear();
        batch?.accounts.clear();
        throw error;
      }
    },
    async change(within, id, by) {
      const old = present(await account(within, id), "the account of a transfer");
      const changed: Account = {
        ...old,
        debitsPending: old.debitsPending + by.debitsPending,
        debitsPosted: old.debitsPosted + by.debitsPosted,
        creditsPending: old.creditsPending + by.creditsPending,
        creditsPosted: old.creditsPosted + by.creditsPosted,
      };
      const batch = batchOf(within);
      if (!batch) {
        await save(within, changed);
        return;
      }
      batch.accounts.set(id, changed);
      batch.changed.add(id);
    },
  };
}
