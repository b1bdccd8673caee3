/** The drain of the queue over a real journal, with a hub of a few lines that loses, splits and refuses on demand. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { AdviceBatchSchema } from "../../wire/advice.ts";
import { hashEntry } from "../../wire/journal-entry.ts";
import type { Journal } from "../journal/journal.ts";
import { openJournal } from "../journal/sqlite-journal.ts";
import { RESEND_POLICY, SENDS_BEFORE_SPLIT } from "./forward-batch.ts";
import {
  BATCHES_IN_FLIGHT_MAX,
  CHARACTERS_IN_FLIGHT_MAX,
  type Forwarder,
  HANDED_BY_HTTPS_MAX,
  HANDED_MAX,
  RECEIPT_TIMEOUT_MS,
  startForwarder,
} from "./forwarder.ts";
import { BATCH_CHARACTERS_MAX } from "./look-ahead.ts";
import { advice, processed, SmallHub, takesAll } from "./saf-fixture.ts";

let folder: string;
let clock: ManualClock;
let journal: Journal;
let hub: SmallHub;
let stop: AbortController;

const openHere = (): Journal =>
  openJournal({
    path: join(folder, "journal.db"),
    terminalId: "shop-1" as TerminalId,
    clock,
    random: systemRandom,
    log: silentLog,
  });
const start = (): Forwarder =>
  startForwarder({ journal, hub, clock, random: () => Uint8Array.of(0, 0), log: silentLog, signal: stop.signal });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "forwarder-"));
  clock = new ManualClock();
  journal = openHere();
  hub = new SmallHub();
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await journal[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const appended = (count: number, prefix = "p") =>
  journal.append(Array.from({ length: count }, (_, at) => advice(`${prefix}-${at}`)));
/** Lets what is due now happen. */
const turn = () => clock.advance(0);
const depth = () => journal.backlog().depth;
/** Lets everything due now happen until the queue is empty or nothing changes any more. */
const drained = async (): Promise<void> => {
  for (let turns = 0; turns < 50 && depth() > 0; turns += 1) await turn();
};

test("drains in order, at most 50 in a batch, the stored text to the byte", async () => {
  const stored = await appended(120);
  const forwarder = start();
  await drained();
  expect(hub.sequences.flat()).toEqual(stored.map((entry) => entry.sequence));
  expect(hub.sequences.map((each) => each.length)).toEqual([50, 50, 20]);
  expect(forwarder.stats).toEqual({ depth: 0, inFlight: 0 });
  for (const batch of hub.batches) {
    expect(AdviceBatchSchema.safeParse({ ...batch, signature: "AAAA" }).success).toBe(true);
    expect(batch.epoch).toBe(journal.epoch);
    for (const entry of batch.entries) {
      expect(entry.text).toBe(stored[entry.sequence - 1]?.text);
      expect(hashEntry({ terminalId: "shop-1", epoch: batch.epoch, ...entry })).toBe(entry.hash);
      expect(entry.sealed).toEqual({ keyId: "hub-1", enc: "AAAA", ciphertext: "BBBB" });
    }
  }
});

test("an entry appended while the link is up goes at once", async () => {
  start();
  await appended(1);
  await drained();
  expect(hub.sequences).toEqual([[1]]);
});

test("nothing is sent while the link is down, everything when it is up again", async () => {
  hub.state = "down";
  start();
  await appended(2);
  await clock.advance(120_000);
  expect(hub.batches).toEqual([]);
  hub.link("up");
  await drained();
  expect(hub.sequences).toEqual([[1, 2]]);
});

test("a lost receipt leads to the same entries again, and they stay until one names them", async () => {
  hub.answer = () => [];
  await appended(2);
  const forwarder = start();
  await turn();
  expect(forwarder.stats).toMatchObject({ depth: 2, inFlight: 2 });
  await clock.advance(RECEIPT_TIMEOUT_MS);
  expect(forwarder.stats.lastError).toContain("no receipt");
  expect(hub.batches).toHaveLength(1);
  hub.answer = takesAll;
  await clock.advance(RESEND_POLICY.firstMs);
  expect(hub.sequences).toEqual([
    [1, 2],
    [1, 2],
  ]);
  await drained();
  expect(forwarder.stats).toEqual({ depth: 0, inFlight: 0 });
  expect(journal.queue().map((entry) => entry.attempts)).toEqual([2, 2]);
});

