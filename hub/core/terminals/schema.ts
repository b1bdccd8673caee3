/** The tables of terminals: who they are, how they may come, and when they were last heard. */
import type { Migration } from "../../../base/sqlite.ts";

export const terminalMigrations: readonly Migration[] = [
  {
    id: "terminals-1",
    sql: `
      CREATE TABLE terminals__terminal (
        id TEXT PRIMARY KEY,
        signing_key TEXT NOT NULL,
        bearer_hash BLOB NOT NULL,
        card_token_key BLOB NOT NULL,
        lease_counter INTEGER NOT NULL DEFAULT 0,
        enrolled_at INTEGER NOT NULL,
        last_seen_at INTEGER,
        presence TEXT,
        health TEXT
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE terminals__claim (
        id TEXT PRIMARY KEY,
        terminal_id TEXT NOT NULL,
        secret_hash BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        used_at INTEGER
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: "terminals-2",
    sql: `
      CREATE TABLE terminals__deferring_leases (
        terminal_id TEXT NOT NULL,
        first_counter INTEGER NOT NULL,
        last_counter INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, first_counter)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: "terminals-3",
    sql: `
      ALTER TABLE terminals__terminal ADD COLUMN enrolled_key_id TEXT;
      ALTER TABLE terminals__terminal ADD COLUMN revoked_at INTEGER;

      CREATE TABLE terminals__action (
        number INTEGER PRIMARY KEY,
        terminal_id TEXT NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('revoke', 'restore', 'give-up')),
        by_whom TEXT NOT NULL,
        why TEXT NOT NULL,
        at INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX terminals__action_terminal ON terminals__action (terminal_id);

      -- Leases of one content in a row: a row per change of policy, key or journal, and not per lease.
      CREATE TABLE terminals__lease (
        terminal_id TEXT NOT NULL,
        first_counter INTEGER NOT NULL,
        last_counter INTEGER NOT NULL,
        epoch TEXT NOT NULL,
        currency TEXT NOT NULL,
        sum_minor INTEGER NOT NULL,
        -- What one payer may spend of it.
        payer_minor INTEGER NOT NULL,
        sealing_key_id TEXT NOT NULL,
        issued_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, first_counter)
      ) STRICT, WITHOUT ROWID;

      -- What each journal of a terminal last told of itself.
      CREATE TABLE terminals__journal (
        terminal_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        first_heard_at INTEGER NOT NULL,
        heard_at INTEGER NOT NULL,
        head_forward INTEGER,
        PRIMARY KEY (terminal_id, epoch)
      ) STRICT, WITHOUT ROWID;

      -- Since when a journal is known to hold a lease that names this sealing key.
      CREATE TABLE terminals__key_held (
        terminal_id TEXT NOT NULL,
        epoch TEXT NOT NULL,
        sealing_key_id TEXT NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, epoch, sealing_key_id)
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE terminals__denied (
        number INTEGER PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('card', 'device', 'account')),
        -- The hub's keyed hash of a card's number; else the id itself.
        name TEXT NOT NULL,
        shown TEXT NOT NULL,
        -- Of a card: its number, sealed with AES-256-GCM.
        sealed BLOB,
        why TEXT,
        at INTEGER NOT NULL,
        UNIQUE (kind, name)
      ) STRICT;

      CREATE TABLE terminals__deny_version (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        version INTEGER NOT NULL
      ) STRICT;
      INSERT INTO terminals__deny_version VALUES (1, 0);
    `,
  },
  {
    id: "terminals-4",
    sql: `
      CREATE TABLE terminals__certificate (
        serial TEXT PRIMARY KEY,
        terminal_id TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        key_digest TEXT NOT NULL,
        pem TEXT NOT NULL,
        issued_at INTEGER NOT NULL,
        ends_at INTEGER NOT NULL,
        first_used_at INTEGER,
        closed_at INTEGER,
        closed_why TEXT CHECK (closed_why IN ('replaced', 'enrolled-again'))
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX terminals__certificate_terminal ON terminals__certificate (terminal_id, issued_at);
    `,
  },
  {
    id: "terminals-5",
    sql: `
      -- What the hub's keys are known by: by the name of the file that holds each.
      CREATE TABLE terminals__key_mark (
        name TEXT PRIMARY KEY,
        mark TEXT NOT NULL
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: "terminals-6",
    sql: `
      CREATE INDEX terminals__certificate_ended ON terminals__certificate (ends_at, terminal_id, closed_at)
        WHERE closed_why = 'enrolled-again';
    `,
  },
];
