/** What an issuer's books are made of, as they stand in their file. Amounts are decimal strings of minor units there. */
import { z } from "zod";

const MinorSchema = z.codec(z.string().regex(/^-?\d{1,18}$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (minor) => minor.toString(),
});

const AccountSchema = z.strictObject({
  /** SHA-256 of the card's number: the books hold no number. */
  card: z.string(),
  maskedPan: z.string(),
  /** YYMM. */
  expiry: z.string(),
  /** DE 49. */
  currency: z.string(),
  /** What was posted; below zero when an advice took what was not there (RM16). */
  balanceMinor: MinorSchema,
  heldMinor: MinorSchema,
});
export type Account = z.output<typeof AccountSchema>;

const MessageClassSchema = z.enum(["authorisation", "financial"]);
export type MessageClass = z.output<typeof MessageClassSchema>;

const AttemptSchema = z.strictObject({
  /** `tombstone`: reversed before it came, and refused when it comes (RM1). */
  state: z.enum(["approved", "declined", "reversed", "tombstone"]),
  of: MessageClassSchema,
  minor: MinorSchema,
  responseCode: z.string(),
  approvalCode: z.string().optional(),
  /** Tag 91 as it was answered, in hex. */
  issuerAuthenticationData: z.string().optional(),
  /** What its reversal was answered with: that there was something to take back, or not. */
  reversedWith: z.string().optional(),
  /** Tag 9F5B in hex, as its reversal brought it. */
  scriptResults: z.string().optional(),
});
export type Attempt = z.output<typeof AttemptSchema>;

/** What was decided elsewhere. */
const AdviceSchema = z.strictObject({
  of: MessageClassSchema,
  minor: MinorSchema,
  /** Of a stand-in: the attempt that it decided. */
  attempt: z.int().optional(),
  reason: z.string().optional(),
  /** A reversal of its attempt came afterwards. */
  withdrawn: z.literal(true).optional(),
});

const PaymentSchema = z.strictObject({
  terminalId: z.string(),
  paymentId: z.string(),
  operation: z.enum(["purchase", "refund"]),
  /** Absent while nothing but reversals came. */
  card: z.string().optional(),
  currency: z.string().optional(),
  /** By number. */
  attempts: z.record(z.string(), AttemptSchema),
  /** The approval that stands over whatever the attempts came to. */
  advice: AdviceSchema.optional(),
  /** A decline was told, by its response code. */
  declined: z.string().optional(),
  /** What became of the newest cryptogram. */
  cryptogram: z.enum(["held", "failed"]).optional(),
  /** Sequence number and transaction counter of the card that gave it: no other payment may have them. */
  counter: z.string().optional(),
});
export type Payment = z.output<typeof PaymentSchema>;

const CountedSchema = z.strictObject({ count: z.int(), minor: MinorSchema });
export type Counted = z.output<typeof CountedSchema>;

const TotalsSchema = z.strictObject({
  acquirerId: z.string(),
  currency: z.string(),
  /** MMDD, of DE 15; of DE 7 where a message has none. */
  day: z.string(),
  debits: CountedSchema,
  debitReversals: CountedSchema,
  credits: CountedSchema,
  creditReversals: CountedSchema,
});
export type DayTotals = z.output<typeof TotalsSchema>;

/** One line of the file: the newest of its name counts. */
export const BookRecordSchema = z.strictObject({
  account: AccountSchema.optional(),
  payment: PaymentSchema.optional(),
  totals: TotalsSchema.optional(),
});
export type BookRecord = z.output<typeof BookRecordSchema>;
