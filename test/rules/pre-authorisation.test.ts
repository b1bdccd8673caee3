/** Pre-authorisations at the terminal: always online, completed or cancelled once, and with the hub away. */
import { describe, expect, test } from "vitest";
import { QueueActions } from "../../agent/saf/queue-actions.ts";
import { fromHex } from "../../base/bytes.ts";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { ok } from "../../base/result.ts";
import { decodeTlv, findValue } from "../../protocols/emv/ber-tlv.ts";
import { hasBit, TVR } from "../../protocols/emv/bits.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { Till } from "./till.ts";

const idOf = (text: string): PaymentId => text as PaymentId;
const never = new AbortController().signal;

async function hold(till: Till, id: string, minor = 6_000n) {
  const begun = till.desk.begin({ id: idOf(id), operation: "pre-authorisation", amount: money(minor, "EUR") });
  if (!begun.ok) throw new Error(begun.error.why);
  return await till.desk.ended(idOf(id), never);
}
const begin = (till: Till, id: string, originalId: string, minor = 4_500n, currency = "EUR") =>
  till.desk.beginCompletion({ id: idOf(id), originalId: idOf(originalId), amount: money(minor, currency) });
async function complete(till: Till, id: string, originalId: string, minor?: bigint) {
  const begun = begin(till, id, originalId, minor);
  if (!begun.ok) throw new Error(`${begun.error.why} ${JSON.stringify(begun.error)}`);
  return await till.desk.ended(idOf(id), never);
}
const decisionOf = (till: Till, id: string) =>
  till.journal
    .entriesOf(idOf(id))
    .map(({ body }) => body)
    .find((body): body is EntryOf<"decision"> => body.kind === "decision");
const queued = (till: Till) => till.journal.queue().map(({ paymentId, kind }) => `${paymentId} ${kind}`);
/** What the hub answers to all that waits. */
async function receipted(till: Till, status: "processed" | "declined" = "processed") {
  const waiting = till.journal.nextToForward(50);
  await till.journal.markForwarding(waiting.map(({ sequence }) => sequence));
  await till.journal.settle(waiting.map(({ sequence, hash }) => ({ sequence, hash, status })));
}
const textOf = (till: Till, index: number) => JSON.stringify(till.paper.documents[index]?.lines);

