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
  readonly currency: string;
  readonly where: SettlementDay;
  readonly objects: readonly Tlv[];
  /** DE 39 of an advice, as 1987 has it. */
  readonly decided?: string;
}

const REFUND = "20";
const DAY_DIGITS = 4;

/** Throws Fault `codec.invalid` for a message that lacks what is needed. */
export function claimOf(message: Iso8583Message): Claim {
  const reference = paymentReference(message);
  if (reference === undefined) throw missing(DE.privateData);
  const { terminalId, paymentId, attempt, reason } = reference;
  const [expiry, decided] = [textOf(message, DE.expiry), responseCodeOf(message)];
  return {
    key: { terminalId, paymentId },
    ...(attempt !== undefined && { attempt }),
    ...(reason !== undefined && { reason }),
    of: message.mti[1] === "1" ? "authorisation" : "financial",
    operation: needed(message, DE.processingCode).startsWith(REFUND) ? "refund" : "purchase",
    pan: needed(message, DE.pan),
    ...(expiry !== undefined && { expiry }),
    sequenceNumber: textOf(message, DE.panSequenceNumber) ?? "",
    minor: BigInt(needed(message, DE.amountTransaction)),
    currency: needed(message, DE.currencyTransaction),
    where: { acquirerId: needed(message, DE.acquirer), day: dayOf(message) },
    objects: tlvOf(message, DE.iccData) ?? [],
    ...(decided !== undefined && { decided }),
  };
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
