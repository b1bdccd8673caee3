/** The tables of settlement: merchants with their sites and terminals, batches, what is in them, and what became of them. */
import type { Migration } from "../../../base/sqlite.ts";

export const settlementMigrations: readonly Migration[] = [
  {
    id: "settlement-1",
    sql: `
      CREATE TABLE settlement__merchant (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        iban TEXT,
        bic TEXT,
        category TEXT,
        -- JSON of the fee schedule.
        fees TEXT NOT NULL,
        changed_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE settlement__site (
        id TEXT PRIMARY KEY,
        merchant_id TEXT NOT NULL REFERENCES settlement__merchant (id),
        name TEXT NOT NULL,
        time_zone TEXT NOT NULL,
        cutover TEXT NOT NULL,
        changed_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX settlement__site_merchant ON settlement__site (merchant_id);

      CREATE TABLE settlement__terminal (
        terminal_id TEXT PRIMARY KEY,
        site_id TEXT NOT NULL REFERENCES settlement__site (id),
        at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX settlement__terminal_site ON settlement__terminal (site_id);

      CREATE TABLE settlement__batch (
        number INTEGER PRIMARY KEY,
        site_id TEXT NOT NULL REFERENCES settlement__site (id),
        business_date TEXT NOT NULL,
        opened_at INTEGER NOT NULL,
        -- The site's next cutover.
        closes_at INTEGER NOT NULL,
        closed_at INTEGER,
        closed_by TEXT CHECK (closed_by IN ('cutover', 'operator')),
        settled_at INTEGER
      ) STRICT;
      CREATE UNIQUE INDEX settlement__batch_open ON settlement__batch (site_id) WHERE closed_at IS NULL;
      CREATE INDEX settlement__batch_due ON settlement__batch (closes_at) WHERE closed_at IS NULL;
      CREATE INDEX settlement__batch_unsettled ON settlement__batch (number) WHERE settled_at IS NULL;
      CREATE INDEX settlement__batch_site ON settlement__batch (site_id, business_date);

      -- What moved the merchant's money, once for ever.
      CREATE TABLE settlement__item (
        terminal_id TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('purchase', 'refund', 'chargeback', 'representment')),
        -- Of a chargeback and its representment; else empty.
        dispute TEXT NOT NULL,
        batch INTEGER NOT NULL REFERENCES settlement__batch (number),
        currency TEXT NOT NULL,
        minor INTEGER NOT NULL,
        exposure_minor INTEGER NOT NULL,
        fee_minor INTEGER NOT NULL,
        means TEXT,
        business_date TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, payment_id, kind, dispute)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX settlement__item_batch ON settlement__item (batch);

      -- The sums of a closed batch.
      CREATE TABLE settlement__total (
        batch INTEGER NOT NULL REFERENCES settlement__batch (number),
        currency TEXT NOT NULL,
        purchases INTEGER NOT NULL,
        purchases_minor INTEGER NOT NULL,
        refunds INTEGER NOT NULL,
        refunds_minor INTEGER NOT NULL,
        chargebacks INTEGER NOT NULL,
        chargebacks_minor INTEGER NOT NULL,
        representments INTEGER NOT NULL,
        representments_minor INTEGER NOT NULL,
        exposures INTEGER NOT NULL,
        exposure_minor INTEGER NOT NULL,
        fees_minor INTEGER NOT NULL,
        PRIMARY KEY (batch, currency)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: "settlement-2",
    sql: `
      CREATE TABLE settlement__settlement (
        number INTEGER PRIMARY KEY,
        batch INTEGER NOT NULL REFERENCES settlement__batch (number),
        merchant_id TEXT NOT NULL,
        currency TEXT NOT NULL,
        net_minor INTEGER NOT NULL,
        fees_minor INTEGER NOT NULL,
        -- Debts: zero or below.
        carried_in_minor INTEGER NOT NULL,
        payable_minor INTEGER NOT NULL,
        carried_minor INTEGER NOT NULL,
        at INTEGER NOT NULL,
        UNIQUE (batch, currency)
      ) STRICT;
      CREATE INDEX settlement__settlement_merchant ON settlement__settlement (merchant_id, currency, number);

      CREATE TABLE settlement__payout (
        number INTEGER PRIMARY KEY,
        message_id TEXT NOT NULL UNIQUE,
        currency TEXT NOT NULL,
        execution_date TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        payer_name TEXT NOT NULL,
        payer_iban TEXT NOT NULL,
        payer_bic TEXT NOT NULL
      ) STRICT;

      -- With the account as it was then: the same file at any time.
      CREATE TABLE settlement__payout_line (
        payout INTEGER NOT NULL REFERENCES settlement__payout (number),
        line INTEGER NOT NULL,
        merchant_id TEXT NOT NULL,
        minor INTEGER NOT NULL,
        end_to_end_id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        iban TEXT NOT NULL,
        bic TEXT NOT NULL,
        PRIMARY KEY (payout, line)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX settlement__payout_line_merchant ON settlement__payout_line (merchant_id);
    `,
  },
  {
    id: "settlement-3",
    sql: `
      CREATE TABLE settlement__dispute (
        id TEXT PRIMARY KEY,
        terminal_id TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        merchant_id TEXT NOT NULL,
        reason_code TEXT NOT NULL,
        currency TEXT NOT NULL,
        minor INTEGER NOT NULL,
        account_id TEXT,
        -- The part of it that went back to who had borne it.
        exposure_minor INTEGER NOT NULL,
        exposure_party TEXT,
        state TEXT NOT NULL CHECK (state IN ('charged-back', 'represented')),
        at INTEGER NOT NULL,
        represented_at INTEGER,
        -- What of a representment the customer's account could not pay.
        uncovered_minor INTEGER
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX settlement__dispute_payment ON settlement__dispute (terminal_id, payment_id);
    `,
  },
  {
    // JSON of the trade terms; the usual ones where nothing was said.
    id: "settlement-4",
    sql: `ALTER TABLE settlement__merchant ADD COLUMN trade TEXT;`,
  },
];
