/** The tables of pre-authorised codes: what was granted, and how often a wrong code was shown for a user. */
import type { Migration } from "../../../base/sqlite.ts";

export const preAuthorisedCodeMigrations: readonly Migration[] = [
  {
    id: "pre-authorised-code-1",
    sql: `
      CREATE TABLE pre_authorised_code__grant (
        number INTEGER PRIMARY KEY,
        grant_id TEXT NOT NULL UNIQUE,
        user_id TEXT NOT NULL,
        code_hash BLOB NOT NULL,
        device_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        cap_minor INTEGER NOT NULL CHECK (cap_minor > 0),
        currency TEXT NOT NULL,
        validity_sec INTEGER NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('ISSUED', 'RESERVED', 'USED', 'EXPIRED', 'REVOKED')),
        terminal_id TEXT,
        payment_id TEXT,
        minor INTEGER,
        issued_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        revoked_at INTEGER,
        UNIQUE (user_id, code_hash),
        UNIQUE (terminal_id, payment_id)
      ) STRICT;

      CREATE TABLE pre_authorised_code__wrong_codes (
        user_id TEXT PRIMARY KEY,
        count INTEGER NOT NULL CHECK (count >= 0)
      ) STRICT, WITHOUT ROWID;
    `,
  },
];
