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
];
