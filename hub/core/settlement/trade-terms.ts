/** What a merchant may sell beside goods: cash with a purchase, and tips after one. */
import { z } from "zod";

const MINOR_MAX = 999_999_999;

export const TradeTermsSchema = z.strictObject({
  /** Minor units of the sale's own currency; 0: no cash is given. */
  cashbackMaxMinor: z.int().min(0).max(MINOR_MAX).default(0),
  /** Of what was bought; 0: no tips. */
  tipPercentMax: z.int().min(0).max(100).default(20),
});
export type TradeTerms = z.output<typeof TradeTermsSchema>;

export const USUAL_TERMS: TradeTerms = TradeTermsSchema.parse({});
