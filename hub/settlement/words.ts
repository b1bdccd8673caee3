/** What the hub says of batches, settlements and statements, in words for people. */
import { z } from "zod";

type AmountText = (minor: string, currency: string) => string;

const Sum = z.object({ count: z.int(), minor: z.string() });
const Batch = z.object({
  number: z.int(),
  siteId: z.string(),
  businessDate: z.string(),
  state: z.string(),
  totals: z.array(
    z.object({
      currency: z.string(),
      purchases: Sum,
      refunds: Sum,
      chargebacks: Sum,
      representments: Sum,
      exposure: Sum,
      feesMinor: z.string(),
    }),
  ),
});

export const feeText = ({ basisPoints, fixedMinor }: { basisPoints: number; fixedMinor: number }): string =>
  `${basisPoints}+${fixedMinor}`;

/** What there is none of is not said. */
const counted = (word: string, { count, minor }: z.output<typeof Sum>, amount: (minor: string) => string): string[] =>
  count === 0 ? [] : [`${count} ${word} ${amount(minor)}`];

export function batchText(answer: unknown, amountText: AmountText): string {
  const { number, siteId, businessDate, state, totals } = Batch.parse(answer);
  const lines = totals.map((total) => {
    const amount = (minor: string) => amountText(minor, total.currency);
    return [
      ...counted("sales", total.purchases, amount),
      ...counted("refunds", total.refunds, amount),
      ...counted("chargebacks", total.chargebacks, amount),
      ...counted("presented again", total.representments, amount),
      ...counted("exposed", total.exposure, amount),
      `fees ${amount(total.feesMinor)}`,
    ].join(", ");
  });
  return [`batch ${number}`, siteId, businessDate, state, ...(lines.length === 0 ? ["nothing"] : lines)].join("  ");
}

export const SettledAnswer = z.object({
  batch: z.int(),
  merchantId: z.string(),
  settlements: z.array(
    z.object({
      currency: z.string(),
      feesMinor: z.string(),
      carriedInMinor: z.string(),
      payableMinor: z.string(),
      carriedMinor: z.string(),
    }),
  ),
});

export function settledText(
  { batch, merchantId, settlements }: z.output<typeof SettledAnswer>,
  amountText: AmountText,
): readonly string[] {
  return settlements.map(({ currency, feesMinor, carriedInMinor, payableMinor, carriedMinor }) => {
    const amount = (minor: string) => amountText(minor, currency);
    return [
      `batch ${batch} settled for ${merchantId}: payable ${amount(payableMinor)}`,
      `fees ${amount(feesMinor)}`,
      ...(carriedInMinor === "0" ? [] : [`earlier debt ${amount(carriedInMinor)}`]),
      ...(carriedMinor === "0" ? [] : [`debt left ${amount(carriedMinor)}`]),
    ].join(", ");
  });
}

export const StatementAnswer = z.object({
  merchantId: z.string(),
  day: z.string(),
  statements: z.array(
    z.object({
      currency: z.string(),
      openingMinor: z.string(),
      sales: Sum,
      refunds: Sum,
      chargebacks: Sum,
      representments: Sum,
      feesMinor: z.string(),
      payouts: Sum,
      closingMinor: z.string(),
      open: z.boolean(),
    }),
  ),
});

const WORD_WIDTH = 20;
const AMOUNT_WIDTH = 22;

export function statementText(
  { merchantId, day, statements }: z.output<typeof StatementAnswer>,
  amountText: AmountText,
): string {
  if (statements.length === 0) return `${merchantId}  ${day}: nothing until the end of this day`;
  return statements
    .map((one) => {
      const line = (word: string, minor: string, count?: number): string =>
        [
          word.padEnd(WORD_WIDTH),
          amountText(minor, one.currency).padStart(AMOUNT_WIDTH),
          ...(count === undefined ? [] : [`  ${count}`]),
        ].join("");
      return [
        `${merchantId}  ${day}  ${one.currency}${one.open ? "  (a batch is still open: more may come)" : ""}`,
        line("opening balance", one.openingMinor),
        line("sales", one.sales.minor, one.sales.count),
        line("refunds", minus(one.refunds.minor), one.refunds.count),
        line("chargebacks", minus(one.chargebacks.minor), one.chargebacks.count),
        line("presented again", one.representments.minor, one.representments.count),
        line("fees", minus(one.feesMinor)),
        line("payouts", minus(one.payouts.minor), one.payouts.count),
        line("closing balance", one.closingMinor),
      ].join("\n");
    })
    .join("\n\n");
}

const minus = (minor: string): string => (-BigInt(minor)).toString();
