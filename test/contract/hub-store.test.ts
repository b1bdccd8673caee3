/** Both of the hub's stores keep the same promises. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isFault } from "../../base/fault.ts";
import { type Migration, openSqlite } from "../../base/sqlite.ts";
import { isStoreFailure } from "../../hub/store/failure.ts";
import { openPostgresStore } from "../../hub/store/postgres-store.ts";
import { sqliteStore } from "../../hub/store/sqlite-store.ts";
import { type HubStore, type Reading, sql, type Within, wideSql } from "../../hub/store/store.ts";
import { type PostgresServer, startPostgres } from "../../scripts/lib/postgres.ts";

const MIGRATIONS: readonly Migration[] = [
  {
    id: "t-1",
    sql: `CREATE TABLE t__row (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, amount INTEGER, raw BLOB) STRICT;
      CREATE TABLE t__pair (a TEXT, b INTEGER, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID;`,
  },
];
interface Row {
  readonly number: number;
  readonly rowId: string;
  readonly amount: number | null;
  readonly raw: Uint8Array | null;
}
const PUT = sql<[string, number | bigint | null, Uint8Array | null]>(
  "INSERT INTO t__row (id, amount, raw) VALUES (?, ?, ?)",
);
const GET = sql<[string], Row>("SELECT number, id AS rowId, amount, raw FROM t__row WHERE id = ?");
const WIDE = wideSql<[string], { amount: bigint }>("SELECT amount FROM t__row WHERE id = ?");
const ALL = sql<[], { id: string }>("SELECT id FROM t__row ORDER BY id");
const MARK = sql<{ id: string; to: number | null }>(
  "UPDATE t__row SET amount = @to WHERE id = @id AND (amount IS NULL) <> (CAST(@to AS BIGINT) IS NULL)",
);
const FILTER = sql<{ from: number | null; id: string | null }, { id: string }>(
  `SELECT id FROM t__row WHERE (CAST(@from AS BIGINT) IS NULL OR amount >= @from) AND (CAST(@id AS TEXT) IS NULL OR id = @id)
   ORDER BY id`,
);

const ids = async (reading: Reading) => (await reading.all(ALL, [])).map(({ id }) => id);
const put = (within: Within, id: string, amount: number | bigint | null = 1) => within.run(PUT, [id, amount, null]);

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server[Symbol.asyncDispose]());

const STORES: Readonly<Record<string, () => Promise<HubStore>>> = {
  sqlite: async () => sqliteStore(openSqlite(":memory:", { migrations: MIGRATIONS })),
  postgres: () => openPostgresStore({ urls: [server.newDatabase()], migrations: MIGRATIONS }),
};

describe.each(Object.entries(STORES))("the store in %s", (_, open) => {
  test("gives back what was put, under the names that the statement gave", async () => {
    await using store = await open();
    await store.transaction((within) => within.run(PUT, ["a", 7, Uint8Array.of(1, 255)]));
    const row = await store.read((reading) => reading.get(GET, ["a"]));
    expect({ ...row, raw: [...(row?.raw ?? [])] }).toEqual({ number: 1, rowId: "a", amount: 7, raw: [1, 255] });
    expect(await store.read((reading) => reading.get(GET, ["b"]))).toBe(undefined);
  });

  test("keeps 64-bit integers exactly where the statement is wide", async () => {
    await using store = await open();
    const most = 2n ** 63n - 1n;
    await store.transaction((within) => put(within, "most", most));
    expect(await store.read((reading) => reading.get(WIDE, ["most"]))).toEqual({ amount: most });
  });

  test("says how many rows changed, and takes one name at several places, null among them", async () => {
    await using store = await open();
    await store.transaction(async (within) => {
      await put(within, "a", null);
      expect(await within.run(MARK, { id: "a", to: 5 })).toBe(1);
      expect(await within.run(MARK, { id: "a", to: 6 })).toBe(0);
      expect(await within.run(MARK, { id: "a", to: null })).toBe(1);
      await put(within, "b", 9);
      expect(await within.all(FILTER, { from: 3, id: null })).toEqual([{ id: "b" }]);
      expect(await within.all(FILTER, { from: null, id: "a" })).toEqual([{ id: "a" }]);
    });
  });

  test("orders texts by their bytes", async () => {
    await using store = await open();
    await store.transaction(async (within) => {
      for (const id of ["b", "B", "a-", "a", "ä", "A"]) await put(within, id);
      expect(await ids(within)).toEqual(["A", "B", "a", "a-", "b", "ä"]);
    });
  });

  test("a throw undoes the transaction and is thrown on", async () => {
    await using store = await open();
    const wrong = new Error("wrong");
    const work = store.transaction(async (within) => {
      await put(within, "a");
      throw wrong;
    });
    await expect(work).rejects.toBe(wrong);
    expect(await store.read(ids)).toEqual([]);
  });

  test("a throw in a savepoint undoes it alone, and nested ones undo what is theirs", async () => {
    await using store = await open();
    await store.transaction(async (within) => {
      await put(within, "a");
      await within.savepoint(async () => {
        await put(within, "b");
        const inner = within.savepoint(async () => {
          await put(within, "c");
          throw new Error("wrong");
        });
        await expect(inner).rejects.toThrow("wrong");
        await put(within, "d");
      });
    });
    expect(await store.read(ids)).toEqual(["a", "b", "d"]);
  });

  test("a broken constraint is no failure of the store, and the rest of the transaction can go on behind a savepoint", async () => {
    await using store = await open();
    await store.transaction(async (within) => {
      await put(within, "a");
      const twice = within.savepoint(() => put(within, "a")).catch((error: unknown) => error);
      expect(isStoreFailure(await twice)).toBe(false);
      await put(within, "b");
    });
    expect(await store.read(ids)).toEqual(["a", "b"]);
  });

  test("transactions are one at a time, in the order asked for, and reads see what was committed", async () => {
    await using store = await open();
    const running: string[] = [];
    const work = (id: string) =>
      store.transaction(async (within) => {
        running.push(`${id} in`);
        await put(within, id);
        await ids(within);
        running.push(`${id} out`);
      });
    await Promise.all([work("a"), work("b"), work("c")]);
    expect(running).toEqual(["a in", "a out", "b in", "b out", "c in", "c out"]);
    expect(await store.read(ids)).toEqual(["a", "b", "c"]);
  });

  test("a transaction that was left cannot be used any more", async () => {
    await using store = await open();
    const left = await store.transaction((within) => Promise.resolve(within));
    await expect((async () => await put(left, "a"))()).rejects.toThrow("after its end");
    expect(await store.read(ids)).toEqual([]);
  });
});

test("SQLite: after the disk was full nothing that was asked at the same time is stored alone", async () => {
  const database = openSqlite(":memory:", { migrations: MIGRATIONS });
  await using store = sqliteStore(database);
  database.pragma(`max_page_count = ${database.pragma("page_count", { simple: true })}`);
  const big = "x".repeat(20_000);
  const filling = store.transaction((within) =>
    Promise.all([put(within, big), put(within, "small"), put(within, "b")]),
  );
  await expect(filling).rejects.toSatisfy(isStoreFailure);
  expect(await store.read(ids)).toEqual([]);
  database.pragma("max_page_count = 1000");
  await store.transaction((within) => Promise.all([put(within, "a"), put(within, "b")]));
  expect(await store.read(ids)).toEqual(["a", "b"]);
});

test("PostgreSQL: two replicas write one after the other, and neither misses what the other wrote", async () => {
  const urls = [server.newDatabase()];
  await using one = await openPostgresStore({ urls, migrations: MIGRATIONS });
  await using two = await openPostgresStore({ urls, migrations: MIGRATIONS });
  const count = sql<[], { n: number }>("SELECT count(*) AS n FROM t__row");
  const next = (store: HubStore) =>
    store.transaction(async (within) => {
      const n = (await within.get(count, []))?.n ?? 0;
      await put(within, `row ${n}`);
    });
  await Promise.all(Array.from({ length: 40 }, (_, index) => next(index % 2 === 0 ? one : two)));
  expect((await one.read(ids)).length).toBe(40);
});

test("PostgreSQL: a lost connection fails the transaction as the store's failure, and the next one connects again", async () => {
  await using store = await openPostgresStore({ urls: [server.newDatabase()], migrations: MIGRATIONS });
  const end = sql<[], { ended: number }>("SELECT pg_terminate_backend(pg_backend_pid()) AS ended");
  const lost = store.transaction(async (within) => {
    await put(within, "a");
    await within.get(end, []);
  });
  const error: unknown = await lost.catch((why: unknown) => why);
  expect([isFault(error, "store.failed"), isStoreFailure(error)]).toEqual([true, true]);
  await store.transaction((within) => put(within, "b"));
  expect(await store.read(ids)).toEqual(["b"]);
});

test("PostgreSQL: where none can be written to, each address is named with its reason and without its password", async () => {
  const open = openPostgresStore({ urls: ["postgres://u:secret@127.0.0.1:1/d"], migrations: MIGRATIONS });
  const error: unknown = await open.then(String, (why: unknown) => why);
  expect(String(error)).toContain("127.0.0.1:1");
  expect(String(error)).not.toContain("secret");
});

test("PostgreSQL: a database of a newer version is refused by name", async () => {
  const urls = [server.newDatabase()];
  await (await openPostgresStore({ urls, migrations: MIGRATIONS }))[Symbol.asyncDispose]();
  await expect(openPostgresStore({ urls, migrations: [] })).rejects.toThrow("t-1");
});

describe("limits of a PostgreSQL store", () => {
  const SLEEP = sql<[], { done: string }>("SELECT CAST(pg_sleep(30) AS TEXT) AS done");
  const opened = (urls: readonly string[], limits: Parameters<typeof openPostgresStore>[0]["limits"]) =>
    openPostgresStore({ urls, migrations: MIGRATIONS, ...(limits && { limits }) });

  test("a statement that takes too long is ended, its transaction undone, and the store goes on", async () => {
    await using store = await opened([server.newDatabase()], { answerMs: 2_000 });
    const stuck = store.transaction(async (within) => {
      await put(within, "a");
      await within.all(SLEEP, []);
    });
    await expect(stuck).rejects.toSatisfy(isStoreFailure);
    await store.transaction((within) => put(within, "b"));
    expect(await store.read(ids)).toEqual(["b"]);
  });

  test("who waits too long for the turn of another replica is refused, and may try again", async () => {
    const urls = [server.newDatabase()];
    await using one = await opened(urls, {});
    await using other = await opened(urls, { lockMs: 500 });
    const released = Promise.withResolvers<void>();
    const began = Promise.withResolvers<void>();
    const first = one.transaction(async (within) => {
      await put(within, "a");
      began.resolve();
      await released.promise;
    });
    await began.promise;
    const refused: unknown = await other.transaction((within) => put(within, "b")).catch((error: unknown) => error);
    expect([isStoreFailure(refused), String(refused)]).toEqual([true, expect.stringContaining("lock timeout")]);
    released.resolve();
    await first;
    await other.transaction((within) => put(within, "c"));
    expect(await one.read(ids)).toEqual(["a", "c"]);
  });

  test("a replica that stands still in mid-transaction loses it, and nobody waits for it longer", async () => {
    const urls = [server.newDatabase()];
    await using still = await opened(urls, { idleInTransactionMs: 500 });
    await using other = await opened(urls, {});
    const began = Promise.withResolvers<void>();
    const otherDone = Promise.withResolvers<void>();
    const first = still.transaction(async (within) => {
      await put(within, "a");
      began.resolve();
      await otherDone.promise;
      await put(within, "b");
    });
    await began.promise;
    await other.transaction((within) => put(within, "c"));
    otherDone.resolve();
    await expect(first).rejects.toSatisfy(isStoreFailure);
    expect(await other.read(ids)).toEqual(["c"]);
  });

  test("more who read at once than there are connections wait, and are refused by name after their time", async () => {
    await using store = await opened([server.newDatabase()], { connectMs: 500 });
    const released = Promise.withResolvers<void>();
    const readers = Array.from({ length: 4 }, () => store.read(() => released.promise));
    await expect(store.read(ids)).rejects.toSatisfy((error) => isFault(error, "store.failed"));
    released.resolve();
    await Promise.all(readers);
    expect(await store.read(ids)).toEqual([]);
  });
});
