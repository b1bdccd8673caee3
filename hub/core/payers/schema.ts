/** The tables of payers: their phones, how one may come, and what waits to be told to it. */
import type { Migration } from "../../../base/sqlite.ts";

export const payerMigrations: readonly Migration[] = [
  {
    id: "payers-1",
    sql: `
      CREATE TABLE payers__device (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        public_key TEXT NOT NULL,
        account_id TEXT NOT NULL,
        name TEXT,
        status TEXT NOT NULL CHECK (status IN ('active', 'blocked')),
        created_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX payers__device_user ON payers__device (user_id);

      CREATE TABLE payers__claim (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        name TEXT,
        secret_hash BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        used_at INTEGER
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE payers__notice (
        number INTEGER PRIMARY KEY,
        device_id TEXT NOT NULL REFERENCES payers__device (id),
        status TEXT NOT NULL CHECK (status IN ('paid', 'released')),
        txn_id TEXT NOT NULL,
        minor INTEGER NOT NULL,
        currency TEXT NOT NULL,
        at INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX payers__notice_device ON payers__notice (device_id, number);
    `,
  },
  {
    id: "payers-2",
    sql: "CREATE INDEX payers__device_account ON payers__device (account_id);",
  },
  {
    id: "payers-3",
    sql: "ALTER TABLE payers__notice ADD COLUMN grant_id TEXT;",
  },
];
