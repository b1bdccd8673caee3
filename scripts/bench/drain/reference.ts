/** What the drain is compared with: SQLite alone, storing what one sale leaves at the hub, 50 sales in a commit. */
import { openSqlite } from "../../../base/sqlite.ts";

const SALES_PER_COMMIT = 50;
const ACCOUNTS = 1_000;
const MERCHANT = "merchant";

/**
 * One entry of `rowBytes`, one transfer and two balances for each sale; WAL and `synchronous=FULL` as in the product.
 * Gives sales a second over about `durationMs`.
 */
export function bareRate(path: string, rowBytes: number, durationMs: number): number {
  const database = openSqlite(path, {
    migrations: [
      {
        id: "bench-1",
        sql: `
          CREATE TABLE bench__entry (terminal TEXT NOT NULL, sequence INTEGER NOT NULL, text TEXT NOT NULL,
            PRIMARY KEY (terminal, sequence)) STRICT, WITHOUT ROWID;
          CREATE TABLE bench__transfer (id TEXT PRIMARY KEY, debit TEXT NOT NULL, credit TEXT NOT NULL,
            amount INTEGER NOT NULL) STRICT, WITHOUT ROWID;
          CREATE TABLE bench__account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT, WITHOUT ROWID;
          INSERT INTO bench__account VALUES ('${MERCHANT}', 0);
          WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${ACCOUNTS})
            INSERT INTO bench__account SELECT 'customer-' || i, 1000000000 FROM n;`,
      },
    ],
  });
  const entry = database.prepare("INSERT INTO bench__entry VALUES ('bench-1', ?, ?)");
  const transfer = database.prepare("INSERT INTO bench__transfer VALUES (?, ?, ?, ?)");
  const balance = database.prepare("UPDATE bench__account SET balance = balance + ? WHERE id = ?");
  const text = "x".repeat(rowBytes);
  let sale = 0;
  const commit = database.transaction(() => {
    for (let at = 0; at < SALES_PER_COMMIT; at += 1) {
      const customer = `customer-${sale % ACCOUNTS}`;
      entry.run(sale, text);
      transfer.run(`bench-1/0198c0de-7000-7000-8000-${sale}/advice/0`, customer, MERCHANT, 100);
      balance.run(-100, customer);
      balance.run(100, MERCHANT);
      sale += 1;
    }
  });
  const began = performance.now();
  while (performance.now() - began < durationMs) commit();
  const rate = (sale / (performance.now() - began)) * 1_000;
  database.close();
  return rate;
}
