/** The tables of reconciliation: of each terminal and day its last list and what came of comparing it; lists on their way. */
import type { Migration } from "../../../base/sqlite.ts";

export const reconciliationMigrations: readonly Migration[] = [
  {
    id: "reconciliation-1",
    sql: `
      CREATE TABLE reconciliation__report (
        terminal_id TEXT NOT NULL,
        business_date TEXT NOT NULL,
        at INTEGER NOT NULL,
        -- JSON of the terminal's list with its head, and of the report that it was answered.
        summary TEXT NOT NULL,
        report TEXT NOT NULL,
        PRIMARY KEY (terminal_id, business_date)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: "reconciliation-2",
    sql: `
      CREATE TABLE reconciliation__part (
        terminal_id TEXT NOT NULL,
        summary_id TEXT NOT NULL,
        part INTEGER NOT NULL,
        at INTEGER NOT NULL,
        -- JSON of its entries.
        entries TEXT NOT NULL,
        PRIMARY KEY (terminal_id, summary_id, part)
      ) STRICT, WITHOUT ROWID;
    `,
  },
];
