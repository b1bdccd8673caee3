/** The messages of RM14: what the hub has to say to an issuer about a payment, as ISO 8583 has it. */
import { assert } from "../../../base/assert.ts";
import { fromHex } from "../../../base/bytes.ts";
import { type Currency, type Money, numericCodeOf } from "../../../base/money.ts";
import { decodeTrack2 } from "../../../protocols/emv/numeric.ts";
import { writtenCode } from "../../../protocols/iso8583/editions.ts";
import { transmissionDateTime } from "../../../protocols/iso8583/exchange.ts";
import { DE, type FieldValue, type Iso8583Message } from "../../../protocols/iso8583/message.ts";
import { type PaymentReference, referenceFields } from "../../../protocols/iso8583/payment-reference.ts";
import type { MtiVersion } from "../../../protocols/iso8583/spec.ts";
import type { CardData } from "../../../wire/card-data.ts";
import { issuerObjects } from "./icc-data.ts";
import type { Trace } from "./network.ts";

/** What every message about one payment says of it. */
export interface IssuerPayment {
  readonly terminalId: string;
  readonly paymentId: string;
  /** A tip is an adjustment of its sale. */
  readonly operation: "purchase" | "refund" | "tip";
  readonly amount: Money;
  /** The part of the amount that is given in cash. */
  readonly cashback?: Money;
  readonly card: CardData;
  readonly entryMode: "chip" | "contactless";
  /** At the terminal, ISO 8601 without a zone: 2026-01-05T10:15:00. */
  readonly localTime: string;
  /** DE 32: up to 11 digits. */
  readonly acquirerId: string;
  /** DE 41, DE 42 and DE 18: up to 8 characters, up to 15 characters, four digits. */
  readonly acceptor: { readonly terminal: string; readonly merchant: string; readonly category: string };
  /** DE 37, the same in all messages about the payment, and about a tip on it; see `rrnOf`. */
  readonly rrn: string;
  /** DE 55 in hex, as the terminal sent it. */
  readonly iccData?: string;
  /** YYYY-MM-DD: the day with whose totals this is reconciled. */
  readonly settlementDate?: string;
}

/** `authorisation` reserves the amount, `financial` moves it: classes 1 and 2. */
export type MessageClass = "authorisation" | "financial";

/** An earlier message about the same payment. */
export interface Original {
  readonly of: MessageClass;
  readonly trace: Trace;
}

/** What was decided without the issuer. Only an approval is to be posted. */
export type MadeDecision =
  | { readonly approved: true; readonly approvalCode?: string }
  | { readonly approved: false; readonly responseCode: string };

/** Why something is told that was not asked. */
export type AdviceReason = "completion" | "offline" | "stand-in-timeout" | "stand-in-signed-off";

interface AboutPayment {
  readonly version: MtiVersion;
  readonly payment: IssuerPayment;
  readonly trace: Trace;
}

export interface RequestMessage extends AboutPayment {
  readonly attempt: number;
  readonly of: MessageClass;
}

/**
 * 0100 or 0200: a pre-authorisation or a purchase. Only this one carries the track (RM5). Throws Fault `codec.…` for a track that
 * is none.
 */
export function requestMessage({ version, payment, trace, attempt, of }: RequestMessage): Iso8583Message {
  const reference = { terminalId: payment.terminalId, paymentId: payment.paymentId, attempt };
  const { track2 } = payment.card;
  return {
    mti: `${version}${CLASS[of]}00`,
    fields: {
      ...common({ version, payment, trace, reference, functionCode: FUNCTION[of] }),
      ...card(payment),
      ...(track2 !== undefined && { [DE.track2]: trackText(track2) }),
    },
  };
}

export interface AdviceMessage extends AboutPayment {
  readonly of: MessageClass;
  readonly decision: MadeDecision;
  readonly reason: AdviceReason;
  /** The one that was decided here: a reversal of it takes the advice back. Absent for what a terminal decided. */
  readonly attempt?: number;
  /** The request that had no answer, or the pre-authorisation that is completed. */
  readonly original?: Original;
  /** It was sent before, and not answered. */
  readonly repeat: boolean;
}

