/** What the routes of settlement share: how sums and ids look. */
import { z } from "zod";
import { HttpRefusal } from "../../http.ts";
import type { BatchTotals, Sum } from "./totals.ts";

export const security = [{ operator: [] }];
export const MinorText = z.string().describe("minor units as a decimal string");
/** Part of account ids. */
export const PartySchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "lower-case letters, digits and dashes, at most 32");
export const NumberCursor = z
  .string()
  .regex(/^\d{1,15}$/, "not a cursor that this list gave")
  .optional();
export const pathOf = (name: string) => ({ type: "object", properties: { [name]: { type: "string" } } });

export const SumShape = z.object({ count: z.int(), minor: MinorText });
export const TotalsShape = z.object({
  currency: z.string(),
  purchases: SumShape,
  refunds: SumShape,
  chargebacks: SumShape,
  representments: SumShape,
  exposure: SumShape.describe("the part of the purchases that no customer's account could pay"),
  feesMinor: MinorText,
});

export const showSum = ({ count, minor }: Sum): z.output<typeof SumShape> => ({ count, minor: minor.toString() });
export const showTotals = (totals: BatchTotals): z.output<typeof TotalsShape> => ({
  currency: totals.currency,
  purchases: showSum(totals.purchases),
  refunds: showSum(totals.refunds),
  chargebacks: showSum(totals.chargebacks),
  representments: showSum(totals.representments),
  exposure: showSum(totals.exposure),
  feesMinor: totals.feesMinor.toString(),
});

export const unknown = (what: string): HttpRefusal => new HttpRefusal(404, "E_UNKNOWN", `this hub knows no ${what}`);
