/**
 * The tables of authorisation: cards known by token, payments with their one outcome, the attempts at each (RM1), and the
 * transaction counters that cards of this hub's ranges have used.
 */
import type { Migration } from "../../../base/sqlite.ts";

export const authorisationMigrations: readonly Migration[] = [
  {
    id: "authorisation-1",
    sql: `
      CREATE TABLE authorisation__card (
        token TEXT PRIMARY KEY,
        account_id TEXT NOT NULL UNIQUE,
        expiry TEXT NOT NULL,
        name TEXT,
        created_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE authorisation__payment (
        number INTEGER PRIMARY KEY,
        terminal_id TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'confirmed', 'voided')),
        operation TEXT,
        currency TEXT,
        minor INTEGER,
        account_id TEXT,
        original_number INTEGER REFERENCES authorisation__payment (number),
        mode TEXT,
        approval_code TEXT,
        masked_pan TEXT,
        business_date TEXT,
        exposure_minor INTEGER,
        exposure_party TEXT,
        created_at INTEGER NOT NULL,
        ended_at INTEGER,
        UNIQUE (terminal_id, payment_id)
      ) STRICT;
      CREATE INDEX authorisation__payment_id ON authorisation__payment (payment_id);
      CREATE INDEX authorisation__payment_original ON authorisation__payment (original_number) WHERE original_number IS NOT NULL;
      CREATE INDEX authorisation__payment_time ON authorisation__payment (created_at);

      CREATE TABLE authorisation__attempt (
        payment_number INTEGER NOT NULL REFERENCES authorisation__payment (number),
        attempt INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('approved', 'declined', 'posted', 'reversed', 'superseded', 'voided', 'expired', 'tombstone')),
        content TEXT,
        answer TEXT,
        at INTEGER NOT NULL,
        PRIMARY KEY (payment_number, attempt)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: "authorisation-2",
    sql: `
      ALTER TABLE authorisation__payment ADD COLUMN cryptogram TEXT CHECK (cryptogram IN ('held', 'failed'));

      CREATE TABLE authorisation__transaction_counter (
        token TEXT NOT NULL,
        sequence_number TEXT NOT NULL,
        counter INTEGER NOT NULL,
        payment_number INTEGER NOT NULL REFERENCES authorisation__payment (number),
        PRIMARY KEY (token, sequence_number, counter)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: "authorisation-3",
    sql: `ALTER TABLE authorisation__payment ADD COLUMN deferred INTEGER CHECK (deferred = 1);`,
  },
  {
    // An attempt may be under way at its issuer.
    id: "authorisation-4",
    sql: `
      CREATE TABLE authorisation__attempt_new (
        payment_number INTEGER NOT NULL REFERENCES authorisation__payment (number),
        attempt INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('asked', 'approved', 'declined', 'posted', 'reversed', 'superseded', 'voided', 'expired', 'tombstone')),
        content TEXT,
        answer TEXT,
        at INTEGER NOT NULL,
        PRIMARY KEY (payment_number, attempt)
      ) STRICT, WITHOUT ROWID;
      INSERT INTO authorisation__attempt_new SELECT payment_number, attempt, state, content, answer, at FROM authorisation__attempt;
      DROP TABLE authorisation__attempt;
      ALTER TABLE authorisation__attempt_new RENAME TO authorisation__attempt;
    `,
  },
  {
    id: "authorisation-5",
    sql: `ALTER TABLE authorisation__payment ADD COLUMN cashback_minor INTEGER;`,
  },
];
