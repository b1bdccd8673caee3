/** What an issuer reads of a message about a payment. */
import { Fault } from "../../base/fault.ts";
import type { Tlv } from "../../protocols/emv/ber-tlv.ts";
import { responseCodeOf } from "../../protocols/iso8583/editions.ts";
import { DE, type Iso8583Message, textOf, tlvOf } from "../../protocols/iso8583/message.ts";
import { paymentReference } from "../../protocols/iso8583/payment-reference.ts";
import type { PaymentKey, SettlementDay } from "./books.ts";
import type { MessageClass } from "./records.ts";

export interface Claim {
  readonly key: PaymentKey;
  /** Absent in what a terminal decided by itself. */
  readonly attempt?: number;
  readonly reason?: string;
  readonly of: MessageClass;
  readonly operation: "purchase" | "refund";
  readonly pan: string;
  /** YYMM; absent in reversals. */
  readonly expiry?: string;
  readonly sequenceNumber: string;
  readonly minor: bigint;
  /** The part of it that is given in cash, in a purchase with cashback. */
  readonly cashbackMinor?: bigint;
  readonly currency: string;
  readonly where: SettlementDay;
  readonly objects: readonly Tlv[];
  /** DE 39 of an advice, as 1987 has it. */
  readonly decided?: string;
}

const WITH_CASHBACK = "09";
/** By the first two digits of DE 3. A tip adjusts a purchase, with a debit of its own. */
const OPERATIONS: ReadonlyMap<string, Claim["operation"]> = new Map([
  ["00", "purchase"],
  ["02", "purchase"],
  [WITH_CASHBACK, "purchase"],
  ["20", "refund"],
]);
const DAY_DIGITS = 4;

/** Throws Fault `codec.invalid` for a message that lacks what is needed. */
export function claimOf(message: Iso8583Message): Claim {
  const reference = paymentReference(message);
  if (reference === undefined) throw missing(DE.privateData);
  const { terminalId, paymentId, attempt, reason } = reference;
  const processing = needed(message, DE.processingCode);
  const [expiry, decided] = [textOf(message, DE.expiry), responseCodeOf(message)];
  return {
    key: { terminalId, paymentId },
    ...(attempt !== undefined && { attempt }),
    ...(reason !== undefined && { reason }),
    of: message.mti[1] === "1" ? "authorisation" : "financial",
    operation: operationOf(processing),
    pan: needed(message, DE.pan),
    ...(expiry !== undefined && { expiry }),
    sequenceNumber: textOf(message, DE.panSequenceNumber) ?? "",
    minor: BigInt(needed(message, DE.amountTransaction)),
    ...(processing.startsWith(WITH_CASHBACK) && { cashbackMinor: cashbackOf(message) }),
    currency: needed(message, DE.currencyTransaction),
    where: { acquirerId: needed(message, DE.acquirer), day: dayOf(message) },
    objects: tlvOf(message, DE.iccData) ?? [],
    ...(decided !== undefined && { decided }),
  };
}

function operationOf(processing: string): Claim["operation"] {
  const operation = OPERATIONS.get(processing.slice(0, 2));
  if (operation) return operation;
  throw new Fault("codec.invalid", `DE 3 of ${processing} is taken by no one here`, { details: { path: "3" } });
}

/** Of DE 54 the amount of type 40: account type, amount type, currency, sign, and twelve digits, as often as there are amounts. */
function cashbackOf(message: Iso8583Message): bigint {
  const amounts = needed(message, DE.additionalAmounts).matchAll(/\d\d(\d\d)(\d{3})[CD](\d{12})/g);
  const cash = [...amounts].find(([, type]) => type === "40");
  if (!cash?.[3] || cash[2] !== needed(message, DE.currencyTransaction))
    throw new Fault("codec.invalid", "DE 54 tells no cash in the currency of DE 49", { details: { path: "54" } });
  return BigInt(cash[3]);
}

/** MMDD of DE 15, in 1993 behind the year; of DE 7 where there is none. */
export function dayOf(message: Iso8583Message): string {
  const settlement = textOf(message, DE.settlementDate);
  return settlement?.slice(-DAY_DIGITS) ?? needed(message, DE.transmissionDateTime).slice(0, DAY_DIGITS);
}

export function needed(message: Iso8583Message, de: number): string {
  const value = textOf(message, de);
  if (value === undefined) throw missing(de);
  return value;
}

const missing = (de: number): Fault =>
  new Fault("codec.invalid", `DE ${de} is missing`, { details: { path: String(de) } });
