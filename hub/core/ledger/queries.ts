/** Questions to the tables, newest or oldest first, each with a limit. */
import type { Currency } from "../../../base/money.ts";
import { type Reading, sql, wideSql } from "../../store/store.ts";
import { type Account, type AccountBalance, type Balances, TIMESTAMP_MAX, type Transfer } from "./model.ts";
import {
  ACCOUNT_COLUMNS,
  type AccountRow,
  accountIn,
  type BalancesRow,
  HISTORY_COLUMNS,
  historyIn,
  TRANSFER_COLUMNS,
  type TransferRow,
  transferIn,
} from "./rows.ts";

interface Range {
  /** Both inclusive. */
  readonly minUs?: number;
  readonly maxUs?: number;
  readonly limit: number;
  /** Newest first. */
  readonly reversed?: boolean;
}

export interface QueryFilter extends Range {
  readonly currency?: Currency;
  readonly code?: number;
  readonly reference?: string;
}

export interface AccountFilter extends QueryFilter {
  readonly account: string;
  /** Transfers that it is debited by, and those that it is credited by; both where neither is named. */
  readonly debits?: boolean;
  readonly credits?: boolean;
}

export interface BalanceFilter extends Range {
  readonly account: string;
}

/** The sums over all accounts of a currency: debits equal credits. */
export interface Totals extends Balances {
  readonly currency: Currency;
}

export interface Queries {
  /** By id. */
  accounts(reading: Reading, page: { readonly after?: string; readonly limit: number }): Promise<readonly Account[]>;
  /** In the order in which they were made. */
  transfers(
    reading: Reading,
    page: { readonly afterUs?: number; readonly limit: number },
  ): Promise<readonly Transfer[]>;
  /** Transfers whose id starts with `prefix`, in the order in which they were made. */
  transfersUnder(reading: Reading, prefix: string, limit: number): Promise<readonly Transfer[]>;
  queryAccounts(reading: Reading, filter: QueryFilter): Promise<readonly Account[]>;
  queryTransfers(reading: Reading, filter: QueryFilter): Promise<readonly Transfer[]>;
  /** Walks from the account's newest transfer to its oldest: oldest first costs the whole range. */
  accountTransfers(reading: Reading, filter: AccountFilter): Promise<readonly Transfer[]>;
  /** Of accounts with `history`: what they had after each of their transfers and expiries. */
  accountBalances(reading: Reading, filter: BalanceFilter): Promise<readonly AccountBalance[]>;
  totals(reading: Reading): Promise<readonly Totals[]>;
}

/** The end of the range of texts that start with `prefix`, in the order of their UTF-8 bytes. */
const RANGE_END = "\u{10FFFF}";

const ACCOUNTS = sql<[string, number], AccountRow>(
  `SELECT ${ACCOUNT_COLUMNS} FROM ledger__account a WHERE a.id > ? ORDER BY a.id LIMIT ?`,
);
const TRANSFERS = sql<[number, number], TransferRow>(
  `SELECT ${TRANSFER_COLUMNS} FROM ledger__transfer t WHERE t.at_us > ? ORDER BY t.at_us LIMIT ?`,
);
const UNDER = sql<[string, string, number], TransferRow>(
  `SELECT ${TRANSFER_COLUMNS} FROM ledger__transfer t WHERE t.id >= ? AND t.id < ? ORDER BY t.at_us LIMIT ?`,
);
const DUE = sql<[number, number], { id: string }>(
  `SELECT p.transfer_id AS id FROM ledger__pending p JOIN ledger__transfer t ON t.id = p.transfer_id
    WHERE p.state = 'pending' AND p.expires_at IS NOT NULL AND p.expires_at <= ? ORDER BY p.expires_at, t.at_us LIMIT ?`,
);

type FilterParameters = {
  readonly minUs: number;
  readonly maxUs: number;
  readonly limit: number;
  readonly currency: string | null;
  readonly code: number | null;
  readonly reference: string | null;
};

