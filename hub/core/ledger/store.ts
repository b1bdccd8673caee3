/** All SQL of the ledger, with statements prepared once: this is the hot path, and the seam for another engine. */
import { present } from "../../../base/assert.ts";
import type { Currency } from "../../../base/money.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
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
   * Keeps the accounts that `work` uses in memory, and writes those that changed once, at its end. Within a transaction that
   * the caller undoes if it throws.
   */
  batched<T>(work: () => T): T;
  /** Undoes what `work` did when it throws, and throws on. */
  undoable<T>(work: () => T): T;
  account(id: string): Account | undefined;
  insertAccount(account: NewAccount, at: number): void;
  transfer(id: string): Transfer | undefined;
  insertTransfer(transfer: Omit<Transfer, "number">): void;
  change(accountId: string, change: BalanceChange): void;
  pendingState(id: string): PendingState | undefined;
  insertPending(id: string, expiresAt: number | undefined): void;
  resolvePending(id: string, state: Exclude<PendingState, "pending">): void;
  /** Pending transfers due at `now`, oldest first. */
  due(now: number, limit: number): readonly string[];
  hasFailed(id: string): boolean;
  markFailed(id: string): void;
  accounts(after: string, limit: number): readonly Account[];
  transfers(afterNumber: number, limit: number): readonly Transfer[];
  /** Transfers whose id starts with `prefix`, in the order in which they were made. */
  transfersUnder(prefix: string, limit: number): readonly Transfer[];
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

export function createLedgerStore(database: Sqlite): LedgerStore {
  const prepare = <P extends unknown[], R>(sql: string) => database.prepare<P, R>(sql).safeIntegers(true);
  const account = prepare<[string], AccountRow>("SELECT * FROM ledger__account WHERE id = ?");
  const accounts = prepare<[string, number], AccountRow>(
    "SELECT * FROM ledger__account WHERE id > ? ORDER BY id LIMIT ?",
  );
  const insertAccount = prepare(
    "INSERT INTO ledger__account (id, currency, code, balance_limit, created_at) VALUES (?, ?, ?, ?, ?)",
  );
  const transfer = prepare<[string], TransferRow>("SELECT * FROM ledger__transfer WHERE id = ?");
  const transfers = prepare<[number, number], TransferRow>(
    "SELECT * FROM ledger__transfer WHERE number > ? ORDER BY number LIMIT ?",
  );
  const under = prepare<[string, string, number], TransferRow>(
    "SELECT * FROM ledger__transfer WHERE id >= ? AND id < ? ORDER BY number LIMIT ?",
  );
  const insertTransfer = prepare(
    `INSERT INTO ledger__transfer (id, kind, debit_account, credit_account, amount, requested, pending_id, code, linked,
       balancing_debit, timeout_ms, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const pending = prepare<[string], { state: PendingState }>("SELECT state FROM ledger__pending WHERE transfer_id = ?");
  const insertPending = prepare(
    "INSERT INTO ledger__pending (transfer_id, state, expires_at) VALUES (?, 'pending', ?)",
  );
  const resolve = prepare("UPDATE ledger__pending SET state = ? WHERE transfer_id = ?");
  const due = prepare<[number, number], { transfer_id: string }>(
    `SELECT transfer_id FROM ledger__pending WHERE state = 'pending' AND expires_at IS NOT NULL AND expires_at <= ?
       ORDER BY expires_at LIMIT ?`,
  );
  const failed = prepare<[string], { id: string }>("SELECT id FROM ledger__failed WHERE id = ?");
  const firstFailed = prepare<[], { id: string }>("SELECT id FROM ledger__failed LIMIT 1");
  const markFailed = prepare("INSERT OR IGNORE INTO ledger__failed (id) VALUES (?)");
  const optional = <Row, Value>(row: Row | undefined, map: (row: Row) => Value): Value | undefined =>
    row === undefined ? undefined : map(row);

  const kept = accountCache(database, (id) => optional(account.get(id), toAccount));
  let anyFailed = firstFailed.get() !== undefined;

  return {
    account: kept.account,
    change: kept.change,
    batched: kept.batched,
    undoable: kept.undoable,
    insertAccount: (a, at) => void insertAccount.run(a.id, a.currency, a.code, a.limit, at),
    transfer: (id) => optional(transfer.get(id), toTransfer),
    insertTransfer: (t) =>
      void insertTransfer.run(
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
      ),
    pendingState: (id) => pending.get(id)?.state,
    insertPending: (id, expiresAt) => void insertPending.run(id, expiresAt ?? null),
    resolvePending: (id, state) => void resolve.run(state, id),
    due: (now, limit) => due.all(now, limit).map((row) => row.transfer_id),
    hasFailed: (id) => anyFailed && failed.get(id) !== undefined,
    markFailed(id) {
      anyFailed = true;
      markFailed.run(id);
    },
    accounts(after, limit) {
      kept.saveAll();
      return accounts.all(after, limit).map(toAccount);
    },
    transfers: (after, limit) => transfers.all(after, limit).map(toTransfer),
    transfersUnder: (prefix, limit) => under.all(prefix, prefix + RANGE_END, limit).map(toTransfer),
  };
}

type AccountCache = Pick<LedgerStore, "batched" | "undoable" | "account" | "change"> & { saveAll(): void };

/** A batch of sales changes few accounts many times: each is read once and written once. */
function accountCache(database: Sqlite, read: (id: string) => Account | undefined): AccountCache {
  const write = database.prepare(
    `UPDATE ledger__account SET debits_pending = ?, debits_posted = ?, credits_pending = ?, credits_posted = ? WHERE id = ?`,
  );
  let cached: Map<string, Account> | undefined;
  const changed = new Set<string>();
  const save = (account: Account) =>
    void write.run(
      account.debitsPending,
      account.debitsPosted,
      account.creditsPending,
      account.creditsPosted,
      account.id,
    );
  function saveAll(): void {
    for (const id of changed) save(present(cached?.get(id), "an account that changed"));
    changed.clear();
  }
  function forget(): void {
    changed.clear();
    cached?.clear();
  }
  function account(id: string): Account | undefined {
    const known = cached?.get(id) ?? read(id);
    if (known) cached?.set(id, known);
    return known;
  }
  return {
    account,
    saveAll,
    batched(work) {
      if (cached) return work();
      cached = new Map();
      try {
        const result = work();
        saveAll();
        return result;
      } finally {
        forget();
        cached = undefined;
      }
    },
    undoable(work) {
      saveAll();
      try {
        return transaction(database, work);
      } catch (error) {
        forget();
        throw error;
      }
    },
    change(id, by) {
      const before = present(account(id), "the account of a transfer");
      const after: Account = {
        ...before,
        debitsPending: before.debitsPending + by.debitsPending,
        debitsPosted: before.debitsPosted + by.debitsPosted,
        creditsPending: before.creditsPending + by.creditsPending,
        creditsPosted: before.creditsPosted + by.creditsPosted,
      };
      if (cached) {
        cached.set(id, after);
        changed.add(id);
      } else save(after);
    },
  };
}