/** 0120 or 0220, and 0121 or 0221 when repeated. It is about the payment, whatever attempts there were (RM1). */
export function adviceMessage(advice: AdviceMessage): Iso8583Message {
  const { version, payment, trace, of, decision, reason, attempt, original, repeat } = advice;
  const { terminalId, paymentId } = payment;
  const reference = { terminalId, paymentId, ...(attempt !== undefined && { attempt }), reason };
  const responseCode = decision.approved ? "00" : decision.responseCode;
  return {
    mti: `${version}${CLASS[of]}2${repeat ? 1 : 0}`,
    fields: {
      ...common({ version, payment, trace, reference, functionCode: FUNCTION[of] }),
      ...card(payment),
      ...(decision.approved && decision.approvalCode !== undefined && { [DE.approvalCode]: decision.approvalCode }),
      [DE.responseCode]: writtenCode(version, responseCode),
      ...(original && originalData({ version, payment, original })),
    },
  };
}

export interface ReversalMessage extends AboutPayment {
  readonly attempt: number;
  readonly original: Original;
  /** In a word or two, for people at the issuer: `timeout`, `card-declined`. */
  readonly reason: string;
  readonly repeat: boolean;
  /** Tag 9F5B in hex, where the issuer had sent the card scripts (RM13). */
  readonly scriptResults?: string;
}

/** 0420, and 0421 until it is answered. It names one attempt (RM1). */
export function reversalMessage(reversal: ReversalMessage): Iso8583Message {
  const { version, payment, trace, attempt, original, reason, repeat, scriptResults } = reversal;
  const reference = { terminalId: payment.terminalId, paymentId: payment.paymentId, attempt, reason };
  const results = scriptResults === undefined ? [] : [{ tag: SCRIPT_RESULTS, value: fromHex(scriptResults) }];
  return {
    mti: `${version}42${repeat ? 1 : 0}`,
    fields: {
      ...common({ version, payment, trace, reference, functionCode: FULL_REVERSAL }),
      ...(results.length > 0 && { [DE.iccData]: results }),
      ...originalData({ version, payment, original }),
    },
  };
}

const CLASS: Readonly<Record<MessageClass, string>> = { authorisation: "1", financial: "2" };
const PROCESSING: Readonly<Record<IssuerPayment["operation"], string>> = {
  purchase: "000000",
  refund: "200000",
  tip: "020000",
};
const WITH_CASHBACK = "090000";
const SCRIPT_RESULTS = 0x9f5b;

/** DE 24 of 1993. */
const FUNCTION: Readonly<Record<MessageClass, string>> = { authorisation: "100", financial: "200" };
const FULL_REVERSAL = "400";

/** DE 22. The terminal has no keys for a PIN; of 1993 the seventh place says how the card was read. */
const ENTRY_MODES: Readonly<Record<MtiVersion, Readonly<Record<IssuerPayment["entryMode"], string>>>> = {
  0: { chip: "052", contactless: "072" },
  1: { chip: "500101500040", contactless: "A00101A00040" },
};
const NORMAL_PRESENTMENT = "00";

interface Common extends AboutPayment {
  readonly reference: PaymentReference;
  readonly functionCode: string;
}

function common({ version, payment, trace, reference, functionCode }: Common): Record<number, FieldValue> {
  const { card, acceptor, amount } = payment;
  return {
    [DE.pan]: card.pan,
    [DE.processingCode]: payment.cashback ? WITH_CASHBACK : PROCESSING[payment.operation],
    [DE.amountTransaction]: amountText(amount),
    [DE.transmissionDateTime]: transmissionDateTime(trace.transmittedAt),
    [DE.stan]: trace.stan,
    ...localTime(version, payment.localTime),
    [DE.posEntryMode]: ENTRY_MODES[version][payment.entryMode],
    ...(version === "0"
      ? { [DE.merchantType]: acceptor.category, [DE.posConditionCode]: NORMAL_PRESENTMENT }
      : { [MERCHANT_BUSINESS_CODE_1993]: acceptor.category, [DE.functionCode]: functionCode }),
    [DE.acquirer]: payment.acquirerId,
    [DE.rrn]: payment.rrn,
    [DE.terminal]: acceptor.terminal,
    [DE.merchant]: acceptor.merchant,
    [DE.privateData]: referenceFields(reference),
    [DE.currencyTransaction]: currencyText(amount.currency),
    ...(payment.cashback && { [DE.additionalAmounts]: cashbackText(payment.cashback) }),
    ...(payment.settlementDate !== undefined && { [DE.settlementDate]: dateText(version, payment.settlementDate) }),
  };
}