/** Oldest or newest first; a reference finds its rows by index, so it has statements of its own. */
function filtered<Row>(columns: string, from: "ledger__account a" | "ledger__transfer t") {
  const f = from.at(-1);
  const text = (reference: string, direction: string) =>
    sql<FilterParameters, Row>(
      `SELECT ${columns} FROM ${from} WHERE ${f}.at_us >= @minUs AND ${f}.at_us <= @maxUs AND ${reference}
         AND (CAST(@currency AS TEXT) IS NULL OR ${f}.currency = @currency)
         AND (CAST(@code AS BIGINT) IS NULL OR ${f}.code = @code) ORDER BY ${f}.at_us ${direction} LIMIT @limit`,
    );
  const [any, one] = ["CAST(@reference AS TEXT) IS NULL", `${f}.reference = @reference`];
  return {
    any: { oldest: text(any, "ASC"), newest: text(any, "DESC") },
    one: { oldest: text(one, "ASC"), newest: text(one, "DESC") },
  };
}
const FILTERED_ACCOUNTS = filtered<AccountRow>(ACCOUNT_COLUMNS, "ledger__account a");
const FILTERED_TRANSFERS = filtered<TransferRow>(TRANSFER_COLUMNS, "ledger__transfer t");

const balances = (direction: string) =>
  sql<[string, number, number, number], BalancesRow>(
    `SELECT ${HISTORY_COLUMNS} FROM ledger__balance b WHERE b.account = ? AND b.at_us >= ? AND b.at_us <= ?
      ORDER BY b.at_us ${direction} LIMIT ?`,
  );
const BALANCES = { oldest: balances("ASC"), newest: balances("DESC") };

/** How many transfers of an account one statement walks back over. */
const STEPS = 256;
const WALK = sql<{ readonly account: string; readonly startUs: number; readonly minUs: number }, TransferRow>(
  `WITH RECURSIVE walk(at_us, steps) AS (
     SELECT CAST(@startUs AS BIGINT), 1
     UNION ALL
     SELECT CASE WHEN t.debit_account = @account THEN t.debit_previous_us ELSE t.credit_previous_us END, w.steps + 1
       FROM walk w JOIN ledger__transfer t ON t.at_us = w.at_us WHERE w.steps < ${STEPS} AND w.at_us >= @minUs)
   SELECT ${TRANSFER_COLUMNS} FROM walk w JOIN ledger__transfer t ON t.at_us = w.at_us
    WHERE w.at_us >= @minUs ORDER BY t.at_us DESC`,
);
const LAST = sql<[string], { last: number | null }>(
  "SELECT last_transfer_us AS last FROM ledger__account WHERE id = ?",
);

/** An amount is summed in parts of eight digits: exact for as many rows as a database holds. */
const PART_DIGITS = 8;
const PARTS = [0, 1, 2, 3, 4];
const ALL_DIGITS = PARTS.length * PART_DIGITS;
const BALANCE_COLUMNS = ["debits_pending", "debits_posted", "credits_pending", "credits_posted"] as const;
const partOf = (column: string, part: number): string =>
  `substr('${"0".repeat(ALL_DIGITS)}' || substr(${column}, 3), length(${column}) - 1 + ${part * PART_DIGITS}, ${PART_DIGITS})`;
const TOTALS = wideSql<[], { readonly currency: string } & Readonly<Record<string, bigint | string>>>(
  `SELECT currency, ${BALANCE_COLUMNS.flatMap((column) =>
    PARTS.map((part) => `CAST(sum(CAST(${partOf(column, part)} AS BIGINT)) AS BIGINT) AS ${column}_${part}`),
  ).join(", ")} FROM ledger__account GROUP BY currency ORDER BY currency`,
);

