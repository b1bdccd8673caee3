/** In which order the queue drains, what a person forces, whose drain it is, and what a restored hub is told again. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Epoch, PaymentId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import type { Journal } from "../journal/journal.ts";
import { JournalFolder } from "../journal/journal-fixture.ts";
import { RESEND_SLICE } from "../journal/queue-store.ts";
import { RESEND_POLICY } from "./forward-batch.ts";
import { type Forwarder, RECEIPT_TIMEOUT_MS, startForwarder } from "./forwarder.ts";
import { advice, HUB_EPOCH, processed, type Sent, SmallHub, takesAll } from "./saf-fixture.ts";

let here: JournalFolder;
let journal: Journal;
let hub: SmallHub;
let stop: AbortController;

const start = (): Forwarder =>
  startForwarder({
    journal,
    hub,
    clock: here.clock,
    random: () => Uint8Array.of(0, 0),
    log: silentLog,
    signal: stop.signal,
  });

beforeEach(() => {
  here = new JournalFolder();
  journal = here.open();
  hub = new SmallHub();
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await journal[Symbol.asyncDispose]();
  here[Symbol.dispose]();
});

async function reopened(): Promise<void> {
  stop.abort();
  stop = new AbortController();
  await journal[Symbol.asyncDispose]();
  journal = here.open();
  hub = new SmallHub();
}
const turn = () => here.clock.advance(0);
const drained = async (): Promise<void> => {
  await turn();
  for (let turns = 0; turns < 200 && journal.backlog().depth > 0; turns += 1) await turn();
};
/** One sale for each letter: its card. */
const sales = (cards: string) => journal.append([...cards].map((card, at) => advice(`p-${at}-${card}`, { card })));
const action = (
  act: EntryOf<"queue-action">["action"],
  entry: { readonly sequence: number; readonly paymentId: PaymentId },
): EntryOf<"queue-action"> => ({
  kind: "queue-action",
  paymentId: entry.paymentId,
  at: "2026-01-05T09:00:00.000Z",
  action: act,
  targetSequence: entry.sequence,
  by: "ann",
  why: "asked to",
});
/** Every batch with one of these gets no answer. */
const neverAnswers =
  (...poison: readonly number[]) =>
  (batch: Sent) =>
    batch.entries.some((entry) => poison.includes(entry.sequence)) ? [] : takesAll(batch);

test("a card's later sale is not sent while an earlier one rests; other cards move past it", async () => {
  hub.answer = neverAnswers(1);
  await sales("a");
  start();
  await turn();
  await sales("abca");
  await drained();
  expect(hub.sequences).toEqual([[1], [3, 4]]);
  hub.answer = takesAll;
  await here.clock.advance(RECEIPT_TIMEOUT_MS + RESEND_POLICY.firstMs);
  await drained();
  expect(hub.sequences).toEqual([[1], [3, 4], [1], [2, 5]]);
});

test("a sale and its reversal keep their order though only the sale names the card", async () => {
  hub.answer = neverAnswers(1);
  await journal.append([advice("p-1", { card: "a" })]);
  start();
  await turn();
  const reversal = {
    kind: "reversal",
    paymentId: "p-1" as PaymentId,
    at: "2026-01-05T09:00:00.000Z",
    attempt: 1,
    reason: "timeout",
  } as const;
  await journal.append([{ body: reversal, forward: true }, advice("p-2", { card: "b" })]);
  await turn();
  expect(hub.sequences).toEqual([[1], [3]]);
});

test("what waits for its payment holds up what waits for its card: order is kept along both", async () => {
  hub.answer = neverAnswers(1);
  const at = "2026-01-05T09:00:00.000Z";
  const early = { kind: "reversal", paymentId: "p-1" as PaymentId, at, attempt: 1, reason: "timeout" } as const;
  await journal.append([{ body: early, forward: true }]);
  start();
  await turn();
  await journal.append([advice("p-1", { card: "a" }), advice("p-2", { card: "a" }), advice("p-3", { card: "b" })]);
  await turn();
  expect(hub.sequences).toEqual([[1], [4]]);
});

test("an entry of one account that the hub never answers holds up that account alone, until it is quarantined", async () => {
  hub.answer = neverAnswers(2);
  await sales("abcabcabc");
  start();
  await here.clock.advance(600_000);
  expect(journal.nextToForward(50).map((entry) => entry.sequence)).toEqual([2, 5, 8]);
  hub.answer = (batch) =>
    batch.entries.map((entry) => ({
      ...processed(entry),
      status: entry.sequence === 2 ? "quarantined" : "processed",
      reason: "E_FORMAT",
    }));
  await here.clock.advance(RECEIPT_TIMEOUT_MS + 2 * RESEND_POLICY.maxMs);
  expect(journal.backlog().depth).toBe(0);
  expect(journal.queue({ state: "quarantined" }).map((entry) => entry.sequence)).toEqual([2]);
});

