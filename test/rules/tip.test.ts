/** A tip at the terminal: asked of the hub alone and at once, for a sale that was approved, with a ticket that names it. */
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { type Money, money } from "../../base/money.ts";
import { Till } from "./till.ts";

const eur = (minor: bigint) => money(minor, "EUR");
const idOf = (text: string) => text as PaymentId;

const tip = (till: Till, id: string, amount: Money = eur(200n), originalId = "P-1") =>
  till.desk.beginTip({ id: idOf(id), originalId: idOf(originalId), amount });
const ended = (till: Till, id: string) => till.desk.ended(idOf(id), new AbortController().signal);

async function sold(): Promise<Till> {
  const till = new Till();
  await till.sell("P-1");
  return till;
}

test("a tip asks the hub for more on the sale, with no card, and tells it of the approval", async () => {
  await using till = await sold();
  expect(tip(till, "T-1")).toMatchObject({ ok: true, value: { status: "processing", operation: "tip" } });
  expect(await ended(till, "T-1")).toMatchObject({
    ...{ status: "approved", operation: "tip", mode: "online", originalId: "P-1", amount: { minor: 200n } },
    queue: "eligible",
  });
  const request = till.hub.requests.at(-1);
  expect(request).toMatchObject({ kind: "tip", originalPaymentId: "P-1", attempt: 1, amount: { minor: "200" } });
  expect(request?.card).toBeUndefined();
  const entries = till.journal.entriesOf(idOf("T-1")).map(({ body }) => body);
  expect(entries).toMatchObject([
    { kind: "intent", operation: "tip", originalPaymentId: "P-1" },
    { kind: "online-requested" },
    { kind: "decision", operation: "tip", mode: "online", attempts: [1] },
  ]);
});

test("its ticket is a tip's, and names the sale", async () => {
  await using till = await sold();
  await till.printed("P-1");
  tip(till, "T-1");
  await ended(till, "T-1");
  await till.printed("T-1");
  const ticket = till.paper.documents.at(-1)?.lines ?? [];
  expect(ticket).toContainEqual({ kind: "text", text: "TIP", align: "center", bold: true });
  const pairs = ticket.flatMap((line) => (line.kind === "pair" ? [[line.label, line.value]] : []));
  expect(pairs).toEqual(
    expect.arrayContaining([
      ["Payment", "T-1"],
      ["Original", "P-1"],
      ["Total", "2.00 EUR"],
    ]),
  );
});

test("RM12 with the hub away there is none, now or later", async () => {
  await using till = await sold();
  const asked = till.hub.requests.length;
  till.hub.state = "down";
  tip(till, "T-1");
  expect(await ended(till, "T-1")).toMatchObject({
    ...{ status: "aborted", reason: "E_UNAVAILABLE" },
    detail: expect.stringContaining("a tip needs the hub"),
  });
  till.hub.state = "up";
  expect(till.hub.requests).toHaveLength(asked);
  expect(till.journal.queue({ paymentId: idOf("T-1") })).toEqual([]);
});

test("RM1 a tip without an answer is reversed", async () => {
  await using till = await sold();
  till.hub.answer = "silence";
  tip(till, "T-1");
  expect(await ended(till, "T-1")).toMatchObject({ status: "aborted", reason: "E_TIMEOUT" });
  expect(till.journal.queue({ paymentId: idOf("T-1") }).map(({ kind }) => kind)).toEqual(["reversal"]);
});

test("what the hub refuses is declined, and has no ticket", async () => {
  await using till = await sold();
  till.hub.answer = "decline";
  tip(till, "T-1");
  expect(await ended(till, "T-1")).toMatchObject({
    ...{ status: "declined", ticket: "none" },
    detail: expect.stringContaining("refused the tip"),
  });
});

