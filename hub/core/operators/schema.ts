/** The tables of operators: who they are, how they come in, what they did, and the answers kept for repeated requests. */
import type { Migration } from "../../../base/sqlite.ts";

export const operatorMigrations: readonly Migration[] = [
  {
    id: "operators-1",
    sql: `
      CREATE TABLE operators__account (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        -- argon2id, as a PHC string with its own parameters and salt.
        password TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        disabled_at INTEGER
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE operators__session (
        id TEXT PRIMARY KEY,
        secret_hash TEXT NOT NULL,
        account TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        used_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX operators__session_account ON operators__session (account);

      CREATE TABLE operators__token (
        id TEXT PRIMARY KEY,
        secret_hash TEXT NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        used_at INTEGER,
        UNIQUE (account, name)
      ) STRICT, WITHOUT ROWID;

      -- Each hash covers the text and the hash before it. Rows are only ever added.
      CREATE TABLE operators__audit (
        number INTEGER PRIMARY KEY,
        text TEXT NOT NULL,
        hash TEXT NOT NULL
      ) STRICT;

      -- The newest entry, signed: a log that was cut short does not reach it.
      CREATE TABLE operators__audit_head (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        number INTEGER NOT NULL,
        hash TEXT NOT NULL,
        signature TEXT NOT NULL
      ) STRICT;
      INSERT INTO operators__audit_head VALUES
        (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', '');

      -- The first answer to a request that carried an idempotency key.
      CREATE TABLE operators__repeat (
        identity TEXT NOT NULL,
        key TEXT NOT NULL,
        request_hash TEXT NOT NULL,
        status INTEGER NOT NULL,
        answer TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (identity, key)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX operators__repeat_at ON operators__repeat (at);
    `,
  },
];
