/** The ledger's tables. Balances are kept beside the transfers for speed and are derivable from them alone. */
import type { Migration } from "../../../base/sqlite.ts";

export const ledgerMigrations: readonly Migration[] = [
  {
    id: "ledger-1",
    sql: `
      CREATE TABLE ledger__account (
        id TEXT PRIMARY KEY,
        currency TEXT NOT NULL,
        code INTEGER NOT NULL,
        balance_limit TEXT NOT NULL CHECK (balance_limit IN ('none', 'debits-must-not-exceed-credits', 'credits-must-not-exceed-debits')),
        debits_pending INTEGER NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
        debits_posted INTEGER NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
        credits_pending INTEGER NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
        credits_posted INTEGER NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
        created_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE ledger__transfer (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL CHECK (kind IN ('single', 'pending', 'post-pending', 'void-pending')),
        debit_account TEXT NOT NULL REFERENCES ledger__account (id),
        credit_account TEXT NOT NULL REFERENCES ledger__account (id),
        amount INTEGER NOT NULL CHECK (amount >= 0),
        requested INTEGER,
        pending_id TEXT,
        code INTEGER NOT NULL,
        linked INTEGER NOT NULL,
        balancing_debit INTEGER NOT NULL,
        timeout_ms INTEGER,
        created_at INTEGER NOT NULL
      ) STRICT;

      CREATE TABLE ledger__pending (
        transfer_id TEXT PRIMARY KEY,
        state TEXT NOT NULL CHECK (state IN ('pending', 'posted', 'voided', 'expired')),
        expires_at INTEGER
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX ledger__pending_due ON ledger__pending (expires_at) WHERE state = 'pending' AND expires_at IS NOT NULL;

      CREATE TABLE ledger__failed (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    `,
  },
];
