/** Cash on top of a sale: refused unless the shop allows it, asked of the hub always, and never given back by a refund. */
import { expect, test } from "vitest";
import type { NoteDesk } from "../../agent/payment/code-purchase.ts";
import { fromHex, toHex } from "../../base/bytes.ts";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { decodeTlv } from "../../protocols/emv/ber-tlv.ts";
import { hasBit, TVR } from "../../protocols/emv/bits.ts";
import { Till, type TillOptions } from "./till.ts";

const eur = (minor: bigint) => money(minor, "EUR");
const idOf = (text: string) => text as PaymentId;
const tillWith = (options: TillOptions = {}): Till => {
  const till = new Till({ cashbackMaxMinor: 5_000n, ...options });
  till.slot.profile = "cashback";
  return till;
};
const giving = () => tillWith();
const CASH = { cashback: eur(2_000n) };
const ended = (till: Till, id: string) => till.desk.ended(idOf(id), new AbortController().signal);

const objectsIn = (iccData = "") =>
  new Map(
    decodeTlv(fromHex(iccData)).flatMap((object) =>
      "value" in object ? [[object.tag, toHex(object.value)] as const] : [],
    ),
  );

test("a terminal whose configuration allows no cash refuses at once, and names the setting", async () => {
  await using till = new Till();
  expect(till.desk.begin({ id: idOf("P-1"), amount: eur(7_000n), ...CASH })).toEqual({
    ok: false,
    error: { why: "not-allowed", field: "cashback", detail: expect.stringContaining("payment.cashback.maxMinor") },
  });
  expect(till.kinds("P-1")).toEqual([]);
});

test.each([
  [7_000n, eur(7_000n), "what is bought is the rest"],
  [7_000n, eur(8_000n), "what is bought is the rest"],
  [7_000n, eur(5_001n), "more cash than the 50.00 EUR"],
  [7_000n, money(2_000n, "USD"), "the cash is in USD"],
])("of %d minor units cash of %o is refused", async (minor, cashback, why) => {
  await using till = giving();
  expect(till.desk.begin({ id: idOf("P-1"), amount: eur(minor), cashback })).toMatchObject({
    ok: false,
    error: { why: "not-allowed", detail: expect.stringContaining(why) },
  });
});

test("no cash comes with a pre-authorisation", async () => {
  await using till = giving();
  const held = { id: idOf("H-1"), operation: "pre-authorisation", amount: eur(7_000n), ...CASH } as const;
  expect(till.desk.begin(held)).toMatchObject({ ok: false, error: { why: "not-allowed", field: "cashback" } });
});

test("EMV the card hears of a purchase with cashback: type 09, the whole amount, and the cash as the other amount", async () => {
  await using till = giving();
  const sale = await till.sell("P-1", 7_000n, CASH);
  expect(sale).toMatchObject({ status: "approved", mode: "online", cashback: { minor: 2_000n } });
  const [request] = till.hub.requests;
  expect(request).toMatchObject({ amount: { minor: "7000" }, cashback: { minor: "2000", currency: "EUR" } });
  for (const iccData of [request?.iccData, sale.card?.iccData]) {
    const objects = objectsIn(iccData);
    expect(objects.get(0x9c)).toBe("09");
    expect(objects.get(0x9f02)).toBe("000000007000");
    expect(objects.get(0x9f03)).toBe("000000002000");
  }
  const entries = till.journal.entriesOf(idOf("P-1")).map(({ body }) => body);
  for (const kind of ["intent", "decision"])
    expect(entries.find((body) => body.kind === kind)).toMatchObject({ cashback: { minor: "2000" } });
});

test("EMV a card whose usage control allows no cashback declines it, and sells without", async () => {
  await using till = giving();
  till.slot.profile = "standard";
  expect(await till.sell("P-1", 7_000n, CASH)).toMatchObject({ status: "declined", reason: "E_DENIED" });
  expect(await till.sell("P-2", 5_000n)).toMatchObject({ status: "approved" });
});

test("a sale below the floor limit goes online all the same when there is cash in it", async () => {
  await using till = tillWith({ floorLimitMinor: 100_000n, emv: { floorLimitMinor: 100_000 } });
  const forced = (iccData?: string) => hasBit(fromHex(objectsIn(iccData).get(0x95) ?? ""), TVR.merchantForcedOnline);
  const sale = await till.sell("P-1", 7_000n, CASH);
  expect(sale).toMatchObject({ status: "approved", mode: "online" });
  expect(forced(sale.card?.iccData)).toBe(true);
  expect(forced((await till.sell("P-2", 7_000n)).card?.iccData)).toBe(false);
});

