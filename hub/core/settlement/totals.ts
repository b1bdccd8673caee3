/** The sums of a batch, and what of them is paid out: pure arithmetic in minor units. */
import type { Currency } from "../../../base/money.ts";

export interface Sum {
  readonly count: number;
  readonly minor: bigint;
}

/** What of money can be in a batch. */
export const ITEM_KINDS = ["purchase", "refund", "chargeback", "representment"] as const;
export type ItemKind = (typeof ITEM_KINDS)[number];

/** Of one batch in one currency. */
export interface BatchTotals {
  readonly currency: Currency;
  readonly purchases: Sum;
  readonly refunds: Sum;
  readonly chargebacks: Sum;
  readonly representments: Sum;
  /** The part of the purchases that no customer's account could pay: the merchant has it all the same. */
  readonly exposure: Sum;
  readonly feesMinor: bigint;
}

/** What the merchant is to get of it; below zero what he owes. */
export const netMinor = ({ purchases, refunds, chargebacks, representments, feesMinor }: BatchTotals): bigint =>
  purchases.minor - refunds.minor - chargebacks.minor + representments.minor - feesMinor;

export interface Settled {
  readonly payableMinor: bigint;
  /** What is left to be made good by later batches: zero or below. */
  readonly carriedMinor: bigint;
}

/** Earlier debt is made good first. */
export function settled(net: bigint, carriedInMinor: bigint): Settled {
  const due = net + carriedInMinor;
  return due > 0n ? { payableMinor: due, carriedMinor: 0n } : { payableMinor: 0n, carriedMinor: due };
}
