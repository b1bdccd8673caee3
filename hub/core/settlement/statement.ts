/** What a merchant's day was: what he had to get before it, all that changed it, and what he has to get after it. */
import type { Currency } from "../../../base/money.ts";
import { type Reading, wideSql } from "../../store/store.ts";
import { batchStore, type TotalRow, totalsIn } from "./batch-store.ts";
import { type BatchTotals, netMinor, type Sum } from "./totals.ts";

/** In one currency. Sales and refunds stand in the day of the batch that they joined, payouts in that of their execution. */
export interface Statement {
  readonly currency: Currency;
  readonly openingMinor: bigint;
  readonly sales: Sum;
  readonly refunds: Sum;
  readonly chargebacks: Sum;
  readonly representments: Sum;
  readonly feesMinor: bigint;
  readonly payouts: Sum;
  readonly closingMinor: bigint;
  /** A batch of the day is still open. */
  readonly isOpen: boolean;
}

export interface StatementOf {
  readonly merchantId: string;
  /** YYYY-MM-DD. */
  readonly day: string;
}

const SUMMED = [
  ["purchases", "purchases"],
  ["purchases_minor", "purchasesMinor"],
  ["refunds", "refunds"],
  ["refunds_minor", "refundsMinor"],
  ["chargebacks", "chargebacks"],
  ["chargebacks_minor", "chargebacksMinor"],
  ["representments", "representments"],
  ["representments_minor", "representmentsMinor"],
  ["exposures", "exposures"],
  ["exposure_minor", "exposureMinor"],
  ["fees_minor", "feesMinor"],
]
  .map(([column, name]) => `CAST(sum(t.${column}) AS BIGINT) AS ${name}`)
  .join(", ");

const totalsWhere = (condition: string) =>
  wideSql<[string, string], TotalRow>(
    `SELECT t.currency, ${SUMMED} FROM settlement__total t JOIN settlement__batch b ON b.number = t.batch
     JOIN settlement__site s ON s.id = b.site_id
     WHERE s.merchant_id = ? AND b.business_date ${condition} GROUP BY t.currency ORDER BY t.currency`,
  );
const paidWhere = (condition: string) =>
  wideSql<[string, string], { currency: Currency; count: bigint; minor: bigint }>(
    `SELECT p.currency, count(*) AS count, CAST(sum(l.minor) AS BIGINT) AS minor
     FROM settlement__payout_line l JOIN settlement__payout p ON p.number = l.payout
     WHERE l.merchant_id = ? AND p.execution_date ${condition} GROUP BY p.currency ORDER BY p.currency`,
  );
const BEFORE = { totals: totalsWhere("< ?"), paid: paidWhere("< ?") };
const ON = { totals: totalsWhere("= ?"), paid: paidWhere("= ?") };

const NOTHING: Sum = { count: 0, minor: 0n };

/** By currency: each in which anything ever moved until the end of that day. */
export async function statementsOf(reading: Reading, of: StatementOf): Promise<readonly Statement[]> {
  const open = await openTotals(reading, of.merchantId);
  const earlier = await movements(reading, of, { ...BEFORE, open: open.filter(({ date }) => date < of.day) });
  const today = await movements(reading, of, { ...ON, open: open.filter(({ date }) => date === of.day) });
  const currencies = [...new Set([...earlier.keys(), ...today.keys()])].toSorted();
  const isOpen = open.some(({ date }) => date === of.day);
  return currencies.map((currency) => {
    const openingMinor = balanceOf(earlier.get(currency));
    const { batches, paid } = today.get(currency) ?? { batches: [], paid: NOTHING };
    const total = (kind: "purchases" | "refunds" | "chargebacks" | "representments") =>
      batches.reduce((sum, one) => added(sum, one[kind]), NOTHING);
    return {
      currency,
      openingMinor,
      sales: total("purchases"),
      refunds: total("refunds"),
      chargebacks: total("chargebacks"),
      representments: total("representments"),
      feesMinor: batches.reduce((sum, { feesMinor }) => sum + feesMinor, 0n),
      payouts: paid,
      closingMinor: openingMinor + balanceOf(today.get(currency)),
      isOpen,
    };
  });
}

const added = (a: Sum, b: Sum): Sum => ({ count: a.count + b.count, minor: a.minor + b.minor });

interface Movements {
  readonly batches: readonly BatchTotals[];
  readonly paid: Sum;
}

const balanceOf = (movements: Movements | undefined): bigint =>
  movements === undefined
    ? 0n
    : movements.batches.reduce((sum, batch) => sum + netMinor(batch), 0n) - movements.paid.minor;

interface Dated {
  readonly date: string;
  readonly totals: readonly BatchTotals[];
}

/** Batches that are open have no totals of their own yet. */
async function openTotals(reading: Reading, merchantId: string): Promise<readonly Dated[]> {
  const dated: Dated[] = [];
  for (const { number, businessDate } of await batchStore.openOfMerchant(reading, merchantId))
    dated.push({ date: businessDate, totals: await batchStore.sums(reading, number) });
  return dated;
}

type Span = typeof BEFORE & { readonly open: readonly Dated[] };

async function movements(
  reading: Reading,
  { merchantId, day }: StatementOf,
  { totals, paid, open }: Span,
): Promise<ReadonlyMap<Currency, Movements>> {
  const closed = (await reading.all(totals, [merchantId, day])).map(totalsIn);
  const batches = [...closed, ...open.flatMap((one) => one.totals)];
  const payouts = await reading.all(paid, [merchantId, day]);
  const currencies = new Set([...batches, ...payouts].map(({ currency }) => currency));
  return new Map(
    [...currencies].map((currency) => {
      const found = payouts.find((one) => one.currency === currency);
      const sum = found ? { count: Number(found.count), minor: found.minor } : NOTHING;
      return [currency, { batches: batches.filter((one) => one.currency === currency), paid: sum }];
    }),
  );
}
