/**
 * The tables of the switch: what each institution allowed and how much of it is used, what its issuer was asked, and the
 * advice log, which holds every decision that he has yet to hear of.
 */
import type { Migration } from "../../../base/sqlite.ts";

export const switchMigrations: readonly Migration[] = [
  {
    id: "switch-1",
    sql: `
      CREATE TABLE switch__institution (
        id TEXT PRIMARY KEY,
        -- The signed stand-in parameters in force, as they came.
        parameters TEXT,
        -- The latest time that a decision was made by; it never goes back.
        latest_at INTEGER NOT NULL,
        -- Minor units approved in its name that it has not been told of yet.
        sum_minor INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE switch__account (
        institution_id TEXT NOT NULL,
        account TEXT NOT NULL,
        count INTEGER NOT NULL,
        sum_minor INTEGER NOT NULL,
        PRIMARY KEY (institution_id, account)
      ) STRICT, WITHOUT ROWID;

      -- Attempt 0: the payment was decided by its terminal.
      CREATE TABLE switch__exchange (
        terminal_id TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        institution_id TEXT NOT NULL,
        account TEXT NOT NULL,
        -- JSON of all that messages say of the payment, without its card.
        facts TEXT NOT NULL,
        -- The card, sealed under the switch's own key: number, expiry and sequence number, never a track.
        card BLOB NOT NULL,
        stan TEXT NOT NULL,
        transmitted_at INTEGER NOT NULL,
        -- The request was given to the link.
        sent INTEGER NOT NULL CHECK (sent IN (0, 1)),
        -- 1 while its end is not known.
        open INTEGER NOT NULL CHECK (open IN (0, 1)),
        at INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, payment_id, attempt)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX switch__exchange_open ON switch__exchange (at) WHERE open = 1;

      CREATE TABLE switch__advice (
        number INTEGER PRIMARY KEY,
        institution_id TEXT NOT NULL,
        account TEXT NOT NULL,
        terminal_id TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('advice', 'reversal')),
        reason TEXT NOT NULL,
        approved INTEGER NOT NULL CHECK (approved IN (0, 1)),
        response_code TEXT NOT NULL,
        approval_code TEXT,
        decided_by TEXT,
        at INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'delivered', 'exception')),
        sends INTEGER NOT NULL,
        refusals INTEGER NOT NULL,
        -- Of a waiting one when it is sent; of a sent one when it counts as lost.
        due_at INTEGER NOT NULL,
        -- Of the first sending, which every repeat repeats.
        stan TEXT,
        transmitted_at INTEGER,
        refusal_code TEXT,
        UNIQUE (terminal_id, payment_id, attempt, kind)
      ) STRICT;
      CREATE INDEX switch__advice_open ON switch__advice (institution_id, account, number) WHERE state IN ('waiting', 'sent');
      CREATE INDEX switch__advice_exception ON switch__advice (institution_id, number) WHERE state = 'exception';
    `,
  },
];