test("a partial receipt settles what it names; only the rest is sent again", async () => {
  hub.answer = (batch) => batch.entries.slice(0, 1).map(processed);
  await appended(3);
  start();
  await turn();
  await clock.advance(RECEIPT_TIMEOUT_MS + RESEND_POLICY.firstMs);
  expect(hub.sequences).toEqual([
    [1, 2, 3],
    [2, 3],
  ]);
});

test("no receipt but one by sequence, hash and epoch takes an entry off the queue", async () => {
  const [first, second] = await appended(2);
  if (!first || !second) throw new Error("nothing stored");
  hub.answer = () => [];
  start();
  await turn();
  hub.receipt([{ ...processed(first), hash: second.hash }], journal.epoch);
  hub.receipt([{ ...processed(second), sequence: 99 }], journal.epoch);
  hub.receipt([processed(first), processed(second)], "0123456789abcdef");
  await turn();
  expect(depth()).toBe(2);
  hub.receipt([processed(first), processed(second)], journal.epoch);
  await turn();
  expect(depth()).toBe(0);
});

test("a quarantined or declined entry settles and the rest moves on", async () => {
  hub.answer = (batch) =>
    batch.entries.map((entry) => ({
      ...processed(entry),
      status: entry.sequence === 2 ? "quarantined" : entry.sequence === 3 ? "declined" : "processed",
      reason: "E_FORMAT",
    }));
  await appended(60);
  start();
  await drained();
  expect(depth()).toBe(0);
  expect(journal.queue({ state: "quarantined" }).map((entry) => entry.sequence)).toEqual([2]);
  expect(journal.queue({ state: "declined" }).map((entry) => entry.sequence)).toEqual([3]);
});

test("what was under way when the link dropped goes first when it is back", async () => {
  hub.answer = () => [];
  await appended(3);
  start();
  await turn();
  hub.link("down");
  await appended(2);
  await clock.advance(RECEIPT_TIMEOUT_MS * 2);
  expect(hub.batches).toHaveLength(1);
  hub.answer = takesAll;
  hub.link("up");
  await drained();
  expect(hub.sequences).toEqual([
    [1, 2, 3],
    [1, 2, 3, 4, 5],
  ]);
});

test("what was forwarding at a restart is forwarded again", async () => {
  await appended(3);
  await journal.markForwarding([1, 2]);
  await journal[Symbol.asyncDispose]();
  journal = openHere();
  start();
  await drained();
  expect(hub.sequences).toEqual([[1, 2, 3]]);
  expect(journal.queue().map((entry) => [entry.state, entry.attempts])).toEqual([
    ["processed", 2],
    ["processed", 2],
    ["processed", 1],
  ]);
});

test("an uplink that refuses is tried again with growing rests, and retry() does not wait for them", async () => {
  hub.fault = new Fault("uplink.down", "the broker went away");
  await appended(1);
  const forwarder = start();
  await turn();
  await clock.advance(1_000 + 2_000 + 4_000);
  expect(hub.batches).toHaveLength(4);
  expect(forwarder.stats.lastError).toBe("the broker went away");
  hub.fault = undefined;
  forwarder.retry();
  await drained();
  expect(forwarder.stats).toEqual({ depth: 0, inFlight: 0 });
});

test("a silent hub is asked ever more rarely: an hour of silence costs a bounded number of sendings", async () => {
  hub.answer = () => [];
  await appended(1);
  start();
  await turn();
  await clock.advance(3_600_000);
  expect(hub.batches.length).toBeGreaterThan(40);
  expect(hub.batches.length).toBeLessThan(3_600_000 / (RECEIPT_TIMEOUT_MS + RESEND_POLICY.maxMs) + 10);
});

test("at most a window of batches travels at one time", async () => {
  hub.answer = () => [];
  for (let part = 0; part < 4; part += 1) await appended(1_000, `part-${part}`);
  const forwarder = start();
  for (let turns = 0; turns < 20; turns += 1) await turn();
  expect(hub.batches).toHaveLength(BATCHES_IN_FLIGHT_MAX);
  expect(forwarder.stats).toMatchObject({ depth: 4_000, inFlight: BATCHES_IN_FLIGHT_MAX * 50 });
});

