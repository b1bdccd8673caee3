/** The store-and-forward queue beside the journal: what waits, what may be voided, what a receipt ends. */
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { digestOfSealed } from "../../wire/card-data.ts";
import type { Journal } from "./journal.ts";
import {
  AT,
  advice,
  decision,
  id,
  intent,
  JournalFolder,
  one,
  receipt,
  sealedFor,
  voiding,
} from "./journal-fixture.ts";

let here: JournalFolder;
beforeEach(() => {
  here = new JournalFolder();
});
afterEach(() => here[Symbol.dispose]());

const open = (): Journal => here.open();

test("RM8 offline approvals count as outstanding until their receipt; online ones never do", async () => {
  await using journal = open();
  const [, offline] = await journal.append([
    { body: decision("p-0", { mode: "online" }), forward: true },
    advice("p-1"),
    { body: decision("p-2", { outcome: "declined" }), forward: true },
    { body: decision("p-3", { operation: "refund" }), forward: true },
  ]);
  expect(journal.outstanding()).toEqual({ count: 1, minor: 1250n, oldestAt: AT });
  expect(journal.backlog()).toEqual({ depth: 4, oldestAt: AT });
  if (!offline) throw new Error("nothing stored");
  await journal.markForwarding([offline.sequence]);
  expect(journal.outstanding().count).toBe(1);
  await journal.settle([receipt(offline)]);
  expect(journal.outstanding()).toEqual({ count: 0, minor: 0n });
  expect(journal.backlog().depth).toBe(3);
});

test("RM12 an eligible entry is voided once, by an appended entry that the hub is told", async () => {
  await using journal = open();
  const target = await one(journal, advice("p-1"));
  const outcome = await journal.appendVoid(voiding(target, "p-1"));
  expect(outcome).toMatchObject({ ok: true, value: { sequence: 2, forward: 2 } });
  expect(journal.outstanding()).toEqual({ count: 0, minor: 0n });
  expect(journal.queue().map((entry) => [entry.sequence, entry.kind, entry.state])).toEqual([
    [1, "decision", "voided"],
    [2, "void", "eligible"],
  ]);
  expect(journal.nextToForward(10).map((entry) => entry.sequence)).toEqual([2]);
  expect(await journal.appendVoid(voiding(target, "p-1"))).toEqual({ ok: false, error: "voided" });
  expect(journal.head.sequence).toBe(2);
});

test("RM12 a void that the hub declines leaves its target processed in the same commit, with the hub's words, also after a restart", async () => {
  const states = (journal: Journal) => journal.queue().map(({ state, detail }) => [state, detail]);
  {
    await using journal = open();
    const [taken, other] = await journal.append([advice("p-1"), advice("p-2")]);
    if (!taken || !other) throw new Error("nothing stored");
    await journal.appendVoid(voiding(other, "p-2"));
    const late = await journal.appendVoid(voiding(taken, "p-1"));
    if (!late.ok) throw new Error(late.error);
    await journal.markForwarding([late.value.sequence]);
    await journal.settle([{ ...receipt(late.value, "declined"), detail: "confirmed" }]);
    await journal.settle([receipt(late.value, "declined")]);
  }
  await using journal = open();
  expect(states(journal)).toEqual([
    ["processed", "confirmed"],
    ["voided", undefined],
    ["eligible", undefined],
    ["declined", "confirmed"],
  ]);
  expect(journal.outstanding().count).toBe(0);
});

test("RM12 an entry that may be at the hub is not voided, and of a void and a send in one turn the first wins", async () => {
  await using journal = open();
  const [first, second] = await journal.append([advice("p-1"), advice("p-2")]);
  if (!first || !second) throw new Error("nothing stored");
  const [marked, late, early, markedLate] = await Promise.all([
    journal.markForwarding([first.sequence]),
    journal.appendVoid(voiding(first, "p-1")),
    journal.appendVoid(voiding(second, "p-2")),
    journal.markForwarding([second.sequence]),
  ]);
  expect(marked).toEqual([first.sequence]);
  expect(late).toEqual({ ok: false, error: "forwarding" });
  expect(early.ok).toBe(true);
  expect(markedLate).toEqual([]);
});

test("a void of what is not here, of another payment or of another kind is not found", async () => {
  await using journal = open();
  const [target, other] = await journal.append([
    advice("p-1"),
    { body: { kind: "reversal", paymentId: id("p-2"), at: AT, attempt: 1, reason: "timeout" }, forward: true },
  ]);
  if (!target || !other) throw new Error("nothing stored");
  const notFound = { ok: false, error: "not-found" };
  expect(await journal.appendVoid({ ...voiding(target, "p-1"), voidedSequence: 99 })).toEqual(notFound);
  expect(await journal.appendVoid(voiding(target, "p-2"))).toEqual(notFound);
  expect(await journal.appendVoid({ ...voiding(target, "p-1"), voidedForward: 9 })).toEqual(notFound);
  expect(await journal.appendVoid(voiding(other, "p-2"))).toEqual(notFound);
});

