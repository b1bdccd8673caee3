/** What is on paper for a card whose holder signs, and for a sale at the merchant's risk. */
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import type { ReceiptLine } from "../../protocols/escpos/document.ts";
import type { Marking } from "./payment-view.ts";
import type { PaymentView } from "./payments.ts";
import { type ReceiptLanguage, receiptOf } from "./receipt.ts";

const PAYMENT: PaymentView = {
  id: "P-1" as PaymentId,
  operation: "purchase",
  status: "approved",
  mode: "online",
  amount: money(1_234n, "EUR"),
  approvalCode: "A1B2C3",
  card: {
    entryMode: "chip",
    maskedPan: "476173******0010",
    cardToken: "0".repeat(64),
    aid: "f054494c4c574159",
    label: "TILLWAY TEST",
    cryptogramType: "TC",
    iccData: "",
  },
  ticket: "pending",
  startedAt: "2026-01-05T09:00:00.000Z",
};
const signed = (payment: PaymentView): PaymentView =>
  payment.card ? { ...payment, card: { ...payment.card, signature: true } } : payment;

const linesOf = (payment: PaymentView, marking: Marking = "original", language: ReceiptLanguage = "en") =>
  receiptOf({
    payment,
    marking,
    terminalId: "till-1",
    site: { merchantName: "Shop", addressLines: [], timeZone: "Europe/Berlin", language },
  }).lines;
/** The tickets that the printer's knife leaves. */
function ticketsOf(lines: readonly ReceiptLine[]): ReceiptLine[][] {
  const tickets: ReceiptLine[][] = [[]];
  for (const line of lines) {
    if (line.kind === "cut") tickets.push([]);
    else tickets.at(-1)?.push(line);
  }
  return tickets;
}
const wordsOf = (lines: readonly ReceiptLine[] = []): string[] =>
  lines.flatMap((line) => (line.kind === "text" ? [line.text] : line.kind === "pair" ? [line.value] : []));

test("RM13 a card that wants a signature gives two tickets: the shop's to sign, then the customer's own", () => {
  const [shops, customers, ...more] = ticketsOf(linesOf(signed(PAYMENT)));
  expect(more).toEqual([]);
  expect(wordsOf(shops)).toContain("*** MERCHANT COPY ***");
  expect(shops?.slice(-4)).toEqual([
    { kind: "blank" },
    { kind: "blank" },
    { kind: "rule" },
    { kind: "text", text: "Signature" },
  ]);
  expect(customers).toEqual(linesOf(PAYMENT));
  expect(wordsOf(customers)).not.toContain("*** MERCHANT COPY ***");
  for (const words of [wordsOf(shops), wordsOf(customers)])
    for (const word of ["12.34 EUR", "476173******0010", "A1B2C3", "F054494C4C574159", "TC", "P-1"])
      expect(words).toContain(word);
});

test("RM3 RM13 a copy that is asked for later has no part to sign; one that may be a copy has, and both say so", () => {
  const copy = ticketsOf(linesOf(signed(PAYMENT), "copy"));
  expect(copy).toHaveLength(1);
  expect(wordsOf(copy[0])).toContain("*** COPY ***");
  expect(wordsOf(copy[0])).not.toContain("Signature");
  const possible = ticketsOf(linesOf(signed(PAYMENT), "possible-copy"));
  expect(possible).toHaveLength(2);
  for (const ticket of possible) expect(wordsOf(ticket)).toContain("*** POSSIBLE COPY ***");
});

test("RM13 a card that wants no signature, and a refund without a card, give one ticket", () => {
  const { card: _, ...noCard } = PAYMENT;
  for (const payment of [PAYMENT, noCard]) expect(linesOf(payment).some(({ kind }) => kind === "cut")).toBe(false);
});

test.each<[ReceiptLanguage, string, string]>([
  ["en", "*** NOT YET AUTHORISED ***", "At the merchant's risk."],
  ["de", "*** NOCH NICHT GENEHMIGT ***", "Auf Risiko des Händlers."],
  ["fr", "*** PAS ENCORE AUTORISÉ ***", "Aux risques du commerçant."],
])(
  "RM9 in %s a deferred sale is marked on both tickets, and not as one that is merely offline",
  (language, mark, risk) => {
    const offline: PaymentView = { ...signed(PAYMENT), mode: "offline" };
    const tickets = ticketsOf(linesOf({ ...offline, deferred: true }, "original", language));
    expect(tickets).toHaveLength(2);
    const offlineWords = wordsOf(linesOf(offline, "original", language)).filter((word) => word.startsWith("*** "));
    for (const ticket of tickets) {
      expect(wordsOf(ticket)).toContain(mark);
      expect(wordsOf(ticket)).toContain(risk);
    }
    expect(offlineWords).not.toContain(mark);
    const ordinary = wordsOf(linesOf({ ...PAYMENT, mode: "offline" }, "original", language)).find((word) =>
      word.startsWith("*** "),
    );
    expect(ordinary).toMatch(/^\*\*\* .+ \*\*\*$/);
    expect(tickets.flatMap(wordsOf)).not.toContain(ordinary);
  },
);

test.each([
  ["en", "PRE-AUTHORISATION", "*** NOT CHARGED ***", "SALE"],
  ["de", "VORAUTORISIERUNG", "*** NICHT BELASTET ***", "KAUF"],
  ["fr", "PRÉAUTORISATION", "*** NON DÉBITÉ ***", "VENTE"],
] as const)(
  "%s: a pre-authorisation says that nothing was charged, and its completion is a sale",
  (language, title, word, sale) => {
    const held: PaymentView = { ...PAYMENT, operation: "pre-authorisation", heldUntil: "2026-01-12T09:00:00.000Z" };
    const words = wordsOf(linesOf(held, "original", language));
    expect(words).toEqual(expect.arrayContaining([title, word, "2026-01-12 10:00:00"]));
    const completed: PaymentView = { ...PAYMENT, operation: "completion", originalId: "H-1" as PaymentId };
    const sold = wordsOf(linesOf(completed, "original", language));
    expect(sold).toEqual(expect.arrayContaining([sale, "H-1"]));
    expect(sold).not.toContain(word);
  },
);