/** DE 15 of a YYYY-MM-DD: month and day in 1987, the year's two digits in front of them in 1993. */
export function dateText(version: MtiVersion, date: string): string {
  const digits = date.replaceAll("-", "");
  return version === "0" ? digits.slice(4) : digits.slice(2);
}

const MERCHANT_BUSINESS_CODE_1993 = 26;

/** Of requests and advices: what the issuer judges the card by. */
function card({ card: { expiry, sequenceNumber }, iccData }: IssuerPayment): Record<number, FieldValue> {
  const objects = iccData === undefined ? [] : issuerObjects(iccData);
  return {
    [DE.expiry]: expiry,
    ...(sequenceNumber !== undefined && { [DE.panSequenceNumber]: sequenceNumber.padStart(3, "0") }),
    ...(objects.length > 0 && { [DE.iccData]: objects }),
  };
}

/** DE 12 and DE 13 of 1987, DE 12 of 1993. */
function localTime(version: MtiVersion, text: string): Record<number, string> {
  const [all, year = "", date = "", time = ""] = /^\d\d(\d\d)-(\d\d-\d\d)T(\d\d:\d\d:\d\d)/.exec(text) ?? [];
  assert(all !== undefined, "a local time is ISO 8601");
  const [day, clock] = [date.replace("-", ""), time.replaceAll(":", "")];
  return version === "0" ? { [DE.localTime]: clock, [DE.localDate]: day } : { [DE.localTime]: `${year}${day}${clock}` };
}

const AMOUNT_DIGITS = 12;
/** DE 54: of the default account (00) the amount of type 40, cashback, in its currency, which the cardholder owes (D). */
const cashbackText = (cash: Money): string => `0040${currencyText(cash.currency)}D${amountText(cash)}`;
const amountText = ({ minor }: Money): string => minor.toString().padStart(AMOUNT_DIGITS, "0");
/** DE 49: three digits (ISO 4217). */
export const currencyText = (currency: Currency): string => String(numericCodeOf(currency)).padStart(3, "0");

/** Tag 57 as DE 35 has it: with `=` for its separator, and without what fills it up. */
function trackText(track2: string): string {
  const { pan, expiry, serviceCode, discretionary } = decodeTrack2(fromHex(track2));
  return `${pan}=${expiry}${serviceCode}${discretionary}`;
}

const ACQUIRER_DIGITS = 11;

interface OriginalData {
  readonly version: MtiVersion;
  readonly payment: IssuerPayment;
  readonly original: Original;
}

/**
 * DE 90 of 1987: MTI, STAN, transmission time, acquirer and forwarder, of which there is none. DE 56 of 1993: MTI, STAN, local
 * time, and the acquirer behind its length.
 */
function originalData({ version, payment, original: { of, trace } }: OriginalData): Record<number, FieldValue> {
  const { acquirerId } = payment;
  const head = `${version}${CLASS[of]}00${trace.stan}`;
  if (version === "0") {
    const acquirer = acquirerId.padStart(ACQUIRER_DIGITS, "0");
    const forwarder = "0".repeat(ACQUIRER_DIGITS);
    return { [DE.originalDataElements]: `${head}${transmissionDateTime(trace.transmittedAt)}${acquirer}${forwarder}` };
  }
  const { [DE.localTime]: time = "" } = localTime(version, payment.localTime);
  const length = String(acquirerId.length).padStart(2, "0");
  return { [DE.originalDataElements1993]: `${head}${time}${length}${acquirerId}` };
}

/** DE 37: the last digit of the year, the day of the year, the hour and the STAN of the payment's first message. */
export function rrnOf({ stan, transmittedAt }: Trace): string {
  const date = new Date(transmittedAt);
  const year = date.getUTCFullYear();
  const day = Math.floor((transmittedAt - Date.UTC(year, 0, 1)) / DAY_MS) + 1;
  return `${year % 10}${String(day).padStart(3, "0")}${String(date.getUTCHours()).padStart(2, "0")}${stan}`;
}
const DAY_MS = 86_400_000;