test("whatever is lost, refused and repeated, a hub first sees the entries of each card in their order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 60 }),
      fc.array(fc.constantFrom("takes", "silent", "some", "down"), { maxLength: 25 }),
      async (cards, moods) => {
        using folder = new JournalFolder();
        await using own = folder.open();
        const seen: number[] = [];
        const small = new SmallHub();
        const stopping = new AbortController();
        let mood = "takes";
        small.answer = (batch) => {
          if (mood === "silent") return [];
          const taken = mood === "some" ? batch.entries.slice(0, Math.ceil(batch.entries.length / 2)) : batch.entries;
          for (const { sequence } of taken) if (!seen.includes(sequence)) seen.push(sequence);
          return taken.map(processed);
        };
        startForwarder({
          journal: own,
          hub: small,
          clock: folder.clock,
          random: () => Uint8Array.of(0, 0),
          log: silentLog,
          signal: stopping.signal,
        });
        const step = Math.ceil(cards.length / (moods.length + 1));
        for (let at = 0; at <= moods.length; at += 1) {
          mood = moods[at] ?? "takes";
          small.link(mood === "down" ? "down" : "up");
          const part = cards.slice(at * step, (at + 1) * step);
          await own.append(part.map((card, index) => advice(`p-${at}-${index}`, { card })));
          await folder.clock.advance(7_000);
        }
        small.link("up");
        mood = "takes";
        await folder.clock.advance(900_000);
        stopping.abort();
        expect(own.backlog().depth).toBe(0);
        for (const card of ["a", "b", "c", "d"]) {
          const ofCard = seen.filter((sequence) => cards[sequence - 1] === card);
          expect(ofCard).toEqual([...ofCard].sort((one, other) => one - other));
        }
        expect(new Set(seen).size).toBe(cards.length);
      },
    ),
    { numRuns: 25 },
  );
}, 60_000);

test("a forced entry goes at once out of its rest; the rest of its batch keeps its own", async () => {
  hub.answer = () => [];
  await sales("abc");
  const forwarder = start();
  await turn();
  await here.clock.advance(RECEIPT_TIMEOUT_MS);
  expect(forwarder.waitOf(2)).toMatchObject({ at: "resting", nextTryInMs: RESEND_POLICY.firstMs });
  expect(forwarder.waitOf(2).lastError).toContain("no receipt");
  expect(forwarder.force(2)).toEqual({ ok: true, value: undefined });
  await turn();
  expect(hub.sequences).toEqual([[1, 2, 3], [2]]);
  expect(forwarder.waitOf(2)).toEqual({ at: "in-flight" });
  await here.clock.advance(RESEND_POLICY.firstMs);
  expect(hub.sequences.at(-1)).toEqual([1, 3]);
});

test("a forced entry is refused with the link down, when nothing of it waits, and behind one of its own account", async () => {
  hub.answer = neverAnswers(1);
  await sales("ab");
  await journal.append([{ body: action("force", { sequence: 1, paymentId: "p-0-a" as PaymentId }) }]);
  await sales("a");
  const forwarder = start();
  await turn();
  expect(forwarder.force(4)).toEqual({ ok: false, error: { why: "behind", sequence: 1 } });
  expect(forwarder.force(3)).toEqual({ ok: false, error: { why: "not-waiting" } });
  hub.link("down");
  expect(forwarder.force(1)).toEqual({ ok: false, error: { why: "link-down" } });
});

test("a quarantined entry comes again when a person retries it, with its card data, and is heard anew", async () => {
  const quarantined = (batch: Sent): EntryReceipt[] =>
    batch.entries.map((entry) => ({
      ...processed(entry),
      status: "quarantined" as const,
      reason: "E_FORMAT" as const,
    }));
  hub.answer = quarantined;
  await sales("ab");
  start();
  await turn();
  hub.answer = takesAll;
  expect((await journal.act(action("retry", { sequence: 1, paymentId: "p-0-a" as PaymentId }))).ok).toBe(true);
  await drained();
  expect(hub.sequences).toEqual([[1, 2], [1]]);
  expect(hub.batches.at(-1)?.entries[0]?.sealed).toEqual({ keyId: "hub-1", enc: "AAAA", ciphertext: "BBBB" });
  expect(journal.queue().map((entry) => [entry.state, entry.attempts])).toEqual([
    ["processed", 2],
    ["quarantined", 1],
  ]);
});

test("each opening drains under a higher fence, so a late batch of an earlier run can be told by the hub", async () => {
  await sales("a");
  start();
  await drained();
  const earlier = hub.batches[0];
  await reopened();
  await sales("b");
  start();
  await drained();
  const [first, second] = [earlier?.fence ?? 0, hub.batches[0]?.fence ?? 0];
  expect(first).toBe(1);
  expect(second).toBe(2);
  expect(() => here.open()).toThrow(expect.objectContaining({ code: "journal.busy" }));
});

test("RM18 a hub that holds less than it receipted is told everything above it again, without card data", async () => {
  await sales("abcdef");
  start();
  await drained();
  hub.holds(6);
  hub.holds(2);
  await drained();
  expect(hub.sequences).toEqual([
    [1, 2, 3, 4, 5, 6],
    [3, 4, 5, 6],
  ]);
  const again = hub.batches[1]?.entries ?? [];
  expect(again.every((entry) => entry.sealed === undefined && entry.sealedDigest !== undefined)).toBe(true);
  expect(journal.queue().every((entry) => entry.state === "processed")).toBe(true);
});

