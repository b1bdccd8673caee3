/**
 * The ledger's tables. Balances are kept beside the transfers for speed and can be derived from them. There are no foreign
 * keys: what a transfer names was read in the same transaction, and checking it again would cost more than the transfer.
 */
import type { Migration } from "../../../base/sqlite.ts";
import { ledgerMigrations as first } from "./schema.ts";

/**
 * The text of an amount, as `amountText` writes it: its number of digits in two digits, then those. (VARCHAR, because the
 * store gives every TEXT of a schema the order of bytes, which no CAST takes.)
 */
const amountText = (column: string): string => {
  const digits = `CAST(${column} AS VARCHAR)`;
  return `CASE WHEN length(${digits}) < 10 THEN '0' ELSE '' END || CAST(length(${digits}) AS VARCHAR) || ${digits}`;
};

const NEW_TABLES = `
  CREATE TABLE ledger__account (
    at_us INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    currency TEXT NOT NULL,
    code INTEGER NOT NULL,
    balance_limit TEXT NOT NULL CHECK (balance_limit IN ('none', 'debits-must-not-exceed-credits', 'credits-must-not-exceed-debits')),
    flags INTEGER NOT NULL,
    reference TEXT,
    debits_pending TEXT NOT NULL,
    debits_posted TEXT NOT NULL,
    credits_pending TEXT NOT NULL,
    credits_posted TEXT NOT NULL,
    last_transfer_us INTEGER
  ) STRICT;

  CREATE TABLE ledger__transfer (
    at_us INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('single', 'pending', 'post-pending', 'void-pending')),
    debit_account TEXT NOT NULL,
    credit_account TEXT NOT NULL,
    amount TEXT NOT NULL,
    requested TEXT,
    pending_id TEXT,
    currency TEXT NOT NULL,
    code INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    timeout_ms INTEGER,
    reference TEXT,
    debit_previous_us INTEGER,
    credit_previous_us INTEGER
  ) STRICT;
  CREATE INDEX ledger__transfer_reference ON ledger__transfer (reference, at_us) WHERE reference IS NOT NULL;

  CREATE TABLE ledger__balance (
    account TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    debits_pending TEXT NOT NULL,
    debits_posted TEXT NOT NULL,
    credits_pending TEXT NOT NULL,
    credits_posted TEXT NOT NULL,
    PRIMARY KEY (account, at_us)
  ) STRICT, WITHOUT ROWID;

  ALTER TABLE ledger__pending ADD COLUMN expired_us INTEGER;
  CREATE INDEX ledger__pending_expired ON ledger__pending (expired_us) WHERE expired_us IS NOT NULL;`;

/**
 * What has a time in milliseconds gets one of its own: transfers keep their order, also where the clock went back, and
 * nothing is dated before what it was.
 */
const MOMENTS = `
  CREATE TABLE ledger__moment (thing TEXT NOT NULL, id TEXT NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (thing, id)) STRICT;
  INSERT INTO ledger__moment (thing, id, at_us)
    SELECT thing, id, place + max(at_ms * 1000 - place) OVER (ORDER BY place)
      FROM (SELECT thing, id, at_ms, row_number() OVER (ORDER BY at_ms, thing, number, id) AS place
              FROM (SELECT 'account' AS thing, id, 0 AS number, created_at AS at_ms FROM ledger__account_1
                    UNION ALL
                    SELECT 'transfer', id, number, max(created_at) OVER (ORDER BY number) FROM ledger__transfer_1) AS things) AS places;

  CREATE TABLE ledger__side (account TEXT NOT NULL, at_us INTEGER NOT NULL, previous_us INTEGER, PRIMARY KEY (account, at_us)) STRICT;
  INSERT INTO ledger__side (account, at_us, previous_us)
    SELECT account, at_us, lag(at_us) OVER (PARTITION BY account ORDER BY at_us)
      FROM (SELECT t.debit_account AS account, m.at_us AS at_us
              FROM ledger__transfer_1 t JOIN ledger__moment m ON m.thing = 'transfer' AND m.id = t.id
            UNION ALL
            SELECT t.credit_account, m.at_us
              FROM ledger__transfer_1 t JOIN ledger__moment m ON m.thing = 'transfer' AND m.id = t.id) AS sides;`;

const FILL = `
  INSERT INTO ledger__account (at_us, id, currency, code, balance_limit, flags, debits_pending, debits_posted, credits_pending,
      credits_posted, last_transfer_us)
    SELECT m.at_us, a.id, a.currency, a.code, a.balance_limit, 0, ${amountText("a.debits_pending")},
           ${amountText("a.debits_posted")}, ${amountText("a.credits_pending")}, ${amountText("a.credits_posted")},
           (SELECT max(s.at_us) FROM ledger__side s WHERE s.account = a.id)
      FROM ledger__account_1 a JOIN ledger__moment m ON m.thing = 'account' AND m.id = a.id;

  INSERT INTO ledger__transfer (at_us, id, kind, debit_account, credit_account, amount, requested, pending_id, currency, code,
      flags, timeout_ms, debit_previous_us, credit_previous_us)
    SELECT m.at_us, t.id, t.kind, t.debit_account, t.credit_account, ${amountText("t.amount")},
           CASE WHEN t.requested <> t.amount THEN ${amountText("t.requested")} END, t.pending_id, a.currency, t.code,
           t.linked + 16 * t.balancing_debit, t.timeout_ms, d.previous_us, c.previous_us
      FROM ledger__transfer_1 t
      JOIN ledger__moment m ON m.thing = 'transfer' AND m.id = t.id
      JOIN ledger__account_1 a ON a.id = t.debit_account
      JOIN ledger__side d ON d.account = t.debit_account AND d.at_us = m.at_us
      JOIN ledger__side c ON c.account = t.credit_account AND c.at_us = m.at_us;`;

export const ledgerMigrations: readonly Migration[] = [
  ...first,
  {
    id: "ledger-2",
    sql: `
      ALTER TABLE ledger__account RENAME TO ledger__account_1;
      ALTER TABLE ledger__transfer RENAME TO ledger__transfer_1;
      ${NEW_TABLES}
      ${MOMENTS}
      ${FILL}
      DROP TABLE ledger__side;
      DROP TABLE ledger__moment;
      DROP TABLE ledger__transfer_1;
      DROP TABLE ledger__account_1;
    `,
  },
];
