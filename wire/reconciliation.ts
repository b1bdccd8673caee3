/**
 * Agreement on one terminal's day, entry by entry: the terminal lists what its queue held, the hub compares it with what it
 * took and posted, and answers with every difference.
 */
import { z } from "zod";
import {
  CurrencySchema,
  DigestSchema,
  EpochSchema,
  PaymentIdSchema,
  ReasonCodeSchema,
  SequenceSchema,
  TimeSchema,
} from "./common.ts";

/** Entries in one message, and messages in one summary: 40,000 entries of one terminal and day. */
export const SUMMARY_ENTRIES_MAX = 400;
export const SUMMARY_PARTS_MAX = 100;
/** Differences that a report lists; the rest is counted. */
export const DIFFERENCES_MAX = 500;

const MinorSchema = z.string().regex(/^(?:0|[1-9]\d{0,11})$/);
const SummaryIdSchema = z.string().regex(/^[0-9a-f]{24}$/);

/** As the terminal's queue has it. */
export const QueueStateSchema = z.enum([
  "eligible",
  "forwarding",
  "processed",
  "declined",
  "expired",
  "quarantined",
  "voided",
]);

export const SummaryEntrySchema = z.strictObject({
  forward: z.int().min(1),
  sequence: z.int().min(1),
  hash: DigestSchema,
  paymentId: PaymentIdSchema,
  kind: z.string().min(1).max(32),
  state: QueueStateSchema,
  minor: MinorSchema.optional(),
  currency: CurrencySchema.optional(),
});
export type SummaryEntry = z.infer<typeof SummaryEntrySchema>;

/** One part of a terminal's list for one day; the hub answers when it has all of them. */
export const DaySummarySchema = z.strictObject({
  /** The same in all parts of one summary, new for each. */
  summaryId: SummaryIdSchema,
  /** The day in the site's time zone, YYYY-MM-DD, and what that is as instants; `to` is excluded. */
  businessDate: z.iso.date(),
  from: TimeSchema,
  to: TimeSchema,
  epoch: EpochSchema,
  /** Entries up to this one lie in archive files and are not listed. */
  archivedThrough: SequenceSchema.optional(),
  part: z.int().min(1).max(SUMMARY_PARTS_MAX),
  parts: z.int().min(1).max(SUMMARY_PARTS_MAX),
  entries: z.array(SummaryEntrySchema).max(SUMMARY_ENTRIES_MAX),
});
export type DaySummary = z.infer<typeof DaySummarySchema>;

/**
 * What differs. `not-sent`: waits in the terminal's queue. `missing-at-hub`: the terminal has a receipt or gave it up.
 * `missing-at-terminal`: the hub holds what the terminal does not know. `other-hash`: two entries of one number.
 * `other-state`: each tells another end of it. `quarantined`: both have it set aside. `other-amount` and `posted-twice`:
 * what the ledger moved is not what the terminal decided.
 */
export const DIFFERENCE_KINDS = [
  "not-sent",
  "missing-at-hub",
  "missing-at-terminal",
  "other-hash",
  "other-state",
  "quarantined",
  "other-amount",
  "posted-twice",
] as const;

export const DifferenceSchema = z.strictObject({
  paymentId: PaymentIdSchema.optional(),
  sequence: SequenceSchema.optional(),
  /** Of the hub's entry, where it is of another epoch than the summary. */
  epoch: EpochSchema.optional(),
  what: z.enum(DIFFERENCE_KINDS),
  /** What each side says: a state, a hash, an amount in minor units. */
  agent: z.string().max(100).optional(),
  hub: z.string().max(100).optional(),
  reason: ReasonCodeSchema.optional(),
  /** Why it is so, where that is known; what has none needs a person. */
  explained: z.string().max(200).optional(),
});
export type Difference = z.infer<typeof DifferenceSchema>;

export const DayReportSchema = z.strictObject({
  summaryId: SummaryIdSchema,
  businessDate: z.iso.date(),
  epoch: EpochSchema,
  at: TimeSchema,
  /** How many entries agree in all that is compared. */
  agreed: z.int().min(0),
  differences: z.array(DifferenceSchema).max(DIFFERENCES_MAX),
  /** Differences that are not listed, and how many of all have no explanation. */
  more: z.int().min(0),
  unexplained: z.int().min(0),
});
export type DayReport = z.infer<typeof DayReportSchema>;
