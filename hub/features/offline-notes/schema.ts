/** The tables of offline notes: allowances of staged value, the notes that came of them, and what was spent twice. */
import type { Migration } from "../../../base/sqlite.ts";

export const offlineNotesMigrations: readonly Migration[] = [
  {
    id: "offline-notes-1",
    sql: `
      CREATE TABLE offline_notes__allowance (
        allowance_id TEXT PRIMARY KEY,
        device_id TEXT NOT NULL,
        -- Whose phone it is, and whose money; unknown when a restored hub has neither.
        user_id TEXT,
        account_id TEXT,
        currency TEXT NOT NULL,
        minor INTEGER NOT NULL,
        counter_start INTEGER NOT NULL,
        issued_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        -- The phone's own id of its request, and what it was given; neither is known after a restore.
        request_id TEXT,
        signed TEXT,
        state TEXT NOT NULL CHECK (state IN ('active', 'returned', 'closed')),
        -- What the phone said when it gave the rest back, and how much that was.
        stated_notes INTEGER,
        stated_minor INTEGER,
        returned_minor INTEGER,
        UNIQUE (device_id, request_id)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX offline_notes__allowance_due ON offline_notes__allowance (expires_at) WHERE state <> 'closed';

      CREATE TABLE offline_notes__note (
        number INTEGER PRIMARY KEY,
        allowance_id TEXT NOT NULL REFERENCES offline_notes__allowance (allowance_id),
        counter INTEGER NOT NULL,
        minor INTEGER NOT NULL,
        spent_after INTEGER NOT NULL,
        previous_hash TEXT NOT NULL,
        hash TEXT NOT NULL,
        terminal_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        UNIQUE (terminal_id, payment_id)
      ) STRICT;
      CREATE INDEX offline_notes__note_counter ON offline_notes__note (allowance_id, counter);

      CREATE TABLE offline_notes__conflict (
        number INTEGER PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('same-counter', 'broken-chain', 'after-return')),
        allowance_id TEXT NOT NULL REFERENCES offline_notes__allowance (allowance_id),
        device_id TEXT NOT NULL,
        user_id TEXT,
        counter INTEGER NOT NULL,
        minor INTEGER NOT NULL,
        currency TEXT NOT NULL,
        terminal_id TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        -- The note that it cannot stand beside; none where the phone's own statement is what it contradicts.
        other_terminal_id TEXT,
        other_payment_id TEXT,
        other_minor INTEGER,
        exposure_minor INTEGER NOT NULL,
        exposure_party TEXT NOT NULL,
        at INTEGER NOT NULL
      ) STRICT;
    `,
  },
];