test("what was on its way before a restart is still in its place, with its sealed data", async () => {
  const sealed = sealedFor(7);
  {
    await using journal = open();
    await journal.append([advice("p-1"), advice("p-2", sealed), advice("p-3")]);
    await journal.markForwarding([2]);
  }
  await using journal = open();
  const next = journal.nextToForward(2);
  expect(next.map((entry) => entry.sequence)).toEqual([1, 2]);
  expect(next[1]?.sealed).toEqual(sealed);
  expect(next[1]?.sealedDigest).toBe(digestOfSealed(sealed));
  expect(journal.nextToForward(2, 2).map((entry) => entry.sequence)).toEqual([3]);
});

test("a receipt counts only by sequence and hash; the rest of it is counted, not believed", async () => {
  await using journal = open();
  const [first, second] = await journal.append([advice("p-1"), advice("p-2")]);
  if (!first || !second) throw new Error("nothing stored");
  await journal.markForwarding([1, 2]);
  const outcome = await journal.settle([
    { ...receipt(first), hash: second.hash },
    { ...receipt(second), sequence: 77 },
    { ...receipt(second, "quarantined"), reason: "E_FORMAT", detail: "unknown tag" },
  ]);
  expect(outcome.unknown).toBe(2);
  expect(outcome.settled).toMatchObject([
    { sequence: 2, state: "quarantined", attempts: 1, reason: "E_FORMAT", detail: "unknown tag", paymentId: "p-2" },
  ]);
  expect(await journal.settle([receipt(second)])).toEqual({ settled: [], unknown: 0 });
  expect(journal.queue({ state: "quarantined" })).toHaveLength(1);
  expect(journal.queue({ paymentId: id("p-1") })).toMatchObject([{ sequence: 1, state: "forwarding" }]);
});

test("a duplicate at the hub is processed; a refused one is declined", async () => {
  await using journal = open();
  const [first, second] = await journal.append([advice("p-1"), advice("p-2")]);
  if (!first || !second) throw new Error("nothing stored");
  const { settled } = await journal.settle([receipt(first, "duplicate"), receipt(second, "declined")]);
  expect(settled.map((entry) => entry.state)).toEqual(["processed", "declined"]);
});

test("tells listeners of entries for the hub, after they are on disk", async () => {
  await using journal = open();
  const heard: number[] = [];
  const stop = journal.onQueued(() => heard.push(journal.backlog().depth));
  await journal.append([{ body: intent("p-1") }]);
  await journal.append([advice("p-1")]);
  stop();
  await journal.append([advice("p-2")]);
  expect(heard).toEqual([1]);
});

test("RM18 a second loss heard of in the middle of the first leaves no entry out, whoever else tells again in that turn", async () => {
  await using journal = open();
  const stored = [];
  for (let times = 0; times < 3; times += 1)
    stored.push(...(await journal.append(Array.from({ length: 500 }, (_, n) => advice(`p-${times}-${n}`)))));
  const all = stored.map((entry) => receipt(entry));
  await journal.settle(all);
  await journal.resendFrom(0);
  await journal.resendFrom(500);
  await journal.settle(all);
  expect(journal.resending).toBe(1_000);
  // The hub now holds 50; the drain still goes on from 1,000.
  await Promise.all([journal.resendFrom(50), journal.resendFrom(1_000)]);
  for (let from = journal.resending; from !== undefined; from = journal.resending) await journal.resendFrom(from);
  expect(journal.backlog().depth).toBe(1_450);
});

test("a new opening reads the queue from its first open entry on, however much lies before it", async () => {
  const floor = (): number => {
    const database = new Database(here.path, { readonly: true });
    const text = database.prepare("SELECT value FROM journal__meta WHERE name = 'queue-floor'").pluck().get();
    database.close();
    return Number(text);
  };
  const floorAfter = async (work: (journal: Journal) => Promise<unknown>): Promise<number> => {
    {
      await using journal = open();
      await work(journal);
    }
    return floor();
  };
  const others = (from: number) => Array.from({ length: 5 }, (_, at) => ({ body: intent(`p-${from + at}`) }));
  expect(await floorAfter((journal) => journal.append([...others(0), advice("p-5"), advice("p-6")]))).toBe(6);
  expect(await floorAfter(async (journal) => journal.append([...others(10), advice("p-15")]))).toBe(6);
  const settled = async (journal: Journal) => {
    const waiting = journal.nextToForward(9);
    await journal.markForwarding(waiting.map(({ sequence }) => sequence));
    await journal.settle(waiting.map((entry) => receipt(entry)));
    await journal.append([...others(20), advice("p-25")]);
    expect(journal.nextToForward(9).map(({ paymentId }) => paymentId)).toEqual(["p-25"]);
  };
  expect(await floorAfter(settled)).toBe(19);
});