test("only an approved sale can have one", async () => {
  await using till = await sold();
  const refused = (detail: string) => ({
    ok: false,
    error: { why: "not-allowed", detail: expect.stringContaining(detail) },
  });
  till.hub.answer = "decline";
  await till.sell("P-2");
  expect(tip(till, "T-2", eur(1n), "P-2")).toMatchObject(refused("P-2 is declined"));
  till.hub.answer = "approve";
  tip(till, "T-1");
  await ended(till, "T-1");
  expect(tip(till, "T-3", eur(1n), "T-1")).toMatchObject(refused("is a tip"));
  expect(tip(till, "T-4", eur(1n), "T-4")).toMatchObject(refused("an id of its own"));
  expect(tip(till, "T-5", money(1n, "USD"))).toMatchObject(refused("the sale is in EUR"));
});

test("of what is held the tip is in the completion, and its refusal says so", async () => {
  await using till = new Till();
  till.desk.begin({ id: idOf("H-1"), operation: "pre-authorisation", amount: eur(500n) });
  await ended(till, "H-1");
  expect(tip(till, "T-1", eur(1n), "H-1")).toMatchObject({
    error: { why: "not-allowed", detail: expect.stringContaining("complete it for what is due with the tip") },
  });
  till.desk.beginCompletion({ id: idOf("B-1"), originalId: idOf("H-1"), amount: eur(400n) });
  await ended(till, "B-1");
  const { error } = tip(till, "T-1", eur(1n), "B-1") as { error: { detail: string } };
  expect(error.detail).toContain("has its tip in it");
  expect(error.detail).not.toContain("no sale");
});

test("of a sale at another terminal the hub knows", async () => {
  await using till = new Till();
  tip(till, "T-1", eur(200n), "elsewhere");
  expect(await ended(till, "T-1")).toMatchObject({ status: "approved", originalId: "elsewhere" });
});

test("RM4 a repeat gets the first answer, whatever became of the sale since", async () => {
  await using till = await sold();
  tip(till, "T-1");
  await ended(till, "T-1");
  expect(await till.desk.void(idOf("P-1"), undefined)).toMatchObject({ ok: true });
  expect(tip(till, "T-1")).toMatchObject({ ok: true, value: { status: "approved" } });
  expect(tip(till, "T-2")).toMatchObject({ ok: false, error: { why: "not-allowed" } });
});

test("RM4 the same tip again gets its first answer, and any other under its id is a conflict that names the field", async () => {
  await using till = await sold();
  tip(till, "T-1");
  await ended(till, "T-1");
  expect(tip(till, "T-1")).toMatchObject({ ok: true, value: { status: "approved" } });
  expect(tip(till, "T-1", eur(201n))).toEqual({ ok: false, error: { why: "conflict", field: "amount.minor" } });
  expect(tip(till, "T-1", eur(200n), "P-9")).toEqual({ ok: false, error: { why: "conflict", field: "originalId" } });
  expect(till.desk.beginRefund({ id: idOf("T-1"), originalId: idOf("P-1") })).toEqual({
    ok: false,
    error: { why: "conflict", field: "operation" },
  });
  expect(till.hub.requests.filter(({ kind }) => kind === "tip")).toHaveLength(1);
});

test("RM12 a tip can be refunded, and never for more than it was; it is not voided", async () => {
  await using till = await sold();
  tip(till, "T-1");
  await ended(till, "T-1");
  const refund = (id: string, amount?: Money) =>
    till.desk.beginRefund({ id: idOf(id), originalId: idOf("T-1"), ...(amount && { amount }) });
  expect(refund("R-1", eur(201n))).toMatchObject({ ok: false, error: { why: "not-allowed" } });
  expect(refund("R-2")).toMatchObject({ ok: true, value: { amount: { minor: 200n } } });
  expect(await ended(till, "R-2")).toMatchObject({ status: "approved" });
  expect(await till.desk.void(idOf("T-1"), undefined)).toMatchObject({ ok: false, error: { why: "not-approved" } });
});
