/** The tables of card verification: cards with their sealed keys, and transactions with their one outcome. */
import type { Migration } from "../../../base/sqlite.ts";

export const cardVerificationMigrations: readonly Migration[] = [
  {
    id: "card-verification-1",
    sql: `
      CREATE TABLE card_verification__card (
        card_id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL,
        sealed_keys BLOB NOT NULL,
        sealed_data BLOB NOT NULL,
        failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
        blocked_at INTEGER,
        created_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE card_verification__transaction (
        number INTEGER PRIMARY KEY,
        terminal_id TEXT NOT NULL,
        txn_id TEXT NOT NULL,
        minor INTEGER NOT NULL,
        currency TEXT NOT NULL,
        payee_account TEXT NOT NULL,
        card_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'declined')),
        challenge_id TEXT UNIQUE,
        challenge_secret BLOB,
        encrypted_data BLOB,
        issued_at INTEGER,
        expires_at INTEGER,
        outcome TEXT,
        trace TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        ended_at INTEGER,
        UNIQUE (terminal_id, txn_id)
      ) STRICT;
      CREATE INDEX card_verification__transaction_card ON card_verification__transaction (card_id);
    `,
  },
];
