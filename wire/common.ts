/** Field shapes that several messages share. Amounts are decimal strings of minor units, times ISO 8601 UTC. */
import { z } from "zod";
import { type Epoch, ID_PATTERN, type PaymentId, type TerminalId } from "../base/ids.ts";
import { type Currency, isCurrency, type Money } from "../base/money.ts";

/**
 * A text that its pattern makes a `T`. Only the type says so: a transformation would take zod off its fast path, and the
 * journal checks each entry between the card and the disk.
 */
const named = <T extends string>(schema: z.ZodString): z.ZodType<T, string> =>
  schema as unknown as z.ZodType<T, string>;

export const TerminalIdSchema = named<TerminalId>(z.string().regex(ID_PATTERN));
export const PaymentIdSchema = named<PaymentId>(z.string().regex(ID_PATTERN));
export const EpochSchema = named<Epoch>(z.string().regex(/^[0-9a-f]{16}$/));
export const SequenceSchema = z.int().min(0);
export const TimeSchema = z.iso.datetime();
/** A SHA-256 digest in hex. */
export const DigestSchema = z.string().regex(/^[0-9a-f]{64}$/);
export const Base64Schema = z.base64().max(65_536);
export const HexSchema = z
  .string()
  .regex(/^(?:[0-9a-f]{2})*$/)
  .max(4_096);

export const CurrencySchema = named<Currency>(z.string().refine(isCurrency, "not an ISO 4217 code known here"));

/** Amounts on the wire: `{"minor":"1234","currency":"EUR"}` is 12.34 EUR. */
export const MoneySchema = z.strictObject({
  minor: z.string().regex(/^(?:0|[1-9]\d{0,11})$/, "not a whole number of minor units, at most 12 digits"),
  currency: CurrencySchema,
});
export type WireMoney = z.infer<typeof MoneySchema>;

export const toWireMoney = (amount: Money): WireMoney => ({
  minor: amount.minor.toString(),
  currency: amount.currency,
});
export const fromWireMoney = (amount: WireMoney): Money => ({ minor: BigInt(amount.minor), currency: amount.currency });

/** Reason codes on the wire, for refusals of all kinds. */
export const REASON_CODES = [
  "E_SIG",
  "E_STALE",
  "E_REPLAY",
  "E_FORMAT",
  "E_UNKNOWN",
  "E_EXPIRED",
  "E_USED",
  "E_LIMIT",
  "E_STATE",
  "E_DENIED",
  "E_UNAVAILABLE",
  "E_TIMEOUT",
  "E_CONFLICT",
] as const;
export const ReasonCodeSchema = z.enum(REASON_CODES);
export type ReasonCode = z.infer<typeof ReasonCodeSchema>;

/** What a payment is. A completion takes of what its pre-authorisation holds, and gives the rest back; a tip adds to a purchase. */
export const OperationSchema = z.enum(["purchase", "refund", "tip", "pre-authorisation", "completion"]);
export type Operation = z.infer<typeof OperationSchema>;

/** How the card was read: ISO 8583 DE 22 in words. */
export const EntryModeSchema = z.enum(["chip", "contactless"]);
export type EntryMode = z.infer<typeof EntryModeSchema>;

/** How a sale may be paid with no hub in reach: by a card, or by a note of staged value that a phone signed (RM11). */
export const MeansSchema = z.enum(["chip", "contactless", "note"]);
export type Means = z.infer<typeof MeansSchema>;
