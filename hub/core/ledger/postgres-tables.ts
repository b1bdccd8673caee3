/**
 * The ledger's hot path on PostgreSQL, where a round trip costs more than what it asks: one statement reads all that a
 * batch names, and one writes all that it changes.
 */
import { present } from "../../../base/assert.ts";
import { type Reading, sql, type Value, type Within } from "../../store/store.ts";
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

interface LoadedRow extends TimesRow {
  readonly accounts: readonly AccountRow[] | null;
  readonly transfers: readonly LoadedTransferRow[] | null;
  readonly failed: readonly string[] | null;
}

/** Row by row through the key's index, whatever the planner thinks of tables that it has not counted yet. */
const each = (list: string, from: string): string =>
  `unnest(${list}) AS w(id) CROSS JOIN LATERAL (SELECT * FROM ${from} WHERE id = w.id LIMIT 1)`;
const NAMED = "CAST(@transfers AS TEXT[])";

const LOAD = sql<{ readonly accounts: string; readonly transfers: string }, LoadedRow>(
  `SELECT ${TIMES},
     (SELECT json_agg(f.id) FROM ${each(NAMED, "ledger__failed")} AS f) AS failed,
     (SELECT json_agg(found) FROM (SELECT ${TRANSFER_COLUMNS}, ${PENDING_COLUMNS} FROM ${each(NAMED, "ledger__transfer")} AS t
        LEFT JOIN LATERAL (SELECT * FROM ledger__pending WHERE transfer_id = t.id LIMIT 1) AS p ON true) AS found) AS transfers,
     (SELECT json_agg(found) FROM (SELECT ${ACCOUNT_COLUMNS} FROM ${each(
       `CAST(@accounts AS TEXT[]) || ARRAY(
          SELECT CASE WHEN side = 1 THEN t.debit_account ELSE t.credit_account END
            FROM ${each(NAMED, "ledger__transfer")} AS t, generate_series(1, 2) AS side
           WHERE t.kind = 'pending')`,
       "ledger__account",
     )} AS a) AS found) AS accounts`,
);

const LOAD_TAKEN = sql<[string], { at: number }>(
  `SELECT w.at FROM unnest(CAST(? AS BIGINT[])) AS w(at)
    WHERE EXISTS (SELECT 1 FROM ledger__account WHERE at_us = w.at)
       OR EXISTS (SELECT 1 FROM ledger__transfer WHERE at_us = w.at)
       OR EXISTS (SELECT 1 FROM ledger__pending WHERE expired_us = w.at)`,
);

const BALANCES = "debits_pending TEXT, debits_posted TEXT, credits_pending TEXT, credits_posted TEXT";
const given = (name: string, columns: string): string => `json_to_recordset(CAST(@${name} AS JSON)) AS g(${columns})`;
const inserted = (table: string, columns: string, name: string): string =>
  `INSERT INTO ${table} (${columns.replaceAll(/ (?:TEXT|BIGINT)/g, "")})
     SELECT ${columns.replaceAll(/ (?:TEXT|BIGINT)/g, "")} FROM ${given(name, columns)}`;

const INSERT_TRANSFERS = inserted(
  "ledger__transfer",
  `at_us BIGINT, id TEXT, kind TEXT, debit_account TEXT, credit_account TEXT, amount TEXT, requested TEXT, pending_id TEXT,
   currency TEXT, code BIGINT, flags BIGINT, timeout_ms BIGINT, reference TEXT, debit_previous_us BIGINT,
   credit_previous_us BIGINT`,
  "transfers",
);
const SAVE = sql<Readonly<Record<string, string>>>(
  `WITH transfers AS (${INSERT_TRANSFERS})
   UPDATE ledger__account AS a SET flags = g.flags, debits_pending = g.debits_pending, debits_posted = g.debits_posted,
     credits_pending = g.credits_pending, credits_posted = g.credits_posted, last_transfer_us = g.last_transfer_us
   FROM ${given("accounts", `at_us BIGINT, flags BIGINT, ${BALANCES}, last_transfer_us BIGINT`)} WHERE a.at_us = g.at_us`,
);
/** One transfer and its two accounts: what most payments write. */
const changedBy = (side: string): string =>
  `UPDATE ledger__account SET flags = @${side}_flags, debits_pending = @${side}_debits_pending,
     debits_posted = @${side}_debits_posted, credits_pending = @${side}_credits_pending,
     credits_posted = @${side}_credits_posted, last_transfer_us = @${side}_last_transfer_us WHERE at_us = @${side}_at_us`;
