import { describe, expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { decodeTlv } from "../../protocols/emv/ber-tlv.ts";
import { openCardData } from "../../wire/card-data.ts";
import { Till } from "./till.ts";

const id = "P-1" as PaymentId;
const eur = (minor: bigint) => money(minor, "EUR");
const aborted = AbortSignal.abort();
/** Template 71 with its identifier and APPLICATION BLOCK, whose MAC is none of this card's (Book 3, 6.5.1 and 10.10). */
const BLOCK_SCRIPT = "71169f1804c0ffee01860d841e0000080102030405060708";

describe("a sale", () => {
  test("RM3 is in the journal before the card is touched", async () => {
    const seen: string[] = [];
    await using till: Till = new Till({
      onStage(stage) {
        if (stage === "intent-stored") seen.push(`${till.kinds("P-1").join(",")}:${till.slot.commands.length}`);
      },
    });
    await till.sell("P-1");
    expect(seen).toEqual(["intent:0"]);
  });

  test("is approved online, confirmed by the card's TC, and printed once", async () => {
    await using till = new Till();
    expect(await till.sell("P-1")).toMatchObject({
      status: "approved",
      mode: "online",
      approvalCode: "A1B2C3",
      card: { cryptogramType: "TC" },
    });
    await till.printed("P-1");
    expect(till.kinds("P-1")).toEqual(["intent", "online-requested", "decision", "print-intent", "printed"]);
    expect(till.paper.documents.length).toBe(1);
    expect(till.journal.queue().map((entry) => entry.kind)).toEqual(["decision"]);
  });

  test("RM5 is sealed for the hub alone: the journal shows no card number", async () => {
    await using till = new Till();
    till.hub.state = "down";
    const sale = await till.sell("P-1");
    const [entry] = till.journal.nextToForward(10);
    expect(JSON.stringify(till.journal.entriesOf(id))).not.toContain("4761739001010010");
    expect(sale.card?.maskedPan).toBe("476173******0010");
    if (!entry?.sealed) throw new Error("nothing sealed");
    const opened = openCardData({
      sealed: entry.sealed,
      terminalId: till.journal.terminalId,
      paymentId: id,
      privateKey: till.sealing.privateKey,
    });
    expect(opened).toEqual({ pan: "4761739001010010", expiry: "3112", sequenceNumber: "1" });
    const iccData = sale.card?.iccData ?? "";
    const tags = decodeTlv(fromHex(iccData)).map((object) => object.tag);
    expect(tags).toContain(0x9f26);
    expect([0x57, 0x5a, 0x5f20, 0x9f1f, 0x9f20].filter((tag) => tags.includes(tag))).toEqual([]);
    expect(iccData).not.toContain("4761739001010010");
  });

  test("is decided offline under the lease when the hub is away", async () => {
    await using till = new Till();
    till.hub.state = "down";
    expect(await till.sell("P-1")).toMatchObject({ status: "approved", mode: "offline", responseCode: "Y3" });
    expect(till.hub.requests).toEqual([]);
    expect(till.reservations).toEqual({ made: 1, committed: 1, released: 0 });
    expect(till.journal.outstanding()).toMatchObject({ count: 1, minor: 1234n });
  });

  test("RM8 is refused above the lease, with the limit's reason, and asks the card for no TC", async () => {
    await using till = new Till();
    till.hub.state = "down";
    till.leaseRefusal = "per-sale";
    expect(await till.sell("P-1")).toMatchObject({ status: "declined", reason: "E_LIMIT", ticket: "none" });
    expect(till.journal.queue()).toEqual([]);
  });

  test("RM1 after a timeout stores that it does not know, then approves offline without a reversal", async () => {
    await using till = new Till();
    till.hub.answer = "silence";
    expect(await till.sell("P-1")).toMatchObject({ status: "approved", mode: "offline", responseCode: "Y3" });
    expect(till.kinds("P-1").slice(0, 4)).toEqual(["intent", "online-requested", "online-unknown", "decision"]);
    expect(till.journal.queue().map((entry) => entry.kind)).toEqual(["decision"]);
  });

  test("RM1 after a timeout and a refused lease is declined and reversed", async () => {
    await using till = new Till();
    till.hub.answer = "silence";
    till.leaseRefusal = "no-lease";
    expect(await till.sell("P-1")).toMatchObject({ status: "declined", reason: "E_UNAVAILABLE" });
    expect(till.journal.queue().map((entry) => entry.kind)).toEqual(["reversal"]);
  });

  test("RM1 after a timeout and an AAC of the card is declined and reversed, and the room in the lease is free again", async () => {
    await using till = new Till();
    till.hub.answer = "silence";
    till.slot.profile = "online-only";
    expect(await till.sell("P-1")).toMatchObject({ status: "declined", responseCode: "Z3" });
    expect(till.journal.queue().map((entry) => entry.kind)).toEqual(["reversal"]);
    expect(till.reservations).toEqual({ made: 1, committed: 0, released: 1 });
  });

  test("is declined when the hub declines, with nothing to forward", async () => {
    await using till = new Till();
    till.hub.answer = "decline";
    expect(await till.sell("P-1")).toMatchObject({ status: "declined", responseCode: "51", ticket: "none" });
    expect(till.journal.queue()).toEqual([]);
  });

  test.each([
    ["the hub declines", "decline", "standard"],
    ["the card refuses what the hub approved", "approve", "cda"],
  ] as const)("RM13 tells what became of the issuer's scripts where %s", async (_, answer, profile) => {
    await using till = new Till();
    till.hub.answer = answer;
    till.hub.issuerScripts = [BLOCK_SCRIPT];
    till.slot.profile = profile;
    expect(await till.sell("P-1")).toMatchObject({ status: "declined" });
    const told = till.journal.entriesOf(id).filter(({ forward }) => forward !== undefined);
    expect(told.map(({ body }) => body)).toMatchObject([
      { kind: "reversal", attempt: 1, scriptResults: expect.stringMatching(/^[012].c0ffee01$/) },
    ]);
  });

  test("RM3 ends without money wherever the card is pulled, and reverses once a request may have left", async () => {
    for (let pullAfter = 0; pullAfter < 20; pullAfter += 1) {
      await using till = new Till();
      till.slot.pullAfter = pullAfter;
      const sale = await till.sell("P-1");
      if (sale.status === "approved") {
        expect(pullAfter).toBeGreaterThan(8);
        return;
      }
      expect(sale).toMatchObject({ status: "aborted", reason: "E_TIMEOUT" });
      const requested = till.kinds("P-1").includes("online-requested");
      expect(till.journal.queue().map((entry) => entry.kind)).toEqual(requested ? ["reversal"] : []);
    }
    throw new Error("the dialogue never came to its end");
  });

  test("ends cleanly with a card that does not answer, and with one that declines", async () => {
    await using till = new Till();
    till.slot.mute = true;
    expect(await till.sell("P-1")).toMatchObject({ status: "aborted", reason: "E_TIMEOUT" });
    till.slot.mute = false;
    till.slot.profile = "declining";
    expect(await till.sell("P-2")).toMatchObject({ status: "declined", reason: "E_DENIED" });
  });

  test("works with a card that answers in format 1 and by GET RESPONSE", async () => {
    await using till = new Till();
    till.slot.profile = "second";
    expect(await till.sell("P-1")).toMatchObject({ status: "approved", card: { maskedPan: "541333******0011" } });
  });
});

describe("a repeat", () => {
  test("RM4 attaches to the running payment and later gets its first answer", async () => {
    await using till = new Till();
    const both = await Promise.all([till.sell("P-1"), till.sell("P-1")]);
    expect(both[0]).toEqual(both[1]);
    expect(await till.sell("P-1")).toMatchObject({ status: "approved" });
    expect(till.hub.requests.length).toBe(1);
    expect(till.kinds("P-1").filter((kind) => kind === "intent").length).toBe(1);
  });

  test("RM4 with other content is a conflict that names the field", async () => {
    await using till = new Till();
    await till.sell("P-1");
    expect(till.desk.begin({ id, amount: eur(1n) })).toEqual({
      ok: false,
      error: { why: "conflict", field: "amount.minor" },
    });
    expect(till.desk.begin({ id, amount: money(1234n, "USD") })).toMatchObject({ error: { field: "amount.currency" } });
    expect(till.desk.begin({ id, amount: eur(1234n), reference: "x" })).toMatchObject({
      error: { field: "reference" },
    });
    expect(till.desk.beginRefund({ id, originalId: "P-0" as PaymentId, amount: eur(1234n) })).toMatchObject({
      error: { field: "operation" },
    });
  });
});

describe("cancelling", () => {
  test("ends a sale that waits for a card", async () => {
    await using till = new Till();
    till.cardComes = false;
    const sale = till.sell("P-1");
    await till.clock.advance(10);
    expect(till.desk.cancel(id)).toMatchObject({ ok: true });
    expect(await sale).toMatchObject({ status: "aborted", reason: "E_STATE" });
    expect(till.desk.cancel(id)).toMatchObject({ ok: false, error: { why: "too-late" } });
  });

  test("nobody with a card ends the sale at its limit", async () => {
    await using till = new Till();
    till.cardComes = false;
    const sale = till.sell("P-1");
    await till.clock.advance(10);
    await till.clock.advance(60_000);
    expect(await sale).toMatchObject({
      status: "aborted",
      reason: "E_TIMEOUT",
      detail: "no card or code was presented in time",
    });
  });
});

describe("void and refund", () => {
  test("RM12 an own eligible approval is voided by an appended entry, and no longer outstanding", async () => {
    await using till = new Till();
    till.hub.state = "down";
    await till.sell("P-1");
    expect(await till.desk.void(id, "wrong amount")).toMatchObject({ ok: true, value: { status: "voided" } });
    expect(till.kinds("P-1")).toContain("void");
    expect(till.journal.outstanding()).toMatchObject({ count: 0 });
  });

  test("RM12 one that is on its way waits for its receipt", async () => {
    await using till = new Till();
    till.hub.state = "down";
    await till.sell("P-1");
    await till.journal.markForwarding(till.journal.nextToForward(1).map((entry) => entry.sequence));
    expect(await till.desk.void(id, undefined)).toMatchObject({ ok: false, error: { why: "forwarding" } });
  });

  test("RM12 a refund needs the hub, is never queued, and never exceeds its original", async () => {
    await using till = new Till();
    await till.sell("P-1");
    const refund = (refundId: string, minor?: bigint) =>
      till.desk.beginRefund({
        id: refundId as PaymentId,
        originalId: id,
        ...(minor === undefined ? {} : { amount: eur(minor) }),
      });
    expect(refund("R-1", 1235n)).toMatchObject({ ok: false, error: { why: "not-allowed" } });
    till.hub.state = "down";
    expect(refund("R-2")).toMatchObject({ ok: true });
    expect(await till.desk.ended("R-2" as PaymentId, new AbortController().signal)).toMatchObject({
      status: "aborted",
      reason: "E_UNAVAILABLE",
    });
    till.hub.state = "up";
    expect(refund("R-3")).toMatchObject({ ok: true });
    expect(await till.desk.ended("R-3" as PaymentId, new AbortController().signal)).toMatchObject({
      status: "approved",
      operation: "refund",
    });
    expect(till.hub.requests.at(-1)).toMatchObject({
      kind: "refund",
      originalPaymentId: "P-1",
      amount: { minor: "1234" },
    });
    expect(refund("R-3", 1n)).toMatchObject({ ok: false, error: { why: "conflict", field: "amount.minor" } });
  });

  test("RM1 a refund without an answer is reversed", async () => {
    await using till = new Till();
    await till.sell("P-1");
    till.hub.answer = "silence";
    till.desk.beginRefund({ id: "R-1" as PaymentId, originalId: id });
    expect(await till.desk.ended("R-1" as PaymentId, new AbortController().signal)).toMatchObject({
      status: "aborted",
    });
    expect(till.journal.queue({ paymentId: "R-1" as PaymentId }).map((entry) => entry.kind)).toEqual(["reversal"]);
  });
});

describe("tickets", () => {
  const text = (till: Till, index: number) => JSON.stringify(till.paper.documents[index]);

  test("RM3 a printer that refused before the first byte leaves the original due", async () => {
    await using till = new Till();
    till.paper.failures = [{ why: "paper-out", printed: "nothing", begun: false }];
    await till.sell("P-1");
    await till.printed("P-1");
    expect(till.paper.documents.length).toBe(1);
    expect(text(till, 0)).not.toContain("COPY");
  });

  test("RM3 a ticket that cannot be proven is followed by one marked as a possible copy", async () => {
    await using till = new Till();
    till.paper.failures = [{ why: "no-answer", printed: "unknown", begun: true }];
    await till.sell("P-1");
    await till.printed("P-1");
    expect(till.paper.documents.length).toBe(2);
    expect(text(till, 0)).not.toContain("COPY");
    expect(text(till, 1)).toContain("POSSIBLE COPY");
  });

  test("a reprint is marked as a copy", async () => {
    await using till = new Till();
    await till.sell("P-1");
    await till.printed("P-1");
    expect(await till.desk.reprint(id)).toMatchObject({ ok: true });
    expect(text(till, 1)).toContain("*** COPY ***");
  });

  test("one that can never be printed does not hold up the others", async () => {
    await using till = new Till();
    till.paper.failures = [{ why: "offline", printed: "nothing", begun: false }];
    await Promise.all([till.sell("P-1"), till.sell("P-2")]);
    await till.printed("P-1");
    await till.printed("P-2");
    expect(till.paper.documents.length).toBe(2);
  });
});

describe("a caller that goes away", () => {
  test("does not end the payment it waited for", async () => {
    await using till = new Till();
    const sale = till.sell("P-1");
    await expect(till.desk.ended(id, aborted)).rejects.toMatchObject({ code: "aborted" });
    expect(await sale).toMatchObject({ status: "approved" });
  });
});
