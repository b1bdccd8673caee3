/** A receipt as a value: what the customer is owed on paper. Printing is the printer's affair. */
import { localTime } from "../../base/clock.ts";
import { type Money, toDecimal } from "../../base/money.ts";
import type { ReceiptDocument, ReceiptLine } from "../../protocols/escpos/document.ts";
import type { Operation } from "../../wire/common.ts";
import { goodsOf } from "./cashback.ts";
import type { Marking } from "./payment-view.ts";
import type { PaymentView } from "./payments.ts";

export type ReceiptLanguage = "en" | "de" | "fr";

export interface Site {
  readonly merchantName: string;
  readonly addressLines: readonly string[];
  /** IANA name; receipts and business dates are in it. */
  readonly timeZone: string;
  readonly language: ReceiptLanguage;
}

interface Words {
  readonly titles: Readonly<Record<Operation, string>>;
  /** Of a pre-authorisation: that no money moved, until when the amount is held, and what it is called. */
  readonly notCharged: string;
  readonly heldUntil: string;
  readonly held: string;
  readonly completes: string;
  readonly approved: string;
  readonly offline: string;
  readonly offlineNote: string;
  readonly deferred: string;
  readonly deferredNote: string;
  readonly merchantCopy: string;
  readonly signature: string;
  readonly possibleCopy: string;
  readonly copy: string;
  readonly date: string;
  readonly terminal: string;
  readonly payment: string;
  readonly original: string;
  readonly card: string;
  readonly account: string;
  readonly phone: string;
  readonly approvalCode: string;
  readonly reference: string;
  readonly goods: string;
  readonly cash: string;
  readonly total: string;
  readonly keep: string;
  readonly scanToPay: string;
  readonly noReceipt: string;
}

const WORDS: Readonly<Record<ReceiptLanguage, Words>> = {
  en: {
    titles: {
      purchase: "SALE",
      refund: "REFUND",
      tip: "TIP",
      "pre-authorisation": "PRE-AUTHORISATION",
      completion: "SALE",
    },
    notCharged: "*** NOT CHARGED ***",
    heldUntil: "Held until",
    held: "Held",
    completes: "Completes",
    approved: "APPROVED",
    offline: "*** ACCEPTED OFFLINE ***",
    offlineNote: "Will be sent when the network is back.",
    deferred: "*** NOT YET AUTHORISED ***",
    deferredNote: "At the merchant's risk.",
    merchantCopy: "*** MERCHANT COPY ***",
    signature: "Signature",
    possibleCopy: "*** POSSIBLE COPY ***",
    copy: "*** COPY ***",
    date: "Date",
    terminal: "Terminal",
    payment: "Payment",
    original: "Original",
    card: "Card",
    account: "Account",
    phone: "Paid by phone",
    approvalCode: "Approval code",
    reference: "Reference",
    goods: "Goods",
    cash: "Cash",
    total: "Total",
    keep: "Please keep this receipt.",
    scanToPay: "Scan with your phone to pay",
    noReceipt: "This is not a receipt.",
  },
  de: {
    titles: {
      purchase: "KAUF",
      refund: "GUTSCHRIFT",
      tip: "TRINKGELD",
      "pre-authorisation": "VORAUTORISIERUNG",
      completion: "KAUF",
    },
    notCharged: "*** NICHT BELASTET ***",
    heldUntil: "Reserviert bis",
    held: "Reserviert",
    completes: "Schließt ab",
    approved: "GENEHMIGT",
    offline: "*** OFFLINE ANGENOMMEN ***",
    offlineNote: "Wird gesendet, sobald das Netz da ist.",
    deferred: "*** NOCH NICHT GENEHMIGT ***",
    deferredNote: "Auf Risiko des Händlers.",
    merchantCopy: "*** HÄNDLERBELEG ***",
    signature: "Unterschrift",
    possibleCopy: "*** MÖGLICHE KOPIE ***",
    copy: "*** KOPIE ***",
    date: "Datum",
    terminal: "Terminal",
    payment: "Zahlung",
    original: "Original",
    card: "Karte",
    account: "Konto",
    phone: "Bezahlt mit Telefon",
    approvalCode: "Genehmigung",
    reference: "Referenz",
    goods: "Ware",
    cash: "Bargeld",
    total: "Summe",
    keep: "Bitte bewahren Sie diesen Beleg auf.",
    scanToPay: "Zum Bezahlen mit dem Telefon scannen",
    noReceipt: "Dies ist kein Beleg.",
  },
  fr: {
    titles: {
      purchase: "VENTE",
      refund: "REMBOURSEMENT",
      tip: "POURBOIRE",
      "pre-authorisation": "PRÉAUTORISATION",
      completion: "VENTE",
    },
    notCharged: "*** NON DÉBITÉ ***",
    heldUntil: "Réservé jusqu'au",
    held: "Réservé",
    completes: "Conclut",
    approved: "ACCEPTÉ",
    offline: "*** ACCEPTÉ HORS LIGNE ***",
    offlineNote: "Sera transmis au retour du réseau.",
    deferred: "*** PAS ENCORE AUTORISÉ ***",
    deferredNote: "Aux risques du commerçant.",
    merchantCopy: "*** EXEMPLAIRE COMMERÇANT ***",
    signature: "Signature",
    possibleCopy: "*** COPIE POSSIBLE ***",
    copy: "*** COPIE ***",
    date: "Date",
    terminal: "Terminal",
    payment: "Paiement",
    original: "Original",
    card: "Carte",
    account: "Compte",
    phone: "Payé par téléphone",
    approvalCode: "Autorisation",
    reference: "Référence",
    goods: "Achat",
    cash: "Espèces",
    total: "Total",
    keep: "Merci de conserver ce reçu.",
    scanToPay: "Scannez avec votre téléphone pour payer",
    noReceipt: "Ceci n'est pas un reçu.",
  },
};

