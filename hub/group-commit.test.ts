import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { openSqlite } from "../base/sqlite.ts";
import { createGroupCommit, type GroupCommitOptions, type Work } from "./group-commit.ts";
import { sqliteStore } from "./store/sqlite-store.ts";
import { sql } from "./store/store.ts";

const MIGRATIONS = [
  { id: "t", sql: "CREATE TABLE base__seen (number INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE) STRICT" },
];
const PUT = sql<[string]>("INSERT INTO base__seen (word) VALUES (?)");
const WORDS = sql<[], { word: string }>("SELECT word FROM base__seen ORDER BY number");

function world(options: Partial<GroupCommitOptions> = {}) {
  const database = openSqlite(":memory:", { migrations: MIGRATIONS });
  const store = sqliteStore(database);
  const commits: number[] = [];
  const group = createGroupCommit(store, { onCommit: (works) => void commits.push(works), ...options });
  const words = async () => (await store.read((reading) => reading.all(WORDS, []))).map(({ word }) => word);
  return { database, commits, group, words };
}
const put = (word: string, more: Partial<Work<string>> = {}): Work<string> => ({
  lane: "person",
  async apply(within) {
    await within.run(PUT, [word]);
    return `stored ${word}`;
  },
  ...more,
});

/** A work whose commit is under way from `begun` on, until it is let go. */
function held(word: string, more: Partial<Work<string>> = {}) {
  const begun = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const work = put(word, {
    async apply(within) {
      await within.run(PUT, [word]);
      begun.resolve();
      await release.promise;
      return `stored ${word}`;
    },
    ...more,
  });
  return { work, begun: begun.promise, letGo: () => release.resolve() };
}

test("everything submitted in one turn shares one commit, and is answered after it", async () => {
  const { database, commits, group } = world();
  const answers = Promise.all([1, 2, 3].map((n) => group.submit(put(`w${n}`))));
  expect(commits).toEqual([]);
  expect(await answers).toEqual(["stored w1", "stored w2", "stored w3"]);
  expect(commits).toEqual([3]);
  expect(database.inTransaction).toBe(false);
});

test("what is submitted while a commit is under way shares the next one", async () => {
  const { commits, group, words } = world();
  const first = held("first");
  const answers = [group.submit(first.work)];
  await first.begun;
  for (const word of ["second", "third"]) {
    answers.push(group.submit(put(word)));
    await nextTurn();
  }
  expect([commits, group.waiting]).toEqual([[], 3]);
  first.letGo();
  expect(await Promise.all(answers)).toEqual(["stored first", "stored second", "stored third"]);
  expect(commits).toEqual([1, 2]);
  expect(await words()).toEqual(["first", "second", "third"]);
});

test("a person's message is committed before the queue that came first", async () => {
  const { group, words } = world();
  const queued = Array.from({ length: 40 }, (_, n) => group.submit(put(`q${n}`, { lane: "queue" })));
  const person = group.submit(put("person"));
  await Promise.all([...queued, person]);
  const stored = await words();
  expect(stored[0]).toBe("person");
  expect(stored).toHaveLength(41);
});

test("a person who comes while a queue's commit is under way goes first in the next", async () => {
  const { commits, group, words } = world();
  const first = held("q0", { lane: "queue", weight: 400 });
  const answers = [group.submit(first.work), group.submit(put("q1", { lane: "queue" }))];
  await first.begun;
  answers.push(group.submit(put("q2", { lane: "queue" })), group.submit(put("person")));
  await nextTurn();
  first.letGo();
  await Promise.all(answers);
  expect(await words()).toEqual(["q0", "person", "q1", "q2"]);
  expect(commits).toEqual([1, 1, 2]);
});

test("a queue is committed in parts of limited weight, between which a person who comes meanwhile is served", async () => {
  const { commits, group, words } = world();
  const first = group.submit(put("q0", { lane: "queue", weight: 500 }));
  const others = Array.from({ length: 5 }, (_, n) => group.submit(put(`q${n + 1}`, { lane: "queue", weight: 100 })));
  await first;
  const person = group.submit(put("person"));
  await Promise.all([...others, person]);
  expect(commits).toEqual([1, 1, 4, 1]);
  expect((await words()).slice(0, 2)).toEqual(["q0", "person"]);
});