test("RM18 another database of the hub is told everything above what it holds", async () => {
  await sales("abc");
  start();
  await drained();
  hub.holds(3);
  hub.holds(1, { hubEpoch: "bbbbbbbbbbbbbbbb" as Epoch });
  await drained();
  expect(hub.sequences).toEqual([
    [1, 2, 3],
    [2, 3],
  ]);
});

test("RM18 an old word of the hub, come late, makes nothing go again, nor does the same said twice", async () => {
  await sales("abc");
  start();
  await drained();
  hub.holds(3);
  hub.holds(1, { fresh: false });
  hub.holds(0, { hubEpoch: "bbbbbbbbbbbbbbbb" as Epoch, fresh: false });
  hub.holds(3);
  await here.clock.advance(60_000);
  expect(hub.batches).toHaveLength(1);
});

test("RM18 an entry whose receipt comes with the word of a loss is told again and does not stay behind", async () => {
  await sales("abc");
  start();
  await drained();
  hub.holds(3);
  hub.answer = () => [];
  const [late] = await journal.append([advice("p-late")]);
  if (!late) throw new Error("nothing stored");
  await turn();
  hub.answer = takesAll;
  hub.holds(1);
  hub.receipt([processed(late)], journal.epoch);
  await drained();
  expect(journal.backlog().depth).toBe(0);
  expect(hub.sequences).toEqual([[1, 2, 3], [4], [2, 3], [4]]);
});

test("RM18 a restart in the middle goes on where it was, and what the hub held is known after it", async () => {
  const count = RESEND_SLICE * 3 + 20;
  for (let at = 0; at < count; at += 500)
    await journal.append(Array.from({ length: Math.min(500, count - at) }, (_, of) => advice(`p-${at + of}`)));
  start();
  await drained();
  hub.holds(count);
  await turn();
  hub.link("down");
  // The loss is heard of, and the process ends after the first slice.
  stop.abort();
  await journal.keep("hub-held", JSON.stringify({ hubEpoch: HUB_EPOCH, watermark: 5 }));
  await journal.resendFrom(5);
  expect(journal.backlog().depth).toBe(RESEND_SLICE);
  expect(journal.resending).toBe(5 + RESEND_SLICE);
  await reopened();
  start();
  for (let turns = 0; turns < 400 && (journal.backlog().depth > 0 || journal.resending !== undefined); turns += 1)
    await turn();
  expect(hub.sequences.flat()).toEqual(Array.from({ length: count - 5 }, (_, at) => at + 6));
  hub.holds(4);
  await drained();
  expect(hub.sequences.flat().filter((sequence) => sequence === 5)).toHaveLength(1);
});

test("RM18 what is told again may be at the hub and is not voided, also what was set aside there", async () => {
  hub.answer = (batch) =>
    batch.entries.map((entry) => ({
      ...processed(entry),
      status: entry.sequence === 2 ? "quarantined" : "processed",
    }));
  await sales("abc");
  start();
  await drained();
  hub.link("down");
  hub.holds(3);
  hub.holds(0);
  await here.clock.advance(0);
  expect(journal.queue().map((entry) => entry.state)).toEqual(["forwarding", "forwarding", "forwarding"]);
  hub.link("up");
  await drained();
  expect(journal.queue().map((entry) => entry.state)).toEqual(["processed", "quarantined", "processed"]);
});

test("RM5 quarantined card data stay until a person ends the entry, and then leave every file", async () => {
  const ciphertext = Buffer.from("kept while it is quarantined, and no longer than that").toString("base64");
  const onDisk = () =>
    readdirSync(here.folder).some((name) => readFileSync(join(here.folder, name)).includes(ciphertext.slice(8, 40)));
  hub.answer = (batch) => batch.entries.map((entry) => ({ ...processed(entry), status: "quarantined" as const }));
  const [target] = await journal.append([advice("p-1", { ciphertext })]);
  if (!target) throw new Error("nothing stored");
  start();
  await turn();
  await here.clock.advance(60_000);
  expect(onDisk()).toBe(true);
  const cancelled = await journal.appendVoid(
    {
      kind: "void",
      paymentId: "p-1" as PaymentId,
      at: "2026-01-05T09:00:00.000Z",
      voidedSequence: target.sequence,
      voidedForward: target.forward ?? 0,
      amount: { minor: "100", currency: "EUR" as never },
      attempts: [],
    },
    action("cancel", { sequence: target.sequence, paymentId: "p-1" as PaymentId }),
  );
  expect(cancelled.ok).toBe(true);
  await here.clock.advance(60_000);
  expect(onDisk()).toBe(false);
  expect(journal.entriesOf("p-1" as PaymentId).map((entry) => entry.body.kind)).toEqual([
    "decision",
    "queue-action",
    "void",
  ]);
});
