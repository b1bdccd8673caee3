import { expect, test } from "vitest";
import { openSqlite, type Sqlite } from "../base/sqlite.ts";
import { createGroupCommit, type Work } from "./group-commit.ts";

function world() {
  const database = openSqlite(":memory:", {
    migrations: [{ id: "t", sql: "CREATE TABLE base__seen (word TEXT NOT NULL UNIQUE) STRICT" }],
  });
  const commits: number[] = [];
  return { database, commits, group: createGroupCommit(database, (works) => commits.push(works)) };
}
const words = (database: Sqlite) => database.prepare("SELECT word FROM base__seen ORDER BY rowid").pluck().all();
const put = (database: Sqlite, word: string, more: Partial<Work<string>> = {}): Work<string> => ({
  lane: "person",
  apply() {
    database.prepare("INSERT INTO base__seen (word) VALUES (?)").run(word);
    return `stored ${word}`;
  },
  ...more,
});

test("everything submitted in one turn shares one commit, and is answered after it", async () => {
  const { database, commits, group } = world();
  const answers = Promise.all([1, 2, 3].map((n) => group.submit(put(database, `w${n}`))));
  expect(commits).toEqual([]);
  expect(await answers).toEqual(["stored w1", "stored w2", "stored w3"]);
  expect(commits).toEqual([3]);
  expect(database.inTransaction).toBe(false);
});

test("a person's message is committed before the queue that came first", async () => {
  const { database, group } = world();
  const queued = Array.from({ length: 40 }, (_, n) => group.submit(put(database, `q${n}`, { lane: "queue" })));
  const person = group.submit(put(database, "person"));
  await Promise.all([...queued, person]);
  expect(words(database)[0]).toBe("person");
  expect(words(database)).toHaveLength(41);
});

test("a queue is committed in parts of limited weight, between which a person who comes meanwhile is served", async () => {
  const { database, commits, group } = world();
  const first = group.submit(put(database, "q0", { lane: "queue", weight: 500 }));
  const others = Array.from({ length: 5 }, (_, n) =>
    group.submit(put(database, `q${n + 1}`, { lane: "queue", weight: 100 })),
  );
  await first;
  const person = group.submit(put(database, "person"));
  await Promise.all([...others, person]);
  expect(commits).toEqual([1, 1, 4, 1]);
  expect(words(database).slice(0, 2)).toEqual(["q0", "person"]);
});

test("a work that throws is undone alone", async () => {
  const { database, group } = world();
  const bad = put(database, "bad", {
    apply() {
      database.prepare("INSERT INTO base__seen (word) VALUES ('half')").run();
      throw new Error("no");
    },
  });
  const results = await Promise.allSettled([
    group.submit(put(database, "a")),
    group.submit(bad),
    group.submit(put(database, "b")),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(words(database)).toEqual(["a", "b"]);
});

test("a work that is too late at the commit is taken back with its own answer, the others are stored", async () => {
  const { database, group } = world();
  const late = put(database, "late", { tooLate: () => true, whenTooLate: () => "too late" });
  expect(await Promise.all([group.submit(put(database, "a")), group.submit(late)])).toEqual(["stored a", "too late"]);
  expect(words(database)).toEqual(["a"]);
});

test("a store that fails rejects all of its commit as store.failed, and the next commit is tried", async () => {
  const { database, group } = world();
  database.pragma("max_page_count = 1");
  const big = "x".repeat(20_000);
  const results = await Promise.allSettled([group.submit(put(database, big)), group.submit(put(database, "small"))]);
  expect(results.map((result) => result.status === "rejected" && result.reason.code)).toEqual([
    "store.failed",
    "store.failed",
  ]);
  database.pragma("max_page_count = 1000");
  expect(await group.submit(put(database, "later"))).toBe("stored later");
  await group.idle();
  expect(words(database)).toEqual(["later"]);
});

test("at its limit a message is refused, and those before it are still taken", async () => {
  const { group } = world();
  const taken = Array.from({ length: 10_000 }, () => group.submit({ lane: "queue", apply: () => 1 }));
  await expect(group.submit({ lane: "queue", apply: () => 1 })).rejects.toMatchObject({ code: "queue.full" });
  expect((await Promise.all(taken)).length).toBe(10_000);
});

test("a queue waits for what is not ready, keeps its order, and lets a person pass meanwhile", async () => {
  const { database, group } = world();
  let release = () => {};
  const ready = new Promise<void>((resolve) => {
    release = resolve;
  });
  const queued = [
    group.submit(put(database, "q1", { lane: "queue" })),
    group.submit(put(database, "q2", { lane: "queue", ready })),
    group.submit(put(database, "q3", { lane: "queue" })),
  ];
  await queued[0];
  await group.submit(put(database, "person"));
  expect(words(database)).toEqual(["q1", "person"]);
  expect(group.waiting).toBe(2);
  release();
  await group.idle();
  await Promise.all(queued);
  expect(words(database).slice(-2)).toEqual(["q2", "q3"]);
});