test("a work that throws is undone alone", async () => {
  const { group, words } = world();
  const bad = put("bad", {
    async apply(within) {
      await within.run(PUT, ["half"]);
      throw new Error("no");
    },
  });
  const results = await Promise.allSettled([group.submit(put("a")), group.submit(bad), group.submit(put("b"))]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await words()).toEqual(["a", "b"]);
});

test("people's works that may share memory do so, and one that throws among them is undone alone", async () => {
  const together: string[][] = [];
  const { group, words } = world({
    async together(within, work) {
      const result = await work();
      together.push((await within.all(WORDS, [])).map(({ word }) => word));
      return result;
    },
  });
  expect(await Promise.all([group.submit(put("a")), group.submit(put("b"))])).toEqual(["stored a", "stored b"]);
  expect(together).toEqual([["a", "b"]]);
  const bad = put("bad", {
    async apply(within) {
      await within.run(PUT, ["half"]);
      throw new Error("no");
    },
  });
  const results = await Promise.allSettled([group.submit(put("c")), group.submit(bad), group.submit(put("d"))]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await words()).toEqual(["a", "b", "c", "d"]);
  expect(together).toHaveLength(1);
});

test("a queue's works are applied each by itself", async () => {
  let together = 0;
  const { group, words } = world({
    together: (_, work) => {
      together += 1;
      return work();
    },
  });
  await Promise.all(["a", "b"].map((word) => group.submit(put(word, { lane: "queue" }))));
  expect([together, await words()]).toEqual([0, ["a", "b"]]);
});

test("of works that share memory one that is too late is taken back, and the others are done again", async () => {
  const { group, words, commits } = world({ together: (_, work) => work() });
  const late = put("late", { tooLate: () => true, whenTooLate: () => "too late" });
  expect(await Promise.all([group.submit(put("a")), group.submit(late)])).toEqual(["stored a", "too late"]);
  expect([await words(), commits]).toEqual([["a"], [1]]);
});

test("a work that is too late at the commit is taken back with its own answer, the others are stored", async () => {
  const { group, words } = world();
  const late = put("late", { tooLate: () => true, whenTooLate: () => "too late" });
  expect(await Promise.all([group.submit(put("a")), group.submit(late)])).toEqual(["stored a", "too late"]);
  expect(await words()).toEqual(["a"]);
});

test("a store that fails rejects all of its commit as store.failed, and the next commit is tried", async () => {
  const { database, group, words } = world();
  database.pragma("max_page_count = 1");
  const big = "x".repeat(20_000);
  const results = await Promise.allSettled([group.submit(put(big)), group.submit(put("small"))]);
  expect(results.map((result) => result.status === "rejected" && result.reason.code)).toEqual([
    "store.failed",
    "store.failed",
  ]);
  database.pragma("max_page_count = 1000");
  expect(await group.submit(put("later"))).toBe("stored later");
  await group.idle();
  expect(await words()).toEqual(["later"]);
});

test("at its limit a message is refused, and those before it are still taken", async () => {
  const { group } = world();
  const one: Work<number> = { lane: "queue", apply: () => Promise.resolve(1) };
  const taken = Array.from({ length: 10_000 }, () => group.submit(one));
  await expect(group.submit(one)).rejects.toMatchObject({ code: "queue.full" });
  expect((await Promise.all(taken)).length).toBe(10_000);
});

test("a queue waits for what is not ready, keeps its order, and lets a person pass meanwhile", async () => {
  const { group, words } = world();
  const { promise: ready, resolve: release } = Promise.withResolvers<void>();
  const queued = [
    group.submit(put("q1", { lane: "queue" })),
    group.submit(put("q2", { lane: "queue", ready })),
    group.submit(put("q3", { lane: "queue" })),
  ];
  await queued[0];
  await group.submit(put("person"));
  expect(await words()).toEqual(["q1", "person"]);
  expect(group.waiting).toBe(2);
  release();
  await group.idle();
  await Promise.all(queued);
  expect((await words()).slice(-2)).toEqual(["q2", "q3"]);
});

test("people who come while people's commit is under way go before the queue", async () => {
  const { group, words } = world();
  const first = held("first");
  const answers = [group.submit(first.work), group.submit(put("drained", { lane: "queue" }))];
  await first.begun;
  answers.push(group.submit(put("came meanwhile")));
  first.letGo();
  await Promise.all(answers);
  expect(await words()).toEqual(["first", "came meanwhile", "drained"]);
});
