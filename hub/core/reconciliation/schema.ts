/** The table of reconciliation: of each terminal and day, the terminal's last list and what came of comparing it. */
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
];
