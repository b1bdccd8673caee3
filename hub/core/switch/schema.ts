/**
 * The tables of the switch: what each institution allowed and how much of it is used, what its issuer was asked, the advice
 * log, which holds every decision that he has yet to hear of, and what he is reconciled with.
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
  {
    id: "switch-2",
    sql: `
      -- 1 once it is known what the issuer did with it: by his answer, or by his answer to what was told of it.
      ALTER TABLE switch__exchange ADD COLUMN known INTEGER NOT NULL DEFAULT 0 CHECK (known IN (0, 1));
      -- The business day of the issuer that its message names; of those before there were any, one that is long over.
      ALTER TABLE switch__exchange ADD COLUMN day TEXT NOT NULL DEFAULT '1970-01-01';
      UPDATE switch__exchange SET known = 1 WHERE open = 0;
      -- The business day that its message names: that of a question whose end it tells, or of its first sending.
      ALTER TABLE switch__advice ADD COLUMN day TEXT;
      CREATE INDEX switch__advice_doubt ON switch__advice (institution_id, day) WHERE state IN ('waiting', 'sent');

      -- Business days that messages to an issuer named.
      CREATE TABLE switch__period (
        institution_id TEXT NOT NULL,
        day TEXT NOT NULL,
        closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
        PRIMARY KEY (institution_id, day)
      ) STRICT, WITHOUT ROWID;

      -- What an issuer posted, as he answered it. An attempt is posted once, and taken back once; attempt 0 is the payment.
      CREATE TABLE switch__movement (
        terminal_id TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        back INTEGER NOT NULL CHECK (back IN (0, 1)),
        institution_id TEXT NOT NULL,
        day TEXT NOT NULL,
        currency TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('debit', 'credit')),
        minor INTEGER NOT NULL,
        PRIMARY KEY (terminal_id, payment_id, attempt, back)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX switch__movement_day ON switch__movement (institution_id, day, currency, side, back, minor);

      CREATE TABLE switch__reconciliation (
        number INTEGER PRIMARY KEY,
        institution_id TEXT NOT NULL,
        day TEXT NOT NULL,
        currency TEXT NOT NULL,
        -- JSON of the totals: ours when the day was closed, and the issuer's where he gave them.
        ours TEXT NOT NULL,
        theirs TEXT,
        closed_at INTEGER NOT NULL,
        ended_at INTEGER,
        state TEXT NOT NULL
          CHECK (state IN ('waiting', 'sent', 'in-balance', 'out-of-balance', 'refused', 'unanswered')),
        sends INTEGER NOT NULL,
        refusals INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        -- Of the newest message that is no repeat.
        stan TEXT,
        transmitted_at INTEGER,
        refusal_code TEXT,
        UNIQUE (institution_id, day, currency)
      ) STRICT;
      CREATE INDEX switch__reconciliation_open ON switch__reconciliation (institution_id, number)
        WHERE state IN ('waiting', 'sent');
    `,
  },
  {
    id: "switch-3",
    sql: `
      -- Of a reversal: what became of the issuer's scripts, tag 9F5B in hex.
      ALTER TABLE switch__advice ADD COLUMN script_results TEXT;
    `,
  },
];
