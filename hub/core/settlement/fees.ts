/** What a sale costs its merchant: a part of it in basis points, and a fixed amount, by the means that paid it. */
import { z } from "zod";

/** As a sale was paid: by a card's chip or contactless, by a note of staged value, by a code of a phone. */
export const SALE_MEANS = ["chip", "contactless", "note", "code"] as const;
export type SaleMeans = (typeof SALE_MEANS)[number];

const FeeTermsSchema = z.strictObject({
  /** Hundredths of a per cent. */
  basisPoints: z.int().min(0).max(10_000),
  /** Minor units of the sale's own currency. */
  fixedMinor: z.int().min(0).max(1_000_000),
});

export const FeeScheduleSchema = z.strictObject({
  standard: FeeTermsSchema,
  /** Where a means has terms of its own. */
  chip: FeeTermsSchema.optional(),
  contactless: FeeTermsSchema.optional(),
  note: FeeTermsSchema.optional(),
  code: FeeTermsSchema.optional(),
});
export type FeeSchedule = z.output<typeof FeeScheduleSchema>;

export const NO_FEES: FeeSchedule = { standard: { basisPoints: 0, fixedMinor: 0 } };

const WHOLE = 10_000n;

export interface FeedSale {
  readonly means: SaleMeans | undefined;
  readonly minor: bigint;
}

/** Of each sale by itself, rounded half up to a minor unit: so the fees of a batch are the sum of what its sales show. */
export function feeOf(schedule: FeeSchedule, { means, minor }: FeedSale): bigint {
  const { basisPoints, fixedMinor } = (means && schedule[means]) ?? schedule.standard;
  return (minor * BigInt(basisPoints) + WHOLE / 2n) / WHOLE + BigInt(fixedMinor);
}
