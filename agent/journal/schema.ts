/** The tables of `journal.db`. Rows are small and indices few: every page touched is written once more before an fsync. */
import type { Migration } from "../../base/sqlite.ts";

export const JOURNAL_MIGRATIONS: readonly Migration[] = [
  {
    id: "journal-1",
    sql: `
      CREATE TABLE journal__meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

      CREATE TABLE journal__entry (
        sequence INTEGER PRIMARY KEY,
        forward INTEGER,
        payment_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        previous_hash BLOB NOT NULL,
        hash BLOB NOT NULL,
        sealed_digest BLOB,
        text TEXT NOT NULL
      ) STRICT;
      CREATE INDEX journal__entry_payment ON journal__entry (payment_id);

      CREATE TABLE journal__sealed (sequence INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;

      -- held: minor units of an approved offline sale, which count against the lease until the receipt (RM8).
      CREATE TABLE queue__entry (
        sequence INTEGER PRIMARY KEY,
        forward INTEGER NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        held INTEGER,
        reason TEXT,
        detail TEXT
      ) STRICT;
      CREATE INDEX queue__entry_state ON queue__entry (state, sequence);
    `,
  },
];
