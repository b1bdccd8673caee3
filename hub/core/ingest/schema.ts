/** The tables of ingest: every entry that was ever taken, as it was sent, and what is still missing. */
import type { Migration } from "../../../base/sqlite.ts";

export const ingestMigrations: readonly Migration[] = [
  {
    id: "ingest-1",
    sql: `
      CREATE TABLE ingest__entry (
        terminal_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        forward INTEGER,
        previous_hash TEXT NOT NULL,
        hash TEXT NOT NULL,
        sealed_digest TEXT,
        text TEXT NOT NULL,
        payment_id TEXT,
        status TEXT NOT NULL,
        reason TEXT,
        detail TEXT,
        received_at INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, epoch, sequence)
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE ingest__quarantine (
        number INTEGER PRIMARY KEY,
        terminal_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        hash TEXT NOT NULL,
        text TEXT NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        received_at INTEGER NOT NULL,
        UNIQUE (terminal_id, epoch, sequence, hash)
      ) STRICT;

      CREATE TABLE ingest__epoch (
        terminal_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        watermark INTEGER NOT NULL DEFAULT 0,
        first_seen_at INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, epoch)
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE ingest__ahead (
        terminal_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        forward INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, epoch, forward)
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE ingest__hub (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        epoch TEXT NOT NULL
      ) STRICT;
    `,
  },
];
