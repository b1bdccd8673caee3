/**
 * The ledger's hot path on SQLite, where a call costs little and a parameter less: reads by lists of ids, transfers in
 * rows of many, balances one by one under their integer key.
 */
import { type Reading, type SqlText, sql, type Value, type Within } from "../../store/store.ts";
import type { Draft, Loaded } from "./books.ts";
import type { Account, Transfer } from "./model.ts";
import {
  ACCOUNT_COLUMNS,
  type AccountRow,
  accountBits,
  amountText,
  PENDING_COLUMNS,
  TRANSFER_COLUMNS,
  transferBits,
} from "./rows.ts";
import {
  type LoadedTransferRow,
  putAccounts,
  putTransfers,
  type Tables,
  TIMES,
  type TimesRow,
  timesIn,
} from "./tables.ts";

const LOAD_TIMES = sql<[], TimesRow>(`SELECT ${TIMES}`);
const LOAD_ACCOUNTS = sql<[string], AccountRow>(
  `SELECT ${ACCOUNT_COLUMNS} FROM json_each(?) w CROSS JOIN ledger__account a ON a.id = w.value`,
);
const LOAD_TRANSFERS = sql<[string], LoadedTransferRow>(
  `SELECT ${TRANSFER_COLUMNS}, ${PENDING_COLUMNS} FROM json_each(?) w CROSS JOIN ledger__transfer t ON t.id = w.value
     LEFT JOIN ledger__pending p ON p.transfer_id = t.id`,
);
const LOAD_FAILED = sql<[string], { id: string }>(
  "SELECT f.id FROM json_each(?) w CROSS JOIN ledger__failed f ON f.id = w.value",
);
/** Most ids are new: then this is all that is asked of them. */
const IS_KNOWN = sql<[string], { known: number }>(
  `SELECT 1 AS known FROM json_each(?) w WHERE EXISTS (SELECT 1 FROM ledger__transfer t WHERE t.id = w.value)
       OR EXISTS (SELECT 1 FROM ledger__failed f WHERE f.id = w.value) LIMIT 1`,
);
const LOAD_TAKEN = sql<[string], { at: number }>(
  `SELECT w.value AS at FROM json_each(?) w
    WHERE EXISTS (SELECT 1 FROM ledger__account WHERE at_us = w.value)
       OR EXISTS (SELECT 1 FROM ledger__transfer WHERE at_us = w.value)
       OR EXISTS (SELECT 1 FROM ledger__pending WHERE expired_us = w.value)`,
);

/** Rows of one statement: more of them save little. */
const ROWS = 16;

/** Statements that insert one row, and `ROWS` of them. */
function inserts(into: string, columns: string): { readonly one: SqlText; readonly many: SqlText } {
  const row = `(${columns.split(",").map(() => "?")})`;
  const text = (count: number) => sql(`INSERT INTO ${into} (${columns}) VALUES ${Array(count).fill(row).join()}`);
  return { one: text(1), many: text(ROWS) };
}

/** The same for balances, by rows that end with the account's key. */
function updates(columns: string): { readonly one: SqlText; readonly many: SqlText } {
  const names = columns.split(", ");
  const row = `(${[...names, "at_us"].map(() => "?")})`;
  const set = names.map((name, index) => `${name} = column${index + 1}`).join();
  const text = (count: number) =>
    sql(
      `UPDATE ledger__account SET ${set} FROM (VALUES ${Array(count).fill(row).join()}) WHERE at_us = column${names.length + 1}`,
    );
  return { one: text(1), many: text(ROWS) };
}

async function writeAll(
  within: Within,
  { one, many }: ReturnType<typeof inserts>,
  rows: readonly (readonly Value[])[],
): Promise<void> {
  const whole = rows.length - (rows.length % ROWS);
  for (let at = 0; at < whole; at += ROWS) {
    const values: Value[] = [];
    for (let row = at; row < at + ROWS; row += 1) for (const value of rows[row] ?? []) values.push(value);
    await within.run(many, values);
  }
  for (const row of rows.slice(whole)) await within.run(one, row);
}

const INSERT_TRANSFERS = inserts(
  "ledger__transfer",
  `at_us, id, kind, debit_account, credit_account, amount, requested, pending_id, currency, code, flags, timeout_ms,
   reference, debit_previous_us, credit_previous_us`,
);
const INSERT_ACCOUNTS = inserts(
  "ledger__account",
  `at_us, id, currency, code, balance_limit, reference, flags, debits_pending, debits_posted, credits_pending,
   credits_posted, last_transfer_us`,
);
const INSERT_BALANCES = inserts(
  "ledger__balance",
  "account, at_us, debits_pending, debits_posted, credits_pending, credits_posted",
);
const INSERT_PENDINGS = inserts("ledger__pending", "transfer_id, state, expires_at, expired_us");
const INSERT_FAILED = inserts("ledger__failed", "id");
/** Most transfers are posted at once, and change two of the balances. */
const UPDATE_ACCOUNTS = updates(
  "flags, debits_pending, debits_posted, credits_pending, credits_posted, last_transfer_us",
);
const UPDATE_POSTED = updates("debits_posted, credits_posted, last_transfer_us");
const UPDATE_PENDING = sql<Value[]>("UPDATE ledger__pending SET state = ?, expired_us = ? WHERE transfer_id = ?");

