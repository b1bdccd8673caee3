import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { type Epoch, type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { openJournal } from "../journal/sqlite-journal.ts";
import { startForwarder } from "./forwarder.ts";
import { HubHoldings } from "./hub-holdings.ts";
import { advice, processed, SmallHub } from "./saf-fixture.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdings-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = () =>
  openJournal({
    path: join(folder, "journal.db"),
    terminalId: "shop-1" as TerminalId,
    clock: new ManualClock(),
    random: systemRandom,
    log: silentLog,
  });
const word = { hubEpoch: "0123456789abcdef" as Epoch, watermark: 0, fresh: true, saidAt: 1_000 };

test("a terminal that a copy of its disk has shut out raises its fence, also for its next opening", async () => {
  let raised: number;
  {
    await using journal = open();
    raised = journal.fence + 3;
    await new HubHoldings({ journal, log: silentLog }).heard({ ...word, fence: raised });
    expect(journal.fence).toBe(raised);
  }
  await using again = open();
  expect(again.fence).toBeGreaterThan(raised);
});

test("a lower fence, an equal one or none changes nothing", async () => {
  await using journal = open();
  const { fence } = journal;
  const holdings = new HubHoldings({ journal, log: silentLog });
  for (const told of [{}, { fence: 0 }, { fence }]) await holdings.heard({ ...word, ...told });
  expect(journal.fence).toBe(fence);
});

test("an entry whose receipt is noted and that the hub does not hold is sent again, once nothing else waits", async () => {
  await using journal = open();
  const stored = await journal.append(Array.from({ length: 5 }, (_, n) => advice(`p-${n}`)));
  const [hidden, waiting, ...rest] = stored;
  if (!hidden || !waiting) throw new Error("nothing stored");
  // As a flipped byte would leave it: receipted, though the hub never had it.
  await journal.settle([hidden, ...rest].map(processed));
  const holdings = new HubHoldings({ journal, log: silentLog });
  const said = async (watermark: number, fresh = true) => {
    for (let times = 0; times < 2; times += 1) await holdings.heard({ ...word, watermark, fresh });
    return journal.nextToForward(9).map(({ sequence }) => sequence);
  };
  expect(await said(0)).toEqual([waiting.sequence]);
  await journal.settle([processed(waiting)]);
  expect(await said(0, false)).toEqual([]);
  expect(await said(0)).toEqual([hidden.sequence]);
  await journal.settle([processed(hidden)]);
  expect(await said(5)).toEqual([]);
});

test("a number that was voided before it was sent is not asked for", async () => {
  await using journal = open();
  const [first] = await journal.append([advice("p-0"), advice("p-1")]);
  if (!first) throw new Error("nothing stored");
  await journal.appendVoid({
    ...{ kind: "void", paymentId: "p-0" as PaymentId, at: "2026-01-05T09:00:00.000Z", attempts: [] },
    ...{ voidedSequence: 1, voidedForward: 1, amount: { minor: "100", currency: "EUR" as never } },
  });
  await journal.settle(journal.nextToForward(9).map(processed));
  const holdings = new HubHoldings({ journal, log: silentLog });
  for (let times = 0; times < 2; times += 1) await holdings.heard(word);
  expect(journal.backlog().depth).toBe(0);
});

test("RM18 what came before a loss stays outdated when an older word tells of another loss, and after a restart", async () => {
  await using journal = open();
  const holdings = new HubHoldings({ journal, log: silentLog });
  expect(holdings.isOutdated({ saidAt: 0 })).toBe(false);
  await holdings.heard({ ...word, watermark: 5, saidAt: 1_000 });
  await holdings.heard({ ...word, watermark: 3, saidAt: 2_000 });
  await holdings.heard({ ...word, watermark: 1, saidAt: 1_500 });
  for (const each of [holdings, new HubHoldings({ journal, log: silentLog })])
    expect([1_999, 2_000].map((saidAt) => each.isOutdated({ saidAt }))).toEqual([true, false]);
});

test("RM18 a journal of which there is a copy is told again from its beginning: what the hub holds may be the copy's", async () => {
  await using journal = open();
  const stored = await journal.append(Array.from({ length: 4 }, (_, n) => advice(`p-${n}`)));
  await journal.settle(stored.map(processed));
  const waiting = () => journal.nextToForward(9).map(({ sequence }) => sequence);
  const holdings = () => new HubHoldings({ journal, log: silentLog });
  await holdings().heard({ ...word, watermark: 4 });
  await holdings().heard({ ...word, watermark: 4, fence: journal.fence + 1 });
  expect(waiting()).toEqual([]);
  await holdings().heard({ ...word, watermark: 3, saidAt: 2_000 });
  expect(waiting()).toEqual([1, 2, 3, 4]);
});

test("RM18 a receipt from before the loss, come late, ends no entry that is told again", async () => {
  await using journal = open();
  const clock = new ManualClock();
  const hub = new SmallHub();
  await journal.append([advice("p-0"), advice("p-1")]);
  const stop = new AbortController();
  const random = () => Uint8Array.of(0, 0);
  startForwarder({ journal, hub, clock, random, log: silentLog, signal: stop.signal });
  await clock.advance(10);
  hub.holds(2);
  hub.time += 1;
  hub.answer = () => [];
  hub.holds(0);
  await clock.advance(10);
  const late = (hub.batches[0]?.entries ?? []).map(processed);
  const says = async (at: number) => {
    hub.time = at;
    hub.receipt(late, journal.epoch);
    await clock.advance(10);
    return journal.queue().map(({ state }) => state);
  };
  const lossAt = hub.time;
  expect(await says(lossAt - 1)).toEqual(["forwarding", "forwarding"]);
  expect(await says(lossAt)).toEqual(["processed", "processed"]);
  stop.abort();
});
