import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { currencyOf } from "../../../base/money.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import { createLedger } from "./ledger.ts";
import { ledgerMigrations } from "./migrations.ts";
import type { NewTransfer } from "./model.ts";

const folder = mkdtempSync(join(tmpdir(), "tillway-ledger-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const EUR = currencyOf("EUR");
const AT = Date.UTC(2026, 0, 5, 9);
/** A hold of all that ann has is posted in part; one more is voided under another code, and one stands. */
const OLD_ROWS = `
  INSERT INTO ledger__account VALUES ('equity', 'EUR', 40, 'none', 0, 100, 0, 0, ${AT});
  INSERT INTO ledger__account VALUES ('ann', 'EUR', 10, 'debits-must-not-exceed-credits', 7, 4, 0, 100, ${AT});
  INSERT INTO ledger__account VALUES ('shop', 'EUR', 20, 'none', 0, 0, 7, 4, ${AT + 5});
  INSERT INTO ledger__transfer VALUES (1, 'fund', 'single', 'equity', 'ann', 100, 100, NULL, 8, 0, 0, NULL, ${AT});
  INSERT INTO ledger__transfer VALUES (2, 'hold-1', 'pending', 'ann', 'shop', 96, 500, NULL, 1, 0, 1, 60000, ${AT + 9});
  INSERT INTO ledger__transfer VALUES (3, 'post-1', 'post-pending', 'ann', 'shop', 4, 4, 'hold-1', 1, 0, 0, NULL, ${AT + 3});
  INSERT INTO ledger__transfer VALUES (4, 'hold-2', 'pending', 'ann', 'shop', 5, 5, NULL, 1, 1, 0, NULL, ${AT + 9});
  INSERT INTO ledger__transfer VALUES (5, 'void-2', 'void-pending', 'ann', 'shop', 5, NULL, 'hold-2', 6, 0, 0, NULL, ${AT + 9});
  INSERT INTO ledger__transfer VALUES (6, 'hold-3', 'pending', 'ann', 'shop', 7, 7, NULL, 1, 0, 0, 60000, ${AT + 9});
  INSERT INTO ledger__pending VALUES ('hold-1', 'posted', ${AT + 60_009}), ('hold-2', 'voided', NULL), ('hold-3', 'pending', ${AT + 60_009});
  INSERT INTO ledger__failed VALUES ('failed');`;

async function migrated() {
  const path = join(folder, "hub.db");
  const before = openSqlite(path, { migrations: ledgerMigrations.slice(0, 1) });
  before.exec(OLD_ROWS);
  before.close();
  const clock = new ManualClock(AT + 10);
  const store = sqliteStore(openSqlite(path, { migrations: ledgerMigrations }));
  return { store, clock, ledger: createLedger({ kind: "sqlite", clock }) };
}

test("a ledger of the first schema keeps its balances, its order and what its ids answer", async () => {
  const { store, clock, ledger } = await migrated();
  await using _ = store;
  const accounts = await store.read((reading) => ledger.accounts(reading, { limit: 10 }));
  expect(accounts.map((a) => [a.id, a.debitsPending, a.debitsPosted, a.creditsPending, a.creditsPosted])).toEqual([
    ["ann", 7n, 4n, 0n, 100n],
    ["equity", 0n, 100n, 0n, 0n],
    ["shop", 0n, 0n, 7n, 4n],
  ]);
  const transfers = await store.read((reading) => ledger.transfers(reading, { limit: 10 }));
  expect(transfers.map(({ id }) => id)).toEqual(["fund", "hold-1", "post-1", "hold-2", "void-2", "hold-3"]);
  expect(transfers[1]).toMatchObject({ amount: 96n, requested: 500n, balancingDebit: true, currency: EUR });
  const times = [...accounts, ...transfers].map(({ timestampUs }) => timestampUs);
  expect(new Set(times).size).toBe(times.length);
  const walked = await store.read((reading) =>
    ledger.accountTransfers(reading, { account: "shop", limit: 3, reversed: true }),
  );
  expect(walked.map(({ id }) => id)).toEqual(["hold-3", "void-2", "hold-2"]);

  const again: NewTransfer[] = [
    { id: "fund", kind: "single", debitAccount: "equity", creditAccount: "ann", amount: 100n, code: 8 },
    { id: "post-1", kind: "post-pending", pendingId: "hold-1", amount: 4n },
    { id: "void-2", kind: "void-pending", pendingId: "hold-2" },
    { id: "failed", kind: "void-pending", pendingId: "hold-3" },
    { id: "post-2", kind: "post-pending", pendingId: "hold-2" },
    { id: "post-3", kind: "post-pending", pendingId: "hold-3" },
  ];
  expect(await store.transaction((within) => ledger.createTransfers(within, again))).toEqual([
    "exists",
    "exists",
    "exists",
    "id-already-failed",
    "pending-transfer-already-voided",
    "created",
  ]);
  await clock.advance(120_000);
  expect(await store.transaction((within) => ledger.expireDue(within, 10))).toEqual([]);
  const [totals] = await store.read((reading) => ledger.totals(reading));
  expect(totals).toEqual({
    currency: EUR,
    debitsPending: 0n,
    debitsPosted: 111n,
    creditsPending: 0n,
    creditsPosted: 111n,
  });
});
