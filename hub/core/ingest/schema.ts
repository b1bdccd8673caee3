/**
 * The tables of ingest: every entry that was ever taken, as it was sent, what is still missing, what was set aside for a
 * person, and what is wrong with a terminal's journal.
 */
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
  {
    id: "ingest-2",
    // ingest__epoch.opened: the how-manieth epoch of its terminal it is, counted as each was first shown as the present one.
    // ingest__quarantine.card: token and expiry as JSON, so that a person can accept an entry whose sealed data are gone.
    sql: `
      ALTER TABLE ingest__epoch ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE ingest__epoch ADD COLUMN opened INTEGER;
      ALTER TABLE ingest__epoch ADD COLUMN head_sequence INTEGER;
      ALTER TABLE ingest__epoch ADD COLUMN head_hash TEXT;

      ALTER TABLE ingest__ahead ADD COLUMN at INTEGER NOT NULL DEFAULT 0;

      ALTER TABLE ingest__quarantine ADD COLUMN forward INTEGER;
      ALTER TABLE ingest__quarantine ADD COLUMN previous_hash TEXT;
      ALTER TABLE ingest__quarantine ADD COLUMN sealed_digest TEXT;
      ALTER TABLE ingest__quarantine ADD COLUMN card TEXT;
      ALTER TABLE ingest__quarantine ADD COLUMN closed_at INTEGER;
      ALTER TABLE ingest__quarantine ADD COLUMN closed_by TEXT;
      ALTER TABLE ingest__quarantine ADD COLUMN closed_why TEXT;
      ALTER TABLE ingest__quarantine ADD COLUMN result TEXT;
      ALTER TABLE ingest__quarantine ADD COLUMN result_reason TEXT;
      ALTER TABLE ingest__quarantine ADD COLUMN result_detail TEXT;
      CREATE INDEX ingest__quarantine_open ON ingest__quarantine (terminal_id, epoch) WHERE closed_at IS NULL;

      CREATE TABLE ingest__finding (
        number INTEGER PRIMARY KEY,
        terminal_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('gap', 'fork', 'restored', 'clone', 'old-epoch')),
        sequence INTEGER NOT NULL,
        detail TEXT NOT NULL,
        times INTEGER NOT NULL DEFAULT 1,
        first_seen_at INTEGER NOT NULL,
        last_seen_at INTEGER NOT NULL,
        closed_at INTEGER,
        closed_by TEXT,
        closed_why TEXT
      ) STRICT;
      CREATE UNIQUE INDEX ingest__finding_open ON ingest__finding (terminal_id, epoch, kind) WHERE closed_at IS NULL;
    `,
  },
  {
    id: "ingest-3",
    // The time that an entry gives itself: what cannot be read is empty, what an earlier version took is null.
    sql: `
      ALTER TABLE ingest__entry ADD COLUMN at TEXT;
      ALTER TABLE ingest__quarantine ADD COLUMN at TEXT;
    `,
  },
];
