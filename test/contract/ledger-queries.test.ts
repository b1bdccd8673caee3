/** What can be asked of the ledger, on both stores. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { currencyOf } from "../../base/money.ts";
import { openSqlite } from "../../base/sqlite.ts";
import { createLedger } from "../../hub/core/ledger/ledger.ts";
import { ledgerMigrations } from "../../hub/core/ledger/migrations.ts";
import { AMOUNT_MAX, type NewTransfer } from "../../hub/core/ledger/model.ts";
import { openPostgresStore } from "../../hub/store/postgres-store.ts";
import { sqliteStore } from "../../hub/store/sqlite-store.ts";
import type { HubStore } from "../../hub/store/store.ts";
import { type PostgresServer, startPostgres } from "../../scripts/lib/postgres.ts";

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ fsync: "off" });
});
afterAll(() => server[Symbol.asyncDispose]());

const STORES: Readonly<Record<string, () => Promise<HubStore>>> = {
  sqlite: async () => sqliteStore(openSqlite(":memory:", { migrations: ledgerMigrations })),
  postgres: () => openPostgresStore({ urls: [server.newDatabase()], migrations: ledgerMigrations }),
};
const EUR = currencyOf("EUR");
const single = (id: string, more: Partial<NewTransfer> = {}): NewTransfer =>
  ({ id, kind: "single", debitAccount: "equity", creditAccount: "ann", amount: 1n, code: 1, ...more }) as NewTransfer;

async function opened(open: () => Promise<HubStore>) {
  const store = await open();
  const ledger = createLedger({ kind: store.kind, clock: new ManualClock() });
  await store.transaction((within) =>
    ledger.createAccounts(within, [
      { id: "equity", currency: EUR, code: 40, limit: "none" },
      { id: "ann", currency: EUR, code: 10, limit: "debits-must-not-exceed-credits", reference: "A" },
      { id: "bob", currency: EUR, code: 10, limit: "none", history: true },
    ]),
  );
  const create = (...transfers: NewTransfer[]) =>
    store.transaction((within) => ledger.createTransfers(within, transfers));
  return { store, ledger, create };
}

describe.each(Object.entries(STORES))("the ledger in %s", (_, open) => {
  test("walks an account's transfers over any distance, from either end", async () => {
    const { store, ledger, create } = await opened(open);
    await using _store = store;
    const all = Array.from({ length: 700 }, (_each, n) =>
      single(`t${n}`, { creditAccount: n % 7 === 0 ? "bob" : "ann" }),
    );
    expect(new Set(await create(...all))).toEqual(new Set(["created"]));
    const bobs = all.filter(({ creditAccount }) => creditAccount === "bob").map(({ id }) => id);
    const ask = (more: object) =>
      store.read(async (reading) => {
        const found = await ledger.accountTransfers(reading, { account: "equity", limit: 1_000, ...more });
        return found.map(({ id }) => id);
      });
    expect(await ask({})).toEqual(all.map(({ id }) => id));
    expect(await ask({ limit: 2 })).toEqual(["t0", "t1"]);
    expect(await ask({ limit: 2, reversed: true })).toEqual(["t699", "t698"]);
    expect(await ask({ account: "bob" })).toEqual(bobs);
    expect(await ask({ account: "bob", debits: true })).toEqual([]);
    expect(await ask({ account: "bob", credits: true, limit: 1 })).toEqual(["t0"]);
    expect(await ask({ account: "nobody" })).toEqual([]);
    const [, second, third] = await store.read((reading) => ledger.transfers(reading, { limit: 3 }));
    expect(await ask({ minUs: second?.timestampUs, maxUs: third?.timestampUs })).toEqual(["t1", "t2"]);
  });

  test("finds by reference, code and time, oldest or newest first", async () => {
    const { store, ledger, create } = await opened(open);
    await using _store = store;
    await create(
      single("a", { reference: "p1" }),
      single("b", { code: 2 }),
      single("c", { reference: "p1", code: 2 }),
      single("d", { kind: "pending", reference: "p1" }),
      { id: "e", kind: "void-pending", pendingId: "d" },
    );
    const ask = (filter: object) =>
      store.read(async (reading) =>
        (await ledger.queryTransfers(reading, { limit: 10, ...filter })).map(({ id }) => id),
      );
    expect(await ask({ reference: "p1" })).toEqual(["a", "c", "d", "e"]);
    expect(await ask({ reference: "p1", reversed: true, limit: 1 })).toEqual(["e"]);
    expect(await ask({ code: 2 })).toEqual(["b", "c"]);
    expect(await ask({ currency: currencyOf("USD") })).toEqual([]);
    const accounts = (filter: object) =>
      store.read(async (reading) => (await ledger.queryAccounts(reading, { limit: 9, ...filter })).map(({ id }) => id));
    expect(await accounts({ code: 10, reversed: true })).toEqual(["bob", "ann"]);
    expect(await accounts({ reference: "A" })).toEqual(["ann"]);
  });

  test("amounts to the highest are kept, compared and summed exactly", async () => {
    const { store, ledger, create } = await opened(open);
    await using _store = store;
    const most = [
      single("most", { amount: AMOUNT_MAX, creditAccount: "bob" }),
      single("more", { creditAccount: "bob" }),
      single("less", { amount: AMOUNT_MAX - 1n, debitAccount: "bob", creditAccount: "ann" }),
    ];
    expect(await create(...most)).toEqual(["created", "overflows-debits-posted", "created"]);
    await store.read(async (reading) => {
      expect((await ledger.account(reading, "bob"))?.creditsPosted).toBe(AMOUNT_MAX);
      expect(await ledger.available(reading, "ann")).toBe(AMOUNT_MAX - 1n);
      const sum = 2n * AMOUNT_MAX - 1n;
      expect(await ledger.totals(reading)).toEqual([
        { currency: EUR, debitsPending: 0n, debitsPosted: sum, creditsPending: 0n, creditsPosted: sum },
      ]);
      const history = await ledger.accountBalances(reading, { account: "bob", limit: 9, reversed: true });
      expect(history.map(({ debitsPosted }) => debitsPosted)).toEqual([AMOUNT_MAX - 1n, 0n]);
    });
  });

  test("what is kept for the end of a batch is there for every question in between", async () => {
    const { store, ledger } = await opened(open);
    await using _store = store;
    await store.transaction((within) =>
      ledger.batched(within, async () => {
        await ledger.createTransfers(within, [single("a", { amount: 5n })]);
        expect(await ledger.available(within, "ann")).toBe(5n);
        expect((await ledger.transfersUnder(within, "a", 10)).map(({ id }) => id)).toEqual(["a"]);
        const pay = single("b", { amount: 6n, debitAccount: "ann", creditAccount: "bob" });
        expect(await ledger.createTransfers(within, [pay])).toEqual(["exceeds-credits"]);
        expect(await ledger.createTransfers(within, [pay])).toEqual(["id-already-failed"]);
      }),
    );
    expect((await store.read((reading) => ledger.account(reading, "ann")))?.creditsPosted).toBe(5n);
    const thrown = store.transaction((within) =>
      ledger.batched(within, async () => {
        await ledger.createTransfers(within, [single("c")]);
        throw new Error("undone");
      }),
    );
    await expect(thrown).rejects.toThrow("undone");
    expect(await store.read((reading) => ledger.transfer(reading, "c"))).toBe(undefined);
  });
});