test.each([
  ["mqtt", HANDED_MAX],
  ["https", HANDED_BY_HTTPS_MAX],
])("over %s the drain leaves room in the link for who waits at the counter", async (via, most) => {
  const taken: (() => void)[] = [];
  hub.via = via;
  hub.forward = (batch) => {
    hub.batches.push(batch);
    return new Promise((resolve) => taken.push(resolve));
  };
  for (let part = 0; part < 3; part += 1) await appended(1_000, `part-${part}`);
  start();
  for (let turns = 0; turns < 20; turns += 1) await turn();
  expect(hub.batches).toHaveLength(most);
  taken[0]?.();
  await turn();
  expect(hub.batches).toHaveLength(most + 1);
});

test("what is under way takes no more memory than its bound, however large the entries are", async () => {
  hub.answer = () => [];
  const large = "BBBB".repeat(8_000);
  for (let part = 0; part < 8; part += 1)
    await journal.append(Array.from({ length: 50 }, (_, at) => advice(`p-${part}-${at}`, { ciphertext: large })));
  const forwarder = start();
  for (let turns = 0; turns < 20; turns += 1) await turn();
  const { inFlight } = forwarder.stats;
  expect(inFlight).toBeLessThan(300);
  expect(inFlight * large.length).toBeGreaterThan(CHARACTERS_IN_FLIGHT_MAX - BATCH_CHARACTERS_MAX);
  expect(inFlight * large.length).toBeLessThan(CHARACTERS_IN_FLIGHT_MAX + BATCH_CHARACTERS_MAX);
});

test("entries that keep the hub from taking their batch are found by halving, and all others get through", async () => {
  const poison = new Set([3, 20, 21, 22, 23, 24, 75]);
  hub.answer = (batch) => (batch.entries.some((entry) => poison.has(entry.sequence)) ? [] : takesAll(batch));
  await appended(300);
  start();
  await turn();
  await clock.advance(3_600_000);
  expect(journal.nextToForward(50).map((entry) => entry.sequence)).toEqual([...poison]);
  expect(hub.batches.filter((batch) => batch.entries.length === 50).length).toBeGreaterThanOrEqual(SENDS_BEFORE_SPLIT);
});

test("large entries make smaller batches", async () => {
  const long = Array.from({ length: 40 }, (_, at) => advice(`p-${at}`, { ciphertext: "BBBB".repeat(8_000) }));
  await journal.append(long);
  start();
  await drained();
  expect(depth()).toBe(0);
  expect(Math.max(...hub.sequences.map((each) => each.length))).toBeLessThan(20);
});

test("RM12 a void in the same turn as the sending keeps the entry here", async () => {
  const [stored] = await appended(1);
  if (!stored) throw new Error("nothing stored");
  const voided = journal.appendVoid({
    kind: "void",
    paymentId: "p-0" as PaymentId,
    at: "2026-01-05T09:00:01.000Z",
    voidedSequence: 1,
    voidedForward: 1,
    amount: { minor: "100", currency: "EUR" as never },
    attempts: [],
  });
  start();
  expect((await voided).ok).toBe(true);
  await drained();
  expect(hub.sequences).toEqual([[2]]);
});

test("stops with its signal: no sending, no timer left", async () => {
  hub.answer = () => [];
  await appended(1);
  start();
  await turn();
  stop.abort();
  await clock.advance(600_000);
  await appended(1);
  await turn();
  expect(hub.batches).toHaveLength(1);
});

test("its lane is idle with the link down or nothing waiting, and moves with every try", async () => {
  hub.answer = () => [];
  const forwarder = start();
  expect(forwarder.lane.idle).toBe(true);
  await appended(1);
  await turn();
  const sent = forwarder.lane.lastProgressMs;
  expect(forwarder.lane.idle).toBe(false);
  await clock.advance(RECEIPT_TIMEOUT_MS + 2_000);
  expect(forwarder.lane.lastProgressMs).toBeGreaterThan(sent);
  expect(clock.monotonic() - forwarder.lane.lastProgressMs).toBeLessThan(forwarder.lane.limitMs ?? 0);
  hub.link("down");
  expect(forwarder.lane.idle).toBe(true);
});
