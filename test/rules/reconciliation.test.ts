/** A real journal and a real hub agree on a day, entry by entry, or each difference is listed with its name. */
import { expect, onTestFinished, test } from "vitest";
import type { Journal, NewEntry } from "../../agent/journal/journal.ts";
import { JournalFolder } from "../../agent/journal/journal-fixture.ts";
import { UplinkDayHub } from "../../agent/reconciliation/day-hub.ts";
import { createReconciler } from "../../agent/reconciliation/reconciler.ts";
import { EnvelopeMaker } from "../../agent/uplink/envelopes.ts";
import { LinkEvents } from "../../agent/uplink/link-events.ts";
import { systemClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { createHubCore } from "../../hub/hub-core.ts";
import { sql } from "../../hub/store/store.ts";
import { batchText, type ForwardedEntry } from "../../wire/advice.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import type { DaySummary } from "../../wire/reconciliation.ts";
import { newSigningKeys, publicKeyText, signText } from "../../wire/signing.ts";
import { EUR, hubFixture, only, TEST_POLICY } from "./hub-fixture.ts";

const T9 = "T9" as TerminalId;
/** 2026-01-05T09:00:00Z, and a few minutes either side of that day's beginning in Berlin. */
const NOON = "2026-01-05T11:00:00.000Z";
const JUST_BEFORE = "2026-01-04T22:59:59.999Z";
const MIDNIGHT = "2026-01-04T23:00:00.000Z";

async function world() {
  const { hub, clock, keys: hubKeys, terminal, customer, merchant } = await hubFixture({ balanceMinor: 1_000_000n });
  const folder = new JournalFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  const journal = folder.open(T9);
  onTestFinished(() => journal[Symbol.asyncDispose]());
  const keys = newSigningKeys();
  await hub.store.transaction(async (within) => {
    const claim = await hub.terminals.createClaim(within, { terminalId: T9, validMs: 3_600_000 });
    await hub.terminals.enrol(within, { ...claim, signingKey: publicKeyText(keys.publicKey) });
  });
  const envelopes = new EnvelopeMaker({
    terminalId: T9,
    journal,
    clock,
    random: systemRandom,
    version: "1",
    leaseCounter: () => 0,
    question: () => undefined,
  });
  const events = new LinkEvents();
  const summaries: DaySummary[] = [];
  /** What the way to the hub does with a list's parts. */
  const way = { hub, send: async (envelope: UpEnvelope) => pass(envelope) };
  async function pass(envelope: UpEnvelope): Promise<void> {
    if (envelope.type === "day.summary") summaries.push(envelope.body);
    for (const answer of await way.hub.receive(envelope)) events.deliver(answer);
  }
  const uplink = {
    name: "memory",
    state: "up" as const,
    send: (envelope: UpEnvelope) => way.send(envelope),
    onMessage: events.onMessage.bind(events),
    onState: events.onState.bind(events),
  };
  const days = new UplinkDayHub({ uplink, envelopes, clock: systemClock });
  const now = () => Date.parse(NOON);
  const reconciler = createReconciler({
    journal,
    hub: days,
    random: systemRandom,
    timeZone: "Europe/Berlin",
    now,
    log: silentLog,
  });
  const reconcile = (day?: string) => reconciler.reconcile(day, new AbortController().signal);

  /** Sends entries as they lie in the journal; the journal hears their receipts, or not. */
  async function forward(entries: readonly ForwardedEntry[], settle: "settled" | "unheard" = "settled") {
    const batch = { epoch: journal.epoch, entries: [...entries], chainHead: journal.head.hash };
    const { signature } = signText("batch", batchText(T9, batch), keys.privateKey);
    const message = { ...envelopes.head(0), type: "advice.batch" as const, body: { ...batch, signature } };
    const { results } = only(await hub.receive(message), "receipt").body;
    await journal.markForwarding(entries.map(({ sequence }) => sequence));
    if (settle === "settled") await journal.settle(results);
    return results;
  }
  const entryOf = (id: string, changes: Partial<EntryOf<"decision">> = {}): NewEntry => ({
    body: { ...terminal.decision(id, { at: NOON, ...changes }) },
    forward: true,
  });
  /** Does to the hub's rows what nothing in the hub does. */
  const run = (text: string, ...values: number[]) =>
    hub.store.transaction((within) => within.run(sql<readonly number[]>(text), values));
  return { hub, hubKeys, clock, customer, merchant, journal, reconcile, forward, entryOf, summaries, way, pass, run };
}

const append = (journal: Journal, ...entries: NewEntry[]) => journal.append(entries);

test("a day whose entries all arrived agrees, and entries of other days are not of it", async () => {
  const { journal, reconcile, forward, entryOf, summaries } = await world();
  const stored = await append(
    journal,
    entryOf("eve", { at: JUST_BEFORE, businessDate: "2026-01-04" }),
    entryOf("first", { at: MIDNIGHT }),
    entryOf("second"),
  );
  await forward(stored);
  expect(await reconcile()).toMatchObject({ businessDate: "2026-01-05", agreed: 2, differences: [], unexplained: 0 });
  expect(summaries[0]).toMatchObject({ from: MIDNIGHT, to: "2026-01-05T23:00:00.000Z" });
  expect(await reconcile("2026-01-04")).toMatchObject({ agreed: 1, differences: [] });
  expect(await reconcile("2026-01-07")).toMatchObject({ agreed: 0, differences: [] });
});

test("a pre-authorisation moves nothing, and its completion moves its own amount: both agree", async () => {
  const { journal, reconcile, forward, entryOf } = await world();
  const held = entryOf("hotel", { operation: "pre-authorisation", mode: "online", attempts: [1] });
  const completed = { operation: "completion", mode: "online", originalPaymentId: "hotel" as PaymentId } as const;
  const amount = { minor: "700", currency: entryAmount.currency };
  const receipts = await forward(await append(journal, held, entryOf("bill", { ...completed, amount })));
  expect(receipts.map(({ status }) => status)).toEqual(["processed", "processed"]);
  expect(await reconcile()).toMatchObject({ agreed: 2, differences: [] });
});

test("what waits, what was not heard of, what was set aside and what is missing are told apart", async () => {
  const { journal, hub, run, reconcile, forward, entryOf } = await world();
  const stored = await append(
    journal,
    ...["good", "unheard", "lost", "twice"].map((id) => entryOf(id)),
    entryOf("twice", { amount: { minor: "999", currency: entryAmount.currency } }),
    entryOf("waiting"),
  );
  const [good, unheard, lost, twice, conflict] = stored;
  if (!good || !unheard || !lost || !twice || !conflict) throw new Error("not stored");
  await forward([unheard], "unheard");
  expect((await forward([good, lost, twice, conflict])).map(({ status }) => status)).toEqual([
    "processed",
    "processed",
    "processed",
    "quarantined",
  ]);
  await run("DELETE FROM ingest__entry WHERE sequence = ?", lost.sequence);
  const report = await reconcile();
  expect(report).toMatchObject({ agreed: 2, unexplained: 1, more: 0 });
  expect(report.differences.map(({ what, paymentId }) => [what, paymentId])).toEqual([
    ["missing-at-hub", "lost"],
    ["other-state", "unheard"],
    ["quarantined", "twice"],
    ["not-sent", "waiting"],
  ]);
  // What is not there though it was receipted goes again by itself.
  expect(journal.nextToForward(9).map(({ paymentId }) => paymentId)).toContain("lost");
  // The hub keeps the list, and compares it anew when it is asked.
  await forward([unheard, lost]);
  const view = await hub.reconciliation.look(T9, "2026-01-05");
  expect(view.compared).toMatchObject({ listed: 6, report: { agreed: 3, unexplained: 0 } });
  expect(view.entries).toHaveLength(5);
});
const entryAmount = { minor: "1000", currency: EUR };

test("what the ledger moved twice, or not at all, is found although both hold the entry", async () => {
  const { journal, hub, run, reconcile, forward, entryOf, customer, merchant } = await world();
  await forward(await append(journal, entryOf("double"), entryOf("none")));
  const amount = 1_000n;
  const again = { id: "T9/double/advice/9", kind: "single" as const, debitAccount: customer, creditAccount: merchant };
  const post = hub.store.transaction((within) => hub.ledger.createTransfers(within, [{ ...again, amount, code: 3 }]));
  expect(await post).toEqual(["created"]);
  await run("UPDATE authorisation__payment SET payment_id = 'gone' WHERE payment_id = 'none'");
  expect((await reconcile()).differences).toMatchObject([
    { what: "posted-twice", paymentId: "double", agent: "1000", hub: "2000" },
    { what: "other-amount", paymentId: "none", agent: "1000", hub: "0" },
  ]);
});

test("a terminal restored from an older disk misses what the hub holds, and a sale made meanwhile is no difference", async () => {
  const { journal, clock, reconcile, forward, entryOf, way, pass } = await world();
  await forward(await append(journal, entryOf("known")));
  // Made and sent after the list was drawn up, and at the hub before it.
  way.send = async (envelope) => {
    if (envelope.type === "day.summary") await forward(await append(journal, entryOf("meanwhile")));
    await pass(envelope);
  };
  expect(await reconcile()).toMatchObject({ agreed: 1, differences: [] });
  clock.setWall(clock.now() + 3_600_000);
  way.send = async (envelope) => {
    if (envelope.type !== "day.summary") return pass(envelope);
    // The older disk ends with its first entry.
    await pass({ ...envelope, sequence: 1, body: { ...envelope.body, entries: envelope.body.entries.slice(0, 1) } });
  };
  expect(await reconcile()).toMatchObject({
    unexplained: 1,
    differences: [{ what: "missing-at-terminal", paymentId: "meanwhile" }],
  });
});

test("a long day goes in parts, in whatever order they come, and a repeated part changes nothing", async () => {
  const { journal, reconcile, forward, entryOf, way, pass, summaries } = await world();
  const stored = await append(journal, ...Array.from({ length: 850 }, (_, number) => entryOf(`sale-${number}`)));
  for (let at = 0; at < stored.length; at += 50) await forward(stored.slice(at, at + 50));
  const parts: UpEnvelope[] = [];
  way.send = async (envelope) => {
    parts.push(envelope);
    const [first, second, third] = parts;
    if (first && second && third) for (const part of [third, first, first, second]) await pass(part);
  };
  expect(await reconcile()).toMatchObject({ agreed: 850, differences: [], more: 0 });
  expect(summaries.map(({ part, parts: of }) => [part, of])).toEqual([3, 1, 1, 2].map((part) => [part, 3]));
});

test("the parts of a long day may each come to another replica of the hub", async () => {
  const { hub, hubKeys, clock, journal, reconcile, forward, entryOf, way, pass } = await world();
  const stored = await append(journal, ...Array.from({ length: 401 }, (_, number) => entryOf(`sale-${number}`)));
  for (let at = 0; at < stored.length; at += 50) await forward(stored.slice(at, at + 50));
  const { store } = hub;
  const other = await createHubCore({
    store,
    keys: hubKeys,
    policy: TEST_POLICY,
    clock,
    random: systemRandom,
    log: silentLog,
  });
  way.send = async (envelope) => {
    way.hub = way.hub === hub ? other : hub;
    await pass(envelope);
  };
  expect(await reconcile()).toMatchObject({ agreed: 401, differences: [], more: 0 });
});

test("a newer list takes the place of one that never became whole", async () => {
  const { journal, reconcile, forward, entryOf, way, pass } = await world();
  const stored = await append(journal, ...Array.from({ length: 401 }, (_, number) => entryOf(`sale-${number}`)));
  for (let at = 0; at < stored.length; at += 50) await forward(stored.slice(at, at + 50));
  way.send = async (envelope) => {
    if (envelope.type !== "day.summary") return pass(envelope);
    if (envelope.body.part === 1) await pass({ ...envelope, body: { ...envelope.body, summaryId: "0".repeat(24) } });
    await pass(envelope);
  };
  expect(await reconcile()).toMatchObject({ agreed: 401, differences: [], more: 0 });
});

test("what an earlier version of the hub took belongs to its day all the same", async () => {
  const { journal, run, reconcile, forward, entryOf } = await world();
  const conflict = { amount: { minor: "999", currency: EUR } };
  const eve = entryOf("eve", { at: JUST_BEFORE, businessDate: "2026-01-04" });
  await forward(await append(journal, eve, entryOf("sale"), entryOf("sale", conflict), entryOf("late")));
  await run("UPDATE ingest__quarantine SET at = NULL");
  await run("UPDATE ingest__entry SET at = NULL WHERE sequence < ?", 4);
  expect(await reconcile()).toMatchObject({
    agreed: 2,
    differences: [{ what: "quarantined", paymentId: "sale" }],
    unexplained: 0,
  });
});

test("without the terminal's list the hub shows what it took, and compares nothing", async () => {
  const { hub, journal, forward, entryOf } = await world();
  await forward(await append(journal, entryOf("sale-1")));
  const view = await hub.reconciliation.look(T9, "2026-01-05");
  expect(view.compared).toBeUndefined();
  expect(view.entries).toMatchObject([{ paymentId: "sale-1", state: "processed", decidedMinor: 1_000n }]);
});

test("what was compared more than a year ago is forgotten with a newer comparison", async () => {
  const { hub, clock, reconcile } = await world();
  const DAYS = sql<[], { day: string }>(
    "SELECT business_date AS day FROM reconciliation__report ORDER BY business_date",
  );
  const days = async () => (await hub.store.read((reading) => reading.all(DAYS, []))).map(({ day }) => day);
  await reconcile("2026-01-04");
  await reconcile("2026-01-05");
  expect(await days()).toEqual(["2026-01-04", "2026-01-05"]);
  clock.setWall(clock.now() + 400 * 24 * 3_600_000);
  await reconcile("2026-01-06");
  expect(await days()).toEqual(["2026-01-05", "2026-01-06"]);
  expect((await hub.reconciliation.look(T9, "2026-01-04")).compared).toBeUndefined();
});

test("a report is told although what the hub lacks cannot be put back into the queue", async () => {
  const { journal, run, reconcile, forward, entryOf } = await world();
  await forward(await append(journal, entryOf("lost")));
  await run("DELETE FROM ingest__entry");
  const { resendOne } = journal;
  journal.resendOne = () => Promise.reject(new Fault("journal.full", "no space left"));
  const missing = { differences: [{ what: "missing-at-hub", paymentId: "lost" }] };
  expect(await reconcile()).toMatchObject(missing);
  expect(journal.backlog().depth).toBe(0);
  journal.resendOne = resendOne;
  expect(await reconcile()).toMatchObject(missing);
  expect(journal.backlog().depth).toBe(1);
});
