/** A sale that is paid by a scanned code, at a till with the real journal, desk and machine. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { NoteDesk } from "../../agent/payment/code-purchase.ts";
import type { PaymentId } from "../../base/ids.ts";
import { fail, ok } from "../../base/result.ts";
import { preAuthorisedCodeText } from "../../protocols/codes/own-codes.ts";
import { Till } from "./till.ts";

const CODE = { userId: "user-1", secureCode: "ABCDEFGHIJKLMNOPQRSTUVWXYA" };
const text = preAuthorisedCodeText({ ...CODE, expiresAt: Date.UTC(2026, 0, 6) });

const facts = { allowanceId: "al-1", deviceId: "phone-1", counter: 1, note: "AAAA", countersignature: "AAAA" };
const notes: NoteDesk = {
  challenge: ({ paymentId, amount }) => `OC1:${paymentId}-${amount.minor}`,
  accept: (scanned) =>
    scanned === "OA1:good"
      ? ok({ facts, payerToken: "a".repeat(64) })
      : fail({ reason: "E_SIG", detail: "the note is not signed by its device" }),
};

let till: Till;
beforeEach(() => {
  till = new Till({ notes });
  till.cardComes = false;
});
afterEach(() => till[Symbol.asyncDispose]());

test("a pre-authorised code pays through the hub; the receipt shows the masked account and nothing of the code", async () => {
  till.scanner.codes.push(text);
  const view = await till.sell("p-1");
  expect(view).toMatchObject({ status: "approved", mode: "online", approvalCode: "A1B2C3", maskedAccount: "****1234" });
  expect(till.hub.requests).toMatchObject([{ attempt: 1, kind: "purchase", code: CODE, amount: { minor: "1234" } }]);
  expect(till.kinds("p-1")).toEqual(["intent", "online-requested", "decision"]);
  await till.printed("p-1");
  const paper = JSON.stringify(till.paper.documents);
  expect(paper).toContain("****1234");
  const kept = JSON.stringify(till.journal.entriesOf("p-1" as PaymentId));
  for (const written of [paper, kept]) expect(written).not.toContain(CODE.secureCode);
});

test("RM10 with the hub out of reach the code is refused as unavailable, and nothing waits in the queue", async () => {
  till.hub.state = "down";
  till.scanner.codes.push(text);
  expect(await till.sell("p-1")).toMatchObject({ status: "declined", reason: "E_UNAVAILABLE" });
  expect(till.hub.requests).toEqual([]);
  expect(till.journal.backlog().depth).toBe(0);
});

test("AC1.5 an approval that was lost is asked for again with the same attempt, and one sale is approved", async () => {
  till.hub.lost = 1;
  till.scanner.codes.push(text);
  expect(await till.sell("p-1")).toMatchObject({ status: "approved" });
  expect(till.hub.requests.map(({ paymentId, attempt }) => [paymentId, attempt])).toEqual([
    ["p-1", 1],
    ["p-1", 1],
  ]);
  expect(till.kinds("p-1")).toEqual(["intent", "online-requested", "online-unknown", "decision"]);
});

test("RM1 when no answer ever comes the sale is declined and its attempt reversed", async () => {
  till.hub.answer = "silence";
  till.scanner.codes.push(text);
  expect(await till.sell("p-1")).toMatchObject({ status: "declined", reason: "E_TIMEOUT" });
  expect(till.kinds("p-1").slice(-2)).toEqual(["decision", "reversal"]);
  expect(till.journal.queue().map(({ kind }) => kind)).toEqual(["reversal"]);
});

test("a code that the hub declines is declined", async () => {
  till.hub.answer = "decline";
  till.scanner.codes.push(text);
  expect(await till.sell("p-1")).toMatchObject({ status: "declined", mode: "online", responseCode: "51" });
});

test.each([
  ["4006381333931", "a product code is not a way to pay here"],
  ["134567890123456789", "a WeChat Pay payment code is not a way to pay here"],
  ["251001020123456789012345", "an Alipay+ payment code is not a way to pay here"],
  ["hello", "an unknown code is not a way to pay here"],
  [`${text.slice(0, -1)}${text.endsWith("0") ? "1" : "0"}`, "scan it again"],
])("a code that cannot pay is named, and the sale waits for one that can: %s", async (scanned, words) => {
  const hints: unknown[] = [];
  till.desk.onEvent((event) => event.type === "payment.hint" && hints.push(event));
  const sold = till.sell("p-1");
  await till.clock.advance(0);
  till.scanner.scan(scanned);
  await till.clock.advance(0);
  const detail = expect.stringContaining(words);
  expect(till.desk.get("p-1" as PaymentId)).toMatchObject({ status: "processing", detail });
  expect(hints).toEqual([{ type: "payment.hint", id: "p-1", detail }]);
  expect(till.kinds("p-1")).toEqual(["intent"]);
  till.scanner.scan(text);
  expect(await sold).toMatchObject({ status: "approved" });
  expect(till.desk.get("p-1" as PaymentId)?.detail).toBeUndefined();
});

test("a note where no notes are taken is named, and a card pays", async () => {
  await using other = new Till();
  other.scanner.codes.push("OA1:good");
  expect(await other.sell("p-1")).toMatchObject({ status: "approved", card: {} });
});

test("RM11 while a means is awaited the payment shows the challenge, and a good note is taken within the lease", async () => {
  till.hub.state = "down";
  const sold = till.sell("p-1", 500n);
  await till.clock.advance(0);
  expect(till.desk.get("p-1" as PaymentId)).toMatchObject({ status: "processing", challenge: "OC1:p-1-500" });
  till.scanner.scan("OA1:good");
  expect(await sold).toMatchObject({ status: "approved", mode: "offline", payingDevice: "phone-1" });
  expect(till.reservations).toEqual({ made: 1, committed: 1, released: 0 });
  expect(till.journal.outstanding()).toMatchObject({ count: 1, minor: 500n });
  expect(till.kinds("p-1")).toEqual(["intent", "decision"]);
});

test("RM11 a challenge shown after the sale began is answered: a note is taken as soon as notes can be", async () => {
  let lent: NoteDesk | undefined;
  const options = {
    get notes() {
      return lent;
    },
  };
  await using other = new Till(options);
  other.cardComes = false;
  const sold = other.sell("p-1", 500n);
  await other.clock.advance(0);
  expect(other.desk.get("p-1" as PaymentId)?.challenge).toBeUndefined();
  lent = notes;
  expect(other.desk.get("p-1" as PaymentId)?.challenge).toBe("OC1:p-1-500");
  other.scanner.scan("OA1:good");
  expect(await sold).toMatchObject({ status: "approved", payingDevice: "phone-1" });
});

test("RM11 no phone is asked for a note that the lease would not take: it would have spent the value by showing it", async () => {
  till.leaseRefusal = "sum";
  const sold = till.sell("p-1", 500n);
  await till.clock.advance(0);
  expect(till.desk.get("p-1" as PaymentId)).toMatchObject({ status: "processing" });
  expect(till.desk.get("p-1" as PaymentId)?.challenge).toBeUndefined();
  till.desk.cancel("p-1" as PaymentId);
  await sold;
});

test("RM8 the lease is asked under the name by which the journal counts what the phone has bought", async () => {
  till.scanner.codes.push("OA1:good");
  await till.sell("p-1", 500n);
  expect(till.leased).toMatchObject([{ means: "note", deviceId: "phone-1" }]);
  const [{ deviceId } = { deviceId: undefined }] = till.leased;
  expect(till.journal.outstandingOf(deviceId ?? "nobody")).toEqual({ count: 1, minor: 500n });
});

test("RM11 a note that does not hold, or for which the lease has no room, is refused with its reason", async () => {
  till.scanner.codes.push("OA1:forged");
  expect(await till.sell("p-1")).toMatchObject({ status: "declined", reason: "E_SIG" });
  till.leaseRefusal = "sum";
  till.scanner.codes.push("OA1:good");
  expect(await till.sell("p-2")).toMatchObject({ status: "declined", reason: "E_LIMIT" });
  expect(till.journal.outstanding()).toMatchObject({ count: 0, minor: 0n });
});

test("whichever comes first pays: a card at the reader leaves the scanner free for the next customer", async () => {
  till.cardComes = true;
  expect(await till.sell("p-1")).toMatchObject({ status: "approved", card: { entryMode: "chip" } });
  till.cardComes = false;
  till.scanner.codes.push(text);
  expect(await till.sell("p-2")).toMatchObject({ status: "approved", maskedAccount: "****1234" });
});

test("two customers at once: each code pays the sale that waited first, and no code pays twice", async () => {
  const [first, second] = [till.sell("p-1"), till.sell("p-2")];
  await till.clock.advance(0);
  for (const scanned of ["hello", text]) {
    till.scanner.scan(scanned);
    await till.clock.advance(0);
  }
  expect(await first).toMatchObject({ status: "approved" });
  expect(till.hub.requests).toHaveLength(1);
  till.hub.answer = "decline";
  till.scanner.scan(text);
  expect(await second).toMatchObject({ status: "declined", responseCode: "51" });
});

test("RM11 a counter without a display prints the challenge, which is no receipt and leaves no entry", async () => {
  const sold = till.sell("p-1", 500n);
  await till.clock.advance(0);
  const printed = await till.desk.printChallenge("p-1" as PaymentId);
  expect(printed).toMatchObject({ ok: true, value: { challenge: "OC1:p-1-500" } });
  expect(till.paper.documents.at(-1)?.lines).toContainEqual({ kind: "qr", text: "OC1:p-1-500" });
  expect(till.kinds("p-1")).toEqual(["intent"]);
  till.scanner.scan("OA1:good");
  await sold;
  expect(await till.desk.printChallenge("p-1" as PaymentId)).toMatchObject({
    ok: false,
    error: { why: "nothing-to-print" },
  });
});