export const sqliteTables: Tables = {
  async load(reading, wanted, into) {
    if (wanted.times) into.times = timesIn((await reading.get(LOAD_TIMES, [])) ?? NO_TIMES);
    if (wanted.transfers.length > 0) await loadTransfers(reading, wanted.transfers, into);
    const accounts = new Set(wanted.accounts);
    for (const id of wanted.transfers) {
      const transfer = into.pendings.get(id)?.state === "pending" ? into.transfers.get(id) : undefined;
      if (transfer) accounts.add(transfer.debitAccount).add(transfer.creditAccount);
    }
    const ids = [...accounts].filter((id) => !into.accounts.has(id));
    if (ids.length > 0) putAccounts(into, ids, await reading.all(LOAD_ACCOUNTS, [JSON.stringify(ids)]));
    if (wanted.timestamps.length === 0) return;
    for (const { at } of await reading.all(LOAD_TAKEN, [JSON.stringify(wanted.timestamps)])) into.taken.add(at);
  },
  async save(within, draft) {
    const [made, posted, changed]: [Account[], Account[], Account[]] = [[], [], []];
    for (const account of draft.accounts.values()) {
      if (draft.newAccounts.has(account.id)) made.push(account);
      else (draft.isOnlyPosted(account) ? posted : changed).push(account);
    }
    await writeAll(within, INSERT_ACCOUNTS, made.map(accountRow));
    await writeAll(within, INSERT_TRANSFERS, [...draft.transfers.values()].map(transferRow));
    await writeAll(within, UPDATE_POSTED, posted.map(postedRow));
    await writeAll(within, UPDATE_ACCOUNTS, changed.map(changedRow));
    await savePendings(within, draft);
    await writeAll(
      within,
      INSERT_FAILED,
      [...draft.failed].map((id) => [id]),
    );
    await writeAll(within, INSERT_BALANCES, draft.balances.map(balanceRow));
  },
};

const NO_TIMES: TimesRow = { accountUs: 0, transferUs: 0, expiryUs: 0 };

async function loadTransfers(reading: Reading, asked: readonly string[], into: Loaded): Promise<void> {
  const ids = JSON.stringify(asked);
  if (asked.length > 1 && !(await reading.get(IS_KNOWN, [ids]))) {
    putTransfers(into, asked, []);
    return;
  }
  putTransfers(into, asked, await reading.all(LOAD_TRANSFERS, [ids]));
  for (const { id } of await reading.all(LOAD_FAILED, [ids])) into.failed.add(id);
}

async function savePendings(within: Within, { pendings, newPendings }: Draft): Promise<void> {
  const rows: Value[][] = [];
  for (const { transferId, state, expiresAtMs = null, expiredUs = null } of pendings.values()) {
    if (newPendings.has(transferId)) rows.push([transferId, state, expiresAtMs, expiredUs]);
    else await within.run(UPDATE_PENDING, [state, expiredUs, transferId]);
  }
  await writeAll(within, INSERT_PENDINGS, rows);
}

const accountRow = (account: Account): Value[] => [
  account.timestampUs,
  account.id,
  account.currency,
  account.code,
  account.limit,
  account.reference ?? null,
  ...balancesOf(account),
];

const balancesOf = (account: Account): Value[] => [
  accountBits(account),
  amountText(account.debitsPending),
  amountText(account.debitsPosted),
  amountText(account.creditsPending),
  amountText(account.creditsPosted),
  account.lastTransferUs ?? null,
];

const changedRow = (account: Account): Value[] => [...balancesOf(account), account.timestampUs];

const postedRow = (account: Account): Value[] => [
  amountText(account.debitsPosted),
  amountText(account.creditsPosted),
  account.lastTransferUs ?? null,
  account.timestampUs,
];

const balanceRow = (balance: Draft["balances"][number]): Value[] => [
  balance.account,
  balance.timestampUs,
  amountText(balance.debitsPending),
  amountText(balance.debitsPosted),
  amountText(balance.creditsPending),
  amountText(balance.creditsPosted),
];

const transferRow = (transfer: Transfer): Value[] => [
  transfer.timestampUs,
  transfer.id,
  transfer.kind,
  transfer.debitAccount,
  transfer.creditAccount,
  amountText(transfer.amount),
  transfer.requested === undefined ? null : amountText(transfer.requested),
  transfer.pendingId ?? null,
  transfer.currency,
  transfer.code,
  transferBits(transfer),
  transfer.timeoutMs ?? null,
  transfer.reference ?? null,
  transfer.debitPreviousUs ?? null,
  transfer.creditPreviousUs ?? null,
];
