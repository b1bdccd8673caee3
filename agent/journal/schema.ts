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
  {
    // One row for an entry and its sealed data, and none in the queue until its state moves: a sale's commit writes few pages.
    id: "journal-2",
    sql: `
      CREATE TABLE journal__entry_new (
        sequence INTEGER PRIMARY KEY,
        forward INTEGER,
        payment_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        previous_hash BLOB NOT NULL,
        hash BLOB NOT NULL,
        sealed_digest BLOB,
        -- Minor units of an approved offline sale, which count against the lease until the receipt (RM8).
        held INTEGER,
        text TEXT NOT NULL,
        -- As long as the sealed data were, and zeros, once they are erased (RM5).
        sealed BLOB
      ) STRICT;
      INSERT INTO journal__entry_new
        SELECT e.sequence, e.forward, e.payment_id, e.kind, e.previous_hash, e.hash, e.sealed_digest, q.held, e.text, s.sealed
        FROM journal__entry e
        LEFT JOIN queue__entry q ON q.sequence = e.sequence
        LEFT JOIN journal__sealed s ON s.sequence = e.sequence
        ORDER BY e.sequence;

      -- An entry with a forward number and no row here is eligible.
      CREATE TABLE queue__state (
        sequence INTEGER PRIMARY KEY,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        reason TEXT,
        detail TEXT
      ) STRICT;
      INSERT INTO queue__state
        SELECT sequence, state, attempts, reason, detail FROM queue__entry WHERE state <> 'eligible' ORDER BY sequence;

      CREATE INDEX queue__state_quarantined ON queue__state (sequence) WHERE state = 'quarantined';

      DROP TABLE queue__entry;
      DROP TABLE journal__sealed;
      DROP TABLE journal__entry;
      ALTER TABLE journal__entry_new RENAME TO journal__entry;
      CREATE INDEX journal__entry_payment ON journal__entry (payment_id);
    `,
  },
  {
    // The open entries that are not simply untouched: sent, or taken up again by a person. They are few, and asked for all the time.
    id: "queue-3",
    sql: `
      CREATE INDEX queue__state_open ON queue__state (sequence) WHERE state IN ('eligible', 'forwarding');
    `,
  },
  {
    // Signed statements about the chain, and what left this file for an archive.
    id: "journal-3",
    sql: `
      CREATE TABLE journal__checkpoint (
        sequence INTEGER PRIMARY KEY,
        text TEXT NOT NULL,
        signature TEXT NOT NULL
      ) STRICT;

      -- The newest row is where the chain of this file begins; text and signature are a checkpoint of it.
      CREATE TABLE journal__archive (
        last INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        file TEXT NOT NULL,
        text TEXT NOT NULL,
        signature TEXT NOT NULL
      ) STRICT;

      -- Payments whose entries were archived: their ids never pay again. facts: JSON of what was asked and what became of it.
      CREATE TABLE journal__archived (payment_id TEXT PRIMARY KEY, facts TEXT NOT NULL) STRICT, WITHOUT ROWID;
    `,
  },
  {
    // The notes of staged value that were taken, by their allowance: few entries among many, and looked for at a sale.
    id: "journal-4",
    sql: `
      CREATE INDEX journal__entry_note
        ON journal__entry (json_extract(text, '$.note.allowanceId'), json_extract(text, '$.note.counter'))
        WHERE kind = 'decision' AND instr(text, '"note":{') > 0;
    `,
  },
];
