/** The journal as its callers see it: durable, gap-free, honest about what a crash left, and forgetful of card data. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import { digestOfSealed, type SealedCardData } from "../../wire/card-data.ts";
import { type EntryBody, type EntryOf, GENESIS_HASH, hashEntry, type StoredEntry } from "../../wire/journal-entry.ts";
import { ERASED_WITHIN_MS } from "./erasure.ts";
import { PENDING_WRITES_MAX } from "./group-commit.ts";
import type { Journal, NewEntry } from "./journal.ts";
import { openJournal } from "./sqlite-journal.ts";

const TERMINAL = "shop-1" as TerminalId;
const AT = "2026-01-05T09:00:00.000Z";
const id = (text: string) => text as PaymentId;

let folder: string;
let path: string;
let clock: ManualClock;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "journal-"));
  path = join(folder, "journal.db");
  clock = new ManualClock();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (terminalId = TERMINAL): Journal =>
  openJournal({ path, terminalId, clock, random: systemRandom, log: silentLog });

const intent = (payment: string, minor = "1250"): EntryOf<"intent"> => ({
  kind: "intent",
  paymentId: id(payment),
  at: AT,
  operation: "purchase",
  amount: { minor, currency: "EUR" as never },
});
const decision = (payment: string, more: Partial<EntryOf<"decision">> = {}): EntryOf<"decision"> => ({
  kind: "decision",
  paymentId: id(payment),
  at: AT,
  outcome: "approved",
  mode: "offline",
  operation: "purchase",
  amount: { minor: "1250", currency: "EUR" as never },
  attempts: [],
  businessDate: "2026-01-05",
  ...more,
});
const sealedFor = (seed: number): SealedCardData => ({
  keyId: "hub-1",
  enc: Buffer.alloc(32, seed).toString("base64"),
  ciphertext: Buffer.from(systemRandom(90)).toString("base64"),
});
const advice = (payment: string, sealed = sealedFor(1)): NewEntry => ({
  body: decision(payment),
  forward: true,
  sealed,
});
const voiding = (target: StoredEntry, payment: string): EntryOf<"void"> => ({
  kind: "void",
  paymentId: id(payment),
  at: AT,
  voidedSequence: target.sequence,
  voidedForward: target.forward ?? 0,
  amount: { minor: "1250", currency: "EUR" as never },
  attempts: [],
});
const receipt = (entry: StoredEntry, status: EntryReceipt["status"] = "processed"): EntryReceipt => ({
  sequence: entry.sequence,
  hash: entry.hash,
  status,
});
const one = async (journal: Journal, entry: NewEntry): Promise<StoredEntry> => {
  const [stored] = await journal.append([entry]);
  if (!stored) throw new Error("nothing was stored");
  return stored;
};

test("numbers entries without gaps and chains them from the genesis hash over the stored text", async () => {
  await using journal = open();
  const stored = await journal.append([{ body: intent("p-1") }, advice("p-1")]);
  expect(stored.map((entry) => [entry.sequence, entry.forward])).toEqual([
    [1, undefined],
    [2, 1],
  ]);
  expect(stored[0]?.previousHash).toBe(GENESIS_HASH);
  expect(stored[1]?.previousHash).toBe(stored[0]?.hash);
  for (const entry of stored) {
    expect(entry.hash).toBe(hashEntry({ terminalId: TERMINAL, epoch: journal.epoch, ...entry }));
  }
  expect(journal.head).toEqual({ sequence: 2, forward: 1, hash: stored[1]?.hash });
  expect(journal.entriesOf(id("p-1")).map((entry) => entry.body)).toEqual([intent("p-1"), decision("p-1")]);
  expect(journal.verify()).toEqual({ ok: true, value: { entries: 2 } });
});

test("appends of one turn share one commit", async () => {
  await using journal = open();
  const waiting = Array.from({ length: 16 }, (_, at) => journal.append([{ body: intent(`p-${at}`) }]));
  expect(journal.head.sequence).toBe(0);
  await waiting[0];
  expect(journal.head.sequence).toBe(16);
  await Promise.all(waiting);
});

test("keeps everything over a restart under the same epoch, and a new file has another", async () => {
  let first: Journal;
  {
    await using journal = open();
    first = journal;
    await journal.append([{ body: intent("p-1") }, advice("p-1"), { body: intent("p-2") }]);
    await journal.keep("lease", '{"leaseId":1}');
  }
  {
    await using journal = open();
    expect(journal.epoch).toBe(first.epoch);
    expect(journal.head).toEqual(first.head);
    expect(journal.recall("lease")).toBe('{"leaseId":1}');
    expect(journal.recall("hub-time")).toBeUndefined();
    expect(journal.undecided()).toEqual(["p-2"]);
    expect(journal.unprinted()).toEqual(["p-1"]);
    expect(journal.outstanding()).toEqual({ count: 1, minor: 1250n, oldestAt: AT });
    expect(journal.recentPayments(10)).toEqual(["p-2", "p-1"]);
  }
  rmSync(path);
  await using other = open();
  expect(other.epoch).not.toBe(first.epoch);
});

test("refuses a second opener with a sentence, in this process and in another", async () => {
  await using _journal = open();
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.busy" }));
  const script = `
    const { openJournal } = await import(${JSON.stringify(join(import.meta.dirname, "sqlite-journal.ts"))});
    const { systemClock } = await import(${JSON.stringify(join(import.meta.dirname, "../../base/clock.ts"))});
    try { openJournal({ path: ${JSON.stringify(path)}, terminalId: "shop-1", clock: systemClock, random: () => new Uint8Array(8), log: {} }); }
    catch (error) { console.log(error.code, error.message); }`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(child.stdout).toMatch(/^journal\.busy .*another process has it open, stop that one first/);
});

test("refuses another terminal's file and says whose it is", async () => {
  await open()[Symbol.asyncDispose]();
  expect(() => open("shop-2" as TerminalId)).toThrow(
    expect.objectContaining({ code: "journal.corrupt", message: expect.stringContaining('terminal "shop-1"') }),
  );
});

test("refuses a file that is not a database", () => {
  writeFileSync(path, "not a database, but long enough to be taken for one by its size alone. ".repeat(20));
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.corrupt" }));
});

test.each([
  ["a changed amount", "UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 2", 2],
  ["a missing entry", "DELETE FROM journal__entry WHERE sequence = 2", 3],
  ["another digest of card data", "UPDATE journal__entry SET sealed_digest = zeroblob(32) WHERE sequence = 2", 2],
  ["a changed forward number", "UPDATE journal__entry SET forward = 7 WHERE sequence = 2", 2],
  ["a replaced hash", "UPDATE journal__entry SET hash = zeroblob(32) WHERE sequence = 2", 2],
])("opening names the entry that does not fit: %s", async (_what, sql, sequence) => {
  {
    await using journal = open();
    await journal.append([{ body: intent("p-1") }, advice("p-1"), { body: intent("p-2") }]);
  }
  const database = new Database(path);
  database.exec(sql);
  database.close();
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.corrupt", details: { sequence } }));
});

test("a removed end shows against what was counted before", async () => {
  {
    await using journal = open();
    await journal.append([{ body: intent("p-1") }, { body: intent("p-2") }]);
  }
  const database = new Database(path);
  database.exec("DELETE FROM journal__entry WHERE sequence = 2");
  database.close();
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.corrupt" }));
});

test("more waiting writes than the bound are refused, those before it are kept", async () => {
  await using journal = open();
  const waiting = Array.from({ length: PENDING_WRITES_MAX }, (_, at) => journal.append([{ body: intent(`p-${at}`) }]));
  await expect(journal.append([{ body: intent("one-more") }])).rejects.toMatchObject({ code: "queue.full" });
  await Promise.all(waiting);
  expect(journal.head.sequence).toBe(PENDING_WRITES_MAX);
  await journal.append([{ body: intent("one-more") }]);
});

test("an entry that could not be read back is refused before it is stored, naming the field", async () => {
  await using journal = open();
  await expect(journal.append([{ body: decision("p-1", { detail: "x".repeat(201) }) }])).rejects.toMatchObject({
    code: "message.invalid",
    message: expect.stringContaining("detail"),
  });
  expect(journal.head.sequence).toBe(0);
});

test("takes nothing after it was closed", async () => {
  const journal = open();
  const last = journal.append([{ body: intent("p-1") }]);
  await journal[Symbol.asyncDispose]();
  await last;
  await expect(journal.append([{ body: intent("p-2") }])).rejects.toMatchObject({ code: "journal.failed" });
  await using again = open();
  expect(again.head.sequence).toBe(1);
});

test("undecided and unprinted follow intents, decisions, prints and voids", async () => {
  await using journal = open();
  await journal.append([{ body: intent("p-1") }, { body: intent("p-2") }, { body: intent("p-3") }]);
  expect(journal.undecided()).toEqual(["p-1", "p-2", "p-3"]);
  await journal.append([advice("p-1"), { body: decision("p-2", { outcome: "declined" }) }]);
  expect(journal.undecided()).toEqual(["p-3"]);
  expect(journal.unprinted()).toEqual(["p-1"]);
  const printed = (result: "proven" | "unproven"): EntryBody => ({
    kind: "printed",
    paymentId: id("p-1"),
    at: AT,
    print: 1,
    result,
  });
  await journal.append([{ body: printed("unproven") }]);
  expect(journal.unprinted()).toEqual(["p-1"]);
  await journal.append([{ body: printed("proven") }]);
  expect(journal.unprinted()).toEqual([]);
  const third = await one(journal, advice("p-3"));
  expect(journal.unprinted()).toEqual(["p-3"]);
  await journal.appendVoid(voiding(third, "p-3"));
  expect(journal.unprinted()).toEqual([]);
});

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

test("what was on its way before a restart goes first again, with its sealed data", async () => {
  const sealed = sealedFor(7);
  {
    await using journal = open();
    await journal.append([advice("p-1"), advice("p-2", sealed), advice("p-3")]);
    await journal.markForwarding([2]);
  }
  await using journal = open();
  const next = journal.nextToForward(2);
  expect(next.map((entry) => entry.sequence)).toEqual([2, 1]);
  expect(next[0]?.sealed).toEqual(sealed);
  expect(next[0]?.sealedDigest).toBe(digestOfSealed(sealed));
  expect(journal.nextToForward(2, new Set([2])).map((entry) => entry.sequence)).toEqual([1, 3]);
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

/** Whether any file of the journal holds these sealed bytes. */
const onDisk = (): Buffer => Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))));
const found = (all: readonly SealedCardData[]): number => {
  const bytes = onDisk();
  return all.filter((sealed) => bytes.includes(sealed.ciphertext.slice(8, 40))).length;
};