describe("a pre-authorisation", () => {
  test("goes online with its own kind, and its entry tells until when the hub holds it", async () => {
    await using till = new Till();
    expect(await hold(till, "hotel")).toMatchObject({
      ...{ operation: "pre-authorisation", status: "approved", mode: "online", heldUntil: till.hub.heldUntil },
    });
    expect(till.hub.requests).toMatchObject([{ kind: "pre-authorisation", paymentId: "hotel" }]);
    expect(decisionOf(till, "hotel")).toMatchObject({ heldUntil: till.hub.heldUntil, card: { cryptogramType: "TC" } });
    expect(queued(till)).toEqual(["hotel decision"]);
    expect(till.reservations.made).toBe(0);
  });

  test("goes online below the floor limit as well, where a purchase would not", async () => {
    await using till = new Till({ floorLimitMinor: 10_000n });
    const forced = (iccData = "") => {
      const tvr = findValue(decodeTlv(fromHex(iccData)), 0x95);
      return tvr !== undefined && hasBit(tvr, TVR.merchantForcedOnline);
    };
    expect(forced((await till.sell("sale", 100n)).card?.iccData)).toBe(false);
    const held = await hold(till, "hotel", 100n);
    expect(held).toMatchObject({ status: "approved", mode: "online" });
    expect(forced(held.card?.iccData)).toBe(true);
  });

  test("is aborted with its reason while the hub is away, before a card is asked for", async () => {
    await using till = new Till();
    till.hub.state = "down";
    expect(await hold(till, "hotel")).toMatchObject({
      ...{ status: "aborted", reason: "E_UNAVAILABLE", detail: expect.stringContaining("needs the hub") },
    });
    expect(till.slot.commands).toEqual([]);
    expect(queued(till)).toEqual([]);
  });

  test("is declined and reversed without an answer: no lease is asked, and no card approves it offline", async () => {
    await using till = new Till();
    till.hub.answer = "silence";
    till.deferrable = true;
    expect(await hold(till, "hotel")).toMatchObject({ status: "declined", reason: "E_UNAVAILABLE" });
    expect(queued(till)).toEqual(["hotel reversal"]);
    expect(till.leased).toEqual([]);
  });

  test("RM3 is reversed when the card leaves after the hub's approval, and is not said to be held", async () => {
    await using till = new Till({
      onStage: (stage) => {
        if (stage === "online-answered") till.slot.mute = true;
      },
    });
    const held = await hold(till, "hotel");
    expect(held).toMatchObject({ status: "aborted", mode: "online" });
    expect(held.heldUntil).toBeUndefined();
    expect(queued(till)).toEqual(["hotel reversal"]);
  });

  test("is declined when the hub goes away while the card is read", async () => {
    await using till = new Till({
      onStage: (stage) => {
        if (stage === "card-presented") till.hub.state = "down";
      },
    });
    expect(await hold(till, "hotel")).toMatchObject({ status: "declined", reason: "E_UNAVAILABLE" });
    expect(till.hub.requests).toEqual([]);
    expect(till.leased).toEqual([]);
  });

  test("is not paid by a code: the cashier is told, and the card is waited for", async () => {
    await using till = new Till();
    till.cardComes = false;
    till.scanner.codes.push("OF1:anna:ABCDEFGHIJKLMNOPQRSTUVWXY2");
    const hints: unknown[] = [];
    till.desk.onEvent((event) => event.type === "payment.hint" && hints.push(event.detail));
    const ended = hold(till, "hotel");
    for (let turn = 0; turn < 200 && till.desk.running > 0; turn += 1) await till.clock.advance(1_000);
    expect(await ended).toMatchObject({ status: "aborted", reason: "E_TIMEOUT" });
    expect(hints).toEqual(["a pre-authorisation needs a card"]);
  });

  test("prints that nothing was charged, and until when it is held", async () => {
    await using till = new Till();
    await hold(till, "hotel");
    await till.printed("hotel");
    expect(textOf(till, 0)).toContain("PRE-AUTHORISATION");
    expect(textOf(till, 0)).toContain("NOT CHARGED");
    expect(textOf(till, 0)).toContain("Held until");
    expect(textOf(till, 0)).not.toContain('"SALE"');
  });

  test("RM12 is cancelled once, before it is sent and after the hub has it, and then nobody completes it", async () => {
    await using till = new Till();
    await hold(till, "unsent");
    expect(await till.desk.void(idOf("unsent"), undefined)).toMatchObject({ ok: true, value: { status: "voided" } });
    await hold(till, "sent");
    await receipted(till);
    till.hub.state = "down";
    const both = await Promise.all([
      till.desk.void(idOf("sent"), "left early"),
      till.desk.void(idOf("sent"), undefined),
    ]);
    expect(both).toMatchObject([{ value: { status: "voided" } }, { value: { status: "voided" } }]);
    expect(await till.desk.void(idOf("sent"), undefined)).toMatchObject({ ok: true });
    expect(queued(till)).toEqual(["unsent decision", "unsent void", "sent decision", "sent void"]);
    expect(begin(till, "bill", "sent")).toMatchObject({ error: { why: "already-processed" } });
  });
});