export interface ReceiptInput {
  readonly payment: PaymentView;
  readonly site: Site;
  readonly terminalId: string;
  readonly marking: Marking;
}

export function receiptOf({ payment, site, terminalId, marking }: ReceiptInput): ReceiptDocument {
  const words = WORDS[site.language];
  const held = payment.operation === "pre-authorisation";
  const body = (head: readonly ReceiptLine[], foot: readonly ReceiptLine[]): ReceiptLine[] => [
    { kind: "text", text: site.merchantName, align: "center", bold: true },
    ...site.addressLines.map((text): ReceiptLine => ({ kind: "text", text, align: "center" })),
    { kind: "rule" },
    ...head,
    ...mark(marking, words),
    { kind: "text", text: words.titles[payment.operation], align: "center", bold: true },
    {
      kind: "pair",
      label: words.date,
      value: localTime(Date.parse(payment.decidedAt ?? payment.startedAt), site.timeZone),
    },
    { kind: "pair", label: words.terminal, value: terminalId },
    { kind: "pair", label: words.payment, value: payment.id },
    ...optionalPair(payment.operation === "completion" ? words.completes : words.original, payment.originalId),
    ...optionalPair(words.reference, payment.reference),
    ...cardLines(payment, words),
    ...optionalPair(words.account, payment.maskedAccount),
    ...optionalPair(words.phone, payment.payingDevice),
    ...optionalPair(words.approvalCode, payment.approvalCode),
    { kind: "rule" },
    ...cashLines(payment, site),
    { kind: "pair", label: held ? words.held : words.total, value: localAmount(payment.amount, site), bold: true },
    ...optionalPair(words.heldUntil, payment.heldUntil && localTime(Date.parse(payment.heldUntil), site.timeZone)),
    { kind: "rule" },
    { kind: "text", text: words.approved, align: "center", bold: true },
    ...(held ? notCharged(words) : []),
    ...(payment.deferred ? noted(words.deferred, words.deferredNote) : []),
    ...(payment.mode === "offline" && !payment.deferred ? noted(words.offline, words.offlineNote) : []),
    ...foot,
  ];
  const customers = body([], [{ kind: "text", text: words.keep, align: "center" }]);
  const lines = signedOnPaper(payment, marking)
    ? [...merchants(body, words), { kind: "cut" as const }, ...customers]
    : customers;
  return { title: `${payment.operation} ${payment.id} ${marking}`, lines };
}

export interface ChallengeInput {
  readonly text: string;
  readonly amount: Money;
  readonly site: Site;
}

/** What a payer scans where the counter has no display for its customers. */
export function challengeSlip({ text, amount, site }: ChallengeInput): ReceiptDocument {
  const words = WORDS[site.language];
  return {
    title: "challenge",
    lines: [
      { kind: "text", text: site.merchantName, align: "center", bold: true },
      { kind: "text", text: words.scanToPay, align: "center" },
      { kind: "pair", label: words.total, value: localAmount(amount, site), bold: true },
      { kind: "qr", text },
      { kind: "text", text: words.noReceipt, align: "center" },
    ],
  };
}

/** A copy that is asked for later needs no second signature. */
const signedOnPaper = (payment: PaymentView, marking: Marking): boolean =>
  payment.card?.signature === true && marking !== "copy";

/** The shop's own ticket, which the customer signs (RM13). */
const merchants = (
  body: (head: readonly ReceiptLine[], foot: readonly ReceiptLine[]) => ReceiptLine[],
  words: Words,
): ReceiptLine[] =>
  body(
    [{ kind: "text", text: words.merchantCopy, align: "center", bold: true }],
    [{ kind: "blank" }, { kind: "blank" }, { kind: "rule" }, { kind: "text", text: words.signature }],
  );

function mark(marking: Marking, words: Words): ReceiptLine[] {
  if (marking === "original") return [];
  const text = marking === "copy" ? words.copy : words.possibleCopy;
  return [{ kind: "text", text, align: "center", bold: true }];
}

/** A reservation alone: it must not be taken for a sale. */
const notCharged = (words: Words): ReceiptLine[] => [
  { kind: "text", text: words.notCharged, align: "center", bold: true },
];

const noted = (text: string, note: string): ReceiptLine[] => [
  { kind: "text", text, align: "center", bold: true },
  { kind: "text", text: note, align: "center" },
];

const optionalPair = (label: string, value: string | undefined): ReceiptLine[] =>
  value === undefined ? [] : [{ kind: "pair", label, value }];

/** Label, number, AID and cryptogram type, as receipts of chip cards carry them (RM13). */
function cardLines(payment: PaymentView, words: Words): ReceiptLine[] {
  const card = payment.card;
  if (!card) return [];
  return [
    { kind: "pair", label: words.card, value: card.label },
    { kind: "pair", label: "", value: card.maskedPan },
    { kind: "pair", label: "AID", value: card.aid.toUpperCase() },
    { kind: "pair", label: "Cryptogram", value: card.cryptogramType },
  ];
}

/** Goods and cash apart, where there is cash: only the goods can be given back. */
function cashLines(payment: PaymentView, site: Site): ReceiptLine[] {
  if (!payment.cashback) return [];
  const words = WORDS[site.language];
  return [
    { kind: "pair", label: words.goods, value: localAmount(goodsOf(payment), site) },
    { kind: "pair", label: words.cash, value: localAmount(payment.cashback, site) },
  ];
}

function localAmount(amount: Money, site: Site): string {
  const decimal = toDecimal(amount);
  return `${site.language === "en" ? decimal : decimal.replace(".", ",")} ${amount.currency}`;
}