test("RM5 sealed card data leave every file within the bound after the receipt", async () => {
  await using journal = open();
  const sealed = Array.from({ length: 300 }, (_, at) => sealedFor(at % 250));
  const stored: StoredEntry[] = [];
  for (const [at, each] of sealed.entries()) stored.push(await one(journal, advice(`p-${at}`, each)));
  expect(found(sealed)).toBe(300);

  // Every third first, then the others from the end: rows between those that stay are erased too.
  await journal.settle(stored.filter((_, at) => at % 3 === 0).map((entry) => receipt(entry)));
  await clock.advance(ERASED_WITHIN_MS);
  expect(found(sealed.filter((_, at) => at % 3 === 0))).toBe(0);
  expect(found(sealed)).toBe(200);
  for (const entry of stored.filter((_, at) => at % 3 !== 0).reverse()) await journal.settle([receipt(entry)]);
  await clock.advance(ERASED_WITHIN_MS);
  expect(found(sealed)).toBe(0);
  expect(journal.verify().ok).toBe(true);
});

test("RM5 a voided entry's card data are erased as well, those of its neighbour stay until their receipt", async () => {
  await using journal = open();
  const sealed = [sealedFor(1), sealedFor(2)] as const;
  const [first] = await journal.append([advice("p-1", sealed[0]), advice("p-2", sealed[1])]);
  if (!first) throw new Error("nothing stored");
  await journal.appendVoid(voiding(first, "p-1"));
  await clock.advance(ERASED_WITHIN_MS);
  expect([found([sealed[0]]), found([sealed[1]])]).toEqual([0, 1]);
});

test("RM5 what a crash left of erased card data goes at the next opening", async () => {
  const sealed = sealedFor(1);
  const copy = mkdtempSync(join(tmpdir(), "journal-"));
  {
    await using journal = open();
    const stored = await one(journal, advice("p-1", sealed));
    await journal.settle([receipt(stored)]);
    expect(found([sealed])).toBe(1);
    for (const name of readdirSync(folder)) copyFileSync(join(folder, name), join(copy, name));
  }
  rmSync(folder, { recursive: true });
  renameSync(copy, folder);
  expect(found([sealed])).toBe(1);
  await using journal = open();
  expect(journal.queue()[0]?.state).toBe("processed");
  expect(found([sealed])).toBe(0);
});