const SAVE_ONE = sql<Readonly<Record<string, Value>>>(
  `WITH one AS (${changedBy("one")}), other AS (${changedBy("other")}) ${INSERT_TRANSFERS}`,
);
const SAVE_ACCOUNTS = sql<Readonly<Record<string, string>>>(
  inserted(
    "ledger__account",
    `at_us BIGINT, id TEXT, currency TEXT, code BIGINT, balance_limit TEXT, reference TEXT, flags BIGINT, ${BALANCES},
     last_transfer_us BIGINT`,
    "accounts",
  ),
);
const SAVE_REST = sql<Readonly<Record<string, string>>>(
  `WITH failed AS (${inserted("ledger__failed", "id TEXT", "failed")}),
     balances AS (${inserted("ledger__balance", `account TEXT, at_us BIGINT, ${BALANCES}`, "balances")})
   ${inserted("ledger__pending", "transfer_id TEXT, state TEXT, expires_at BIGINT, expired_us BIGINT", "pendings")}
   ON CONFLICT (transfer_id) DO UPDATE SET state = excluded.state, expired_us = excluded.expired_us`,
);

export const postgresTables: Tables = {
  async load(reading, wanted, into) {
    await loadNamed(reading, wanted, into);
    if (wanted.timestamps.length === 0) return;
    for (const { at } of await reading.all(LOAD_TAKEN, [`{${wanted.timestamps.join()}}`])) into.taken.add(at);
  },
  async save(within, draft) {
    const updates: Account[] = [];
    const made: Account[] = [];
    for (const account of draft.accounts.values()) (draft.newAccounts.has(account.id) ? made : updates).push(account);
    if (made.length > 0) await within.run(SAVE_ACCOUNTS, { accounts: JSON.stringify(made.map(accountRow)) });
    const [one, other] = updates;
    if (draft.transfers.size === 1 && updates.length === 2 && one && other) {
      await within.run(SAVE_ONE, {
        ...prefixed("one", changedRow(one)),
        ...prefixed("other", changedRow(other)),
        transfers: JSON.stringify([...draft.transfers.values()].map(transferRow)),
      });
    } else if (draft.transfers.size + updates.length > 0) {
      await within.run(SAVE, {
        transfers: JSON.stringify([...draft.transfers.values()].map(transferRow)),
        accounts: JSON.stringify(updates.map(changedRow)),
      });
    }
    if (draft.pendings.size + draft.failed.size + draft.balances.length > 0) await saveRest(within, draft);
  },
};

const prefixed = (side: string, row: Readonly<Record<string, Value>>): Record<string, Value> =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [`${side}_${name}`, value]));

async function loadNamed(reading: Reading, { accounts, transfers }: Parameters<Tables["load"]>[1], into: Loaded) {
  const parameters = { accounts: arrayText(accounts), transfers: arrayText(transfers) };
  const row = present(await reading.get(LOAD, parameters), "the row that tells what was found");
  into.times = timesIn(row);
  putTransfers(into, transfers, row.transfers ?? []);
  for (const id of row.failed ?? []) into.failed.add(id);
  putAccounts(into, accounts, row.accounts ?? []);
}

/** As PostgreSQL writes an array of texts. */
const arrayText = (texts: readonly string[]): string =>
  `{${texts.map((text) => `"${text.replaceAll(/["\\]/g, "\\$&")}"`).join()}}`;

async function saveRest(within: Within, { pendings, failed, balances }: Draft): Promise<void> {
  await within.run(SAVE_REST, {
    failed: JSON.stringify([...failed].map((id) => ({ id }))),
    balances: JSON.stringify(
      balances.map((balance) => ({ account: balance.account, at_us: balance.timestampUs, ...amountsOf(balance) })),
    ),
    pendings: JSON.stringify(
      [...pendings.values()].map(({ transferId, state, expiresAtMs, expiredUs }) => ({
        transfer_id: transferId,
        state,
        expires_at: expiresAtMs,
        expired_us: expiredUs,
      })),
    ),
  });
}

const amountsOf = (balances: Omit<Draft["balances"][number], "account" | "timestampUs">) => ({
  debits_pending: amountText(balances.debitsPending),
  debits_posted: amountText(balances.debitsPosted),
  credits_pending: amountText(balances.creditsPending),
  credits_posted: amountText(balances.creditsPosted),
});

const changedRow = (account: Account) => ({
  at_us: account.timestampUs,
  flags: accountBits(account),
  ...amountsOf(account),
  last_transfer_us: account.lastTransferUs ?? null,
});

const accountRow = (account: Account) => ({
  id: account.id,
  currency: account.currency,
  code: account.code,
  balance_limit: account.limit,
  reference: account.reference,
  ...changedRow(account),
});

const transferRow = (transfer: Transfer) => ({
  at_us: transfer.timestampUs,
  id: transfer.id,
  kind: transfer.kind,
  debit_account: transfer.debitAccount,
  credit_account: transfer.creditAccount,
  amount: amountText(transfer.amount),
  requested: transfer.requested === undefined ? undefined : amountText(transfer.requested),
  pending_id: transfer.pendingId,
  currency: transfer.currency,
  code: transfer.code,
  flags: transferBits(transfer),
  timeout_ms: transfer.timeoutMs,
  reference: transfer.reference,
  debit_previous_us: transfer.debitPreviousUs,
  credit_previous_us: transfer.creditPreviousUs,
});