describe("a completion", () => {
  test("is decided here with the hub away, and told to it as an entry of its own behind the pre-authorisation's", async () => {
    await using till = new Till();
    await hold(till, "hotel");
    till.hub.state = "down";
    till.cardComes = false;
    expect(await complete(till, "bill", "hotel")).toMatchObject({
      ...{
        operation: "completion",
        status: "approved",
        originalId: "hotel",
        approvalCode: "A1B2C3",
        queue: "eligible",
      },
    });
    expect(till.kinds("bill").slice(0, 2)).toEqual(["intent", "decision"]);
    expect(till.kinds("hotel")).toContain("completed");
    expect(till.desk.get(idOf("hotel"))).toMatchObject({ status: "approved", completedBy: "bill" });
    const [first, second] = till.journal.nextToForward(10);
    expect([first?.paymentId, second?.paymentId]).toEqual(["hotel", "bill"]);
    expect(second?.accounts.filter((account) => first?.accounts.includes(account))).toHaveLength(1);
    expect(till.journal.outstanding().count).toBe(0);
  });

  test("RM4 the same again gets the first answer, with another amount it is a conflict, and another one is refused", async () => {
    await using till = new Till();
    await hold(till, "hotel");
    await complete(till, "bill", "hotel");
    expect(begin(till, "bill", "hotel")).toMatchObject({ ok: true, value: { status: "approved" } });
    expect(begin(till, "bill", "hotel", 4_499n)).toMatchObject({ error: { why: "conflict", field: "amount.minor" } });
    expect(begin(till, "bill-2", "hotel")).toMatchObject({
      error: { why: "already-processed", detail: expect.stringContaining("completed by payment bill") },
    });
    expect(await till.desk.void(idOf("hotel"), undefined)).toMatchObject({ error: { why: "already-processed" } });
    expect(await till.desk.void(idOf("bill"), undefined)).toMatchObject({
      error: { why: "not-approved", detail: "payment bill is a completion, which is not voided; refund it instead" },
    });
  });

  test("its pre-authorisation is not cancelled in the queue either, where it still waits for the hub", async () => {
    await using till = new Till();
    const waitOf = () => ({ at: "behind" }) as const;
    const forwarder = { waitOf, whyNot: () => undefined, force: () => ok(undefined) };
    const queue = new QueueActions({
      journal: till.journal,
      forwarder,
      payments: till.desk,
      now: () => till.clock.now(),
    });
    const actor = { by: "anna", why: "no show" };
    await hold(till, "hotel");
    await complete(till, "bill", "hotel");
    expect(await queue.cancel("hotel", actor)).toMatchObject({
      error: { why: "state", detail: expect.stringContaining("completed by payment bill; refund that instead") },
    });
    expect(queued(till)).toEqual(["hotel decision", "bill decision"]);
    await hold(till, "other");
    expect(await queue.cancel("other", actor)).toMatchObject({ ok: true, value: { state: "voided" } });
    await hold(till, "sent");
    await receipted(till);
    expect(await queue.cancel("sent", actor)).toMatchObject({
      error: { why: "state", detail: expect.stringContaining("or void it if it is a pre-authorisation") },
    });
  });

  test("of a completion and a cancellation in the queue at one moment one alone is made", async () => {
    await using till = new Till();
    const forwarder = {
      waitOf: () => ({ at: "behind" }) as const,
      whyNot: () => undefined,
      force: () => ok(undefined),
    };
    const queue = new QueueActions({
      journal: till.journal,
      forwarder,
      payments: till.desk,
      now: () => till.clock.now(),
    });
    const actor = { by: "anna", why: "no show" };
    await hold(till, "one");
    expect(begin(till, "bill-1", "one").ok).toBe(true);
    expect(await queue.cancel("one", actor)).toMatchObject({
      error: { why: "state", detail: expect.stringContaining("is being completed") },
    });
    expect(await till.desk.ended(idOf("bill-1"), never)).toMatchObject({ status: "approved" });
    await hold(till, "two");
    const cancelled = queue.cancel("two", actor);
    expect(begin(till, "bill-2", "two")).toMatchObject({
      error: { why: "already-processed", detail: expect.stringContaining("is being cancelled") },
    });
    expect(await cancelled).toMatchObject({ ok: true, value: { state: "voided" } });
  });

  test("of two at one moment, or beside a cancellation, one alone is made", async () => {
    await using till = new Till();
    await hold(till, "one");
    const first = begin(till, "bill-1", "one");
    expect(begin(till, "bill-2", "one")).toMatchObject({ error: { why: "already-processed" } });
    expect(await till.desk.void(idOf("one"), undefined)).toMatchObject({ error: { why: "already-processed" } });
    expect(first.ok).toBe(true);
    await till.desk.ended(idOf("bill-1"), never);
    await hold(till, "two");
    const voided = till.desk.void(idOf("two"), undefined);
    expect(begin(till, "bill-3", "two")).toMatchObject({ error: { why: "already-processed" } });
    expect(await voided).toMatchObject({ ok: true });
  });

  test("is refused by name where there is nothing to complete, or not so much", async () => {
    await using till = new Till();
    await hold(till, "hotel");
    await till.sell("sale");
    till.hub.answer = "decline";
    await hold(till, "declined");
    const why = (...asked: [string, string, bigint?, string?]) => {
      const begun = begin(till, ...asked);
      return begun.ok ? "begun" : begun.error.why;
    };
    expect(why("bill", "nobody")).toBe("not-found");
    expect(why("bill", "sale")).toBe("not-allowed");
    expect(why("bill", "declined")).toBe("not-approved");
    expect(why("bill", "hotel", 6_001n)).toBe("too-much");
    expect(why("bill", "hotel", 100n, "USD")).toBe("not-allowed");
    expect(why("hotel-2", "hotel-2")).toBe("not-allowed");
    till.clock.setWall(Date.parse(till.hub.heldUntil));
    expect(begin(till, "bill", "hotel")).toMatchObject({
      error: { why: "expired", detail: expect.stringContaining(till.hub.heldUntil) },
    });
    expect(till.kinds("bill")).toEqual([]);
  });

  test("is taken where only a clock that nobody proved says that the hold is over; what is certainly over is refused", async () => {
    await using till = new Till();
    await hold(till, "hotel");
    const yearMs = 365 * 86_400_000;
    till.hub.state = "down";
    till.clock.setWall(till.clock.now() + yearMs);
    till.hubTime = { behindMs: yearMs, proven: false };
    expect(await complete(till, "bill", "hotel")).toMatchObject({ status: "approved" });
    till.hub.state = "up";
    await hold(till, "other");
    till.hubTime = { behindMs: 0, proven: false };
    expect(begin(till, "bill-2", "other")).toMatchObject({ error: { why: "expired" } });
  });

  test("prints a sale that names its pre-authorisation, and nobody signs it", async () => {
    await using till = new Till({ emv: { signature: true } });
    till.slot.profile = "signature";
    expect((await hold(till, "hotel")).card?.signature).toBe(true);
    await till.printed("hotel");
    await complete(till, "bill", "hotel");
    await till.printed("bill");
    expect(till.desk.get(idOf("bill"))?.card?.signature).toBeUndefined();
    expect(textOf(till, 1)).not.toContain("MERCHANT COPY");
    expect(textOf(till, 1)).toContain('"SALE"');
    expect(textOf(till, 1)).toContain('"label":"Completes","value":"hotel"');
    expect(textOf(till, 1)).toContain("45.00 EUR");
    expect(textOf(till, 1)).not.toContain("NOT CHARGED");
  });

  test("RM12 is refunded like a sale, up to its own amount, and its pre-authorisation never", async () => {
    await using till = new Till();
    await hold(till, "hotel");
    await complete(till, "bill", "hotel");
    const refund = (originalId: string, minor?: bigint) =>
      till.desk.beginRefund({
        ...{ id: idOf(`refund of ${originalId} ${minor}`.replaceAll(" ", "-")), originalId: idOf(originalId) },
        ...(minor === undefined ? {} : { amount: money(minor, "EUR") }),
      });
    expect(refund("bill", 4_501n)).toMatchObject({ error: { why: "not-allowed" } });
    expect(refund("hotel")).toMatchObject({ error: { why: "not-allowed" } });
    expect(refund("bill")).toMatchObject({ ok: true, value: { amount: { minor: 4_500n } } });
  });

  test("RM3 what was completed is so after a restart, and nothing is done twice", async () => {
    const first = new Till();
    await hold(first, "hotel");
    await complete(first, "bill", "hotel");
    await first.tickets[Symbol.asyncDispose]();
    await first.journal[Symbol.asyncDispose]();
    await using till = new Till({ folder: first.folder });
    await till.recover();
    expect(begin(till, "bill-2", "hotel")).toMatchObject({ error: { why: "already-processed" } });
    expect(begin(till, "bill", "hotel")).toMatchObject({ ok: true, value: { status: "approved" } });
    expect(queued(till)).toEqual(["hotel decision", "bill decision"]);
  });
});