/** Pending transfers that are due, in the order in which they expire. */
export async function dueTransfers(
  reading: Reading,
  { nowMs, limit }: { readonly nowMs: number; readonly limit: number },
): Promise<readonly string[]> {
  return (await reading.all(DUE, [nowMs, limit])).map(({ id }) => id);
}

export const queries: Queries = {
  accounts: async (reading, { after = "", limit }) => (await reading.all(ACCOUNTS, [after, limit])).map(accountIn),
  transfers: async (reading, { afterUs = 0, limit }) =>
    (await reading.all(TRANSFERS, [afterUs, limit])).map(transferIn),
  transfersUnder: async (reading, prefix, limit) =>
    (await reading.all(UNDER, [prefix, prefix + RANGE_END, limit])).map(transferIn),
  queryAccounts: async (reading, filter) =>
    (await reading.all(pick(FILTERED_ACCOUNTS, filter), parametersOf(filter))).map(accountIn),
  queryTransfers: async (reading, filter) =>
    (await reading.all(pick(FILTERED_TRANSFERS, filter), parametersOf(filter))).map(transferIn),
  accountTransfers,
  async accountBalances(reading, { account, minUs = 0, maxUs = TIMESTAMP_MAX, limit, reversed }) {
    const statement = reversed === true ? BALANCES.newest : BALANCES.oldest;
    return (await reading.all(statement, [account, minUs, maxUs, limit])).map(historyIn);
  },
  totals: async (reading) =>
    (await reading.all(TOTALS, [])).map((row) => {
      const sum = (column: (typeof BALANCE_COLUMNS)[number]) =>
        PARTS.reduce((total, part) => total * 10n ** BigInt(PART_DIGITS) + BigInt(row[`${column}_${part}`] ?? 0n), 0n);
      return {
        currency: row.currency as Currency,
        debitsPending: sum("debits_pending"),
        debitsPosted: sum("debits_posted"),
        creditsPending: sum("credits_pending"),
        creditsPosted: sum("credits_posted"),
      };
    }),
};

function pick<Row>(statements: ReturnType<typeof filtered<Row>>, { reference, reversed }: QueryFilter) {
  const { oldest, newest } = reference === undefined ? statements.any : statements.one;
  return reversed === true ? newest : oldest;
}

const parametersOf = (filter: QueryFilter): FilterParameters => ({
  minUs: filter.minUs ?? 0,
  maxUs: filter.maxUs ?? TIMESTAMP_MAX,
  limit: filter.limit,
  currency: filter.currency ?? null,
  code: filter.code ?? null,
  reference: filter.reference ?? null,
});

async function accountTransfers(reading: Reading, filter: AccountFilter): Promise<readonly Transfer[]> {
  const { account, minUs = 0, limit, reversed = false } = filter;
  const matches = matcher(filter);
  let found: Transfer[] = [];
  let startUs = (await reading.get(LAST, [account]))?.last ?? undefined;
  while (startUs !== undefined && startUs >= minUs && !(reversed && found.length >= limit)) {
    const walked = (await reading.all(WALK, { account, startUs, minUs })).map(transferIn);
    found.push(...walked.filter(matches));
    // Oldest first wants the last that are found.
    if (!reversed) found = found.slice(-limit);
    const oldest = walked.at(-1);
    startUs = oldest?.debitAccount === account ? oldest.debitPreviousUs : oldest?.creditPreviousUs;
  }
  return reversed ? found.slice(0, limit) : found.reverse();
}

function matcher(filter: AccountFilter): (transfer: Transfer) => boolean {
  const { account, maxUs = TIMESTAMP_MAX, currency, code, reference } = filter;
  const both = filter.debits !== true && filter.credits !== true;
  return (transfer) =>
    transfer.timestampUs <= maxUs &&
    (both || transfer.debitAccount === account ? both || filter.debits === true : filter.credits === true) &&
    (currency === undefined || transfer.currency === currency) &&
    (code === undefined || transfer.code === code) &&
    (reference === undefined || transfer.reference === reference);
}