test("with the hub away no card is asked for, and the cashier is told why", async () => {
  await using till = giving();
  till.hub.state = "down";
  expect(await till.sell("P-1", 7_000n, CASH)).toMatchObject({
    status: "aborted",
    reason: "E_UNAVAILABLE",
    detail: expect.stringContaining("sell without cashback"),
  });
  expect(till.stages).not.toContain("card-presented");
  expect(await till.sell("P-2", 7_000n)).toMatchObject({ status: "approved", mode: "offline" });
});

test("with the hub gone while the card is read, the card is asked to decline", async () => {
  await using till: Till = tillWith({
    onStage: (stage) => void (stage === "card-presented" && till.hub.linkIs("down")),
  });
  expect(await till.sell("P-1", 7_000n, CASH)).toMatchObject({ status: "declined", reason: "E_UNAVAILABLE" });
  expect(till.leased).toEqual([]);
});

test("RM1 with no answer from the hub nothing is approved under the lease, and what it may have approved is reversed", async () => {
  await using till = giving();
  till.hub.answer = "silence";
  till.deferrable = true;
  expect(await till.sell("P-1", 7_000n, CASH)).toMatchObject({ status: "declined", reason: "E_UNAVAILABLE" });
  expect(till.leased).toEqual([]);
  expect(till.journal.queue().map(({ kind }) => kind)).toEqual(["reversal"]);
});

test("a code that is scanned pays for no cash: the cashier is told, and the sale goes on waiting for a card", async () => {
  await using till = giving();
  till.cardComes = false;
  till.scanner.codes.push("OF1:user-1:ABCDEFGHIJKLMNOPQRSTUVWXY2");
  const sale = till.sell("P-1", 7_000n, CASH);
  const hints: string[] = [];
  till.desk.onEvent((event) => void (event.type === "payment.hint" && hints.push(event.detail)));
  await new Promise((resolve) => setImmediate(resolve));
  expect(till.desk.cancel(idOf("P-1"))).toMatchObject({ ok: true, value: { status: "processing" } });
  expect(await sale).toMatchObject({ status: "aborted" });
  expect(hints).toEqual(["cash is given on a card only; present a card"]);
  expect(till.hub.requests).toEqual([]);
});

test("no phone is asked for a note where there is cash in the sale", async () => {
  const notes: NoteDesk = { challenge: ({ paymentId }) => `OC1:${paymentId}`, accept: () => expect.unreachable() };
  await using till = tillWith({ notes });
  till.cardComes = false;
  const begun = (id: string, more: typeof CASH | object) =>
    till.desk.begin({ id: idOf(id), amount: eur(7_000n), ...more });
  expect(begun("P-1", {})).toMatchObject({ ok: true, value: { challenge: "OC1:P-1" } });
  expect(begun("P-2", CASH)).toMatchObject({ ok: true, value: { status: "processing" } });
  expect(till.desk.get(idOf("P-2"))?.challenge).toBeUndefined();
});

test("RM4 a repeat with other cash is a conflict that names it", async () => {
  await using till = giving();
  await till.sell("P-1", 7_000n, CASH);
  const again = (cashback?: ReturnType<typeof eur>) =>
    till.desk.begin({ id: idOf("P-1"), amount: eur(7_000n), ...(cashback && { cashback }) });
  expect(again(eur(2_000n))).toMatchObject({ ok: true, value: { status: "approved" } });
  expect(again(eur(1_000n))).toEqual({ ok: false, error: { why: "conflict", field: "cashback" } });
  expect(again()).toEqual({ ok: false, error: { why: "conflict", field: "cashback" } });
});

test("RM12 a refund gives back what was bought, and never the cash", async () => {
  await using till = giving();
  await till.sell("P-1", 7_000n, CASH);
  const refund = (id: string, minor?: bigint) =>
    till.desk.beginRefund({
      id: idOf(id),
      originalId: idOf("P-1"),
      ...(minor === undefined ? {} : { amount: eur(minor) }),
    });
  expect(refund("R-1", 5_001n)).toMatchObject({ ok: false, error: { detail: expect.stringContaining("the cash") } });
  expect(refund("R-2")).toMatchObject({ ok: true, value: { amount: { minor: 5_000n } } });
  expect(await ended(till, "R-2")).toMatchObject({ status: "approved" });
});

test("the ticket shows goods and cash apart", async () => {
  await using till = giving();
  await till.sell("P-1", 7_000n, CASH);
  await till.printed("P-1");
  const pairs = till.paper.documents[0]?.lines.flatMap((line) =>
    line.kind === "pair" ? [[line.label, line.value]] : [],
  );
  expect(pairs).toEqual(
    expect.arrayContaining([
      ["Goods", "50.00 EUR"],
      ["Cash", "20.00 EUR"],
      ["Total", "70.00 EUR"],
    ]),
  );
});

test("without cash a ticket has no line for it", async () => {
  await using till = giving();
  await till.sell("P-1", 7_000n);
  await till.printed("P-1");
  expect(JSON.stringify(till.paper.documents)).not.toContain("Goods");
});
