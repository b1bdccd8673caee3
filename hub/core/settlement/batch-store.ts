/** All SQL of batches and of what is in them. */
import { present } from "../../../base/assert.ts";
import type { Currency } from "../../../base/money.ts";
import { type Reading, sql, type Within, wideSql } from "../../store/store.ts";
import type { BusinessDay } from "./business-day.ts";
import type { SaleMeans } from "./fees.ts";
import type { BatchTotals, ItemKind, Sum } from "./totals.ts";

export interface Batch {
  readonly number: number;
  readonly siteId: string;
  readonly merchantId: string;
  /** YYYY-MM-DD in the site's time zone. */
  readonly businessDate: string;
  readonly openedAt: number;
  readonly closesAt: number;
  readonly closedAt?: number;
  readonly closedBy?: ClosedBy;
  readonly settledAt?: number;
}
export type ClosedBy = "cutover" | "operator";

export interface BatchItem {
  readonly terminalId: string;
  readonly paymentId: string;
  readonly kind: ItemKind;
  /** Of a chargeback and its representment. */
  readonly dispute?: string;
  readonly currency: Currency;
  readonly minor: bigint;
  readonly exposureMinor: bigint;
  readonly feeMinor: bigint;
  readonly means?: SaleMeans | undefined;
  /** As the terminal told it; it may lie before the batch's own. */
  readonly businessDate: string;
  readonly at: number;
}

export interface BatchFilter {
  readonly siteId?: string | undefined;
  readonly state?: BatchState | undefined;
  readonly beforeNumber: number;
  readonly limit: number;
}
export type BatchState = "open" | "closed" | "settled";

type BatchRow = Pick<Batch, "number" | "siteId" | "merchantId" | "businessDate" | "openedAt" | "closesAt"> & {
  readonly closedAt: number | null;
  readonly closedBy: ClosedBy | null;
  readonly settledAt: number | null;
};

const FROM = `SELECT b.number, b.site_id AS siteId, s.merchant_id AS merchantId, b.business_date AS businessDate,
    b.opened_at AS openedAt, b.closes_at AS closesAt, b.closed_at AS closedAt, b.closed_by AS closedBy,
    b.settled_at AS settledAt
  FROM settlement__batch b JOIN settlement__site s ON s.id = b.site_id`;
const GET = sql<[number], BatchRow>(`${FROM} WHERE b.number = ?`);
const OPEN = sql<[string], BatchRow>(`${FROM} WHERE b.site_id = ? AND b.closed_at IS NULL`);
const OPEN_OF_MERCHANT = sql<[string], BatchRow>(
  `${FROM} WHERE s.merchant_id = ? AND b.closed_at IS NULL ORDER BY b.number`,
);
const DUE = sql<[number, number], BatchRow>(
  `${FROM} WHERE b.closed_at IS NULL AND b.closes_at <= ? ORDER BY b.closes_at LIMIT ?`,
);
const UNSETTLED = sql<[number], BatchRow>(
  `${FROM} WHERE b.settled_at IS NULL AND b.closed_at IS NOT NULL ORDER BY b.number LIMIT ?`,
);
const LIST = sql<{ siteId: string | null; state: string | null; beforeNumber: number; limit: number }, BatchRow>(
  `${FROM} WHERE b.number < @beforeNumber AND (CAST(@siteId AS TEXT) IS NULL OR b.site_id = @siteId)
     AND (CAST(@state AS TEXT) IS NULL OR @state =
       CASE WHEN b.closed_at IS NULL THEN 'open' WHEN b.settled_at IS NULL THEN 'closed' ELSE 'settled' END)
   ORDER BY b.number DESC LIMIT @limit`,
);
const INSERT = sql<[string, string, number, number], { number: number }>(
  `INSERT INTO settlement__batch (number, site_id, business_date, opened_at, closes_at)
   SELECT coalesce(max(number), 0) + 1, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT)
   FROM settlement__batch RETURNING number`,
);
const CLOSE = sql<[number, string, number]>(
  "UPDATE settlement__batch SET closed_at = ?, closed_by = ? WHERE number = ? AND closed_at IS NULL",
);
const MOVE_CUTOVER = sql<[number, string]>(
  "UPDATE settlement__batch SET closes_at = ? WHERE site_id = ? AND closed_at IS NULL",
);
const SETTLED = sql<[number, number]>("UPDATE settlement__batch SET settled_at = ? WHERE number = ?");

const INSERT_ITEM = wideSql(
  `INSERT INTO settlement__item (terminal_id, payment_id, kind, dispute, batch, currency, minor, exposure_minor, fee_minor,
     means, business_date, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
);

/** Of a sale, which is in one batch for ever. */
const OPEN_WITH = sql<[string, string, number], { number: number }>(
  `SELECT b.number FROM settlement__item i JOIN settlement__batch b ON b.number = i.batch
   WHERE i.terminal_id = ? AND i.payment_id = ? AND i.kind = 'purchase' AND b.closed_at IS NULL AND b.closes_at > ?`,
);

interface KindRow {
  readonly currency: Currency;
  readonly kind: ItemKind;
  readonly count: bigint;
  readonly minor: bigint;
  readonly exposures: bigint;
  readonly exposureMinor: bigint;
  readonly feesMinor: bigint;
}
const KIND_SUMS = `currency, kind, count(*) AS count, CAST(sum(minor) AS BIGINT) AS minor,
  CAST(sum(CASE WHEN exposure_minor > 0 THEN 1 ELSE 0 END) AS BIGINT) AS exposures,
  CAST(sum(exposure_minor) AS BIGINT) AS exposureMinor, CAST(sum(fee_minor) AS BIGINT) AS feesMinor`;
const SUMS = wideSql<[number], KindRow>(
  `SELECT ${KIND_SUMS} FROM settlement__item WHERE batch = ? GROUP BY currency, kind ORDER BY currency, kind`,
);
const TERMINAL_SUMS = wideSql<[number, number], KindRow & { terminalId: string; businessDate: string }>(
  `SELECT terminal_id AS terminalId, business_date AS businessDate, ${KIND_SUMS} FROM settlement__item WHERE batch = ?
   GROUP BY terminal_id, business_date, currency, kind ORDER BY terminal_id, business_date, currency, kind LIMIT ?`,
);

export interface TotalRow {
  readonly currency: Currency;
  readonly purchases: bigint;
  readonly purchasesMinor: bigint;
  readonly refunds: bigint;
  readonly refundsMinor: bigint;
  readonly chargebacks: bigint;
  readonly chargebacksMinor: bigint;
  readonly representments: bigint;
  readonly representmentsMinor: bigint;
  readonly exposures: bigint;
  readonly exposureMinor: bigint;
  readonly feesMinor: bigint;
}
const TOTALS = wideSql<[number], TotalRow>(
  `SELECT currency, purchases, purchases_minor AS purchasesMinor, refunds, refunds_minor AS refundsMinor, chargebacks,
     chargebacks_minor AS chargebacksMinor, representments, representments_minor AS representmentsMinor, exposures,
     exposure_minor AS exposureMinor, fees_minor AS feesMinor
   FROM settlement__total WHERE batch = ? ORDER BY currency`,
);
const PUT_TOTAL = wideSql(
  `INSERT INTO settlement__total (batch, currency, purchases, purchases_minor, refunds, refunds_minor, chargebacks,
     chargebacks_minor, representments, representments_minor, exposures, exposure_minor, fees_minor)
   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
);

function batchIn({ closedAt, closedBy, settledAt, ...row }: BatchRow): Batch {
  return {
    ...row,
    ...(closedAt === null ? {} : { closedAt }),
    ...(closedBy === null ? {} : { closedBy }),
    ...(settledAt === null ? {} : { settledAt }),
  };
}

/** One terminal's share of a batch on one of its own business dates. */
export interface TerminalShare extends BatchTotals {
  readonly terminalId: string;
  readonly businessDate: string;
}

const sum = (count: bigint, minor: bigint): Sum => ({ count: Number(count), minor });

export const totalsIn = (row: TotalRow): BatchTotals => ({
  currency: row.currency,
  purchases: sum(row.purchases, row.purchasesMinor),
  refunds: sum(row.refunds, row.refundsMinor),
  chargebacks: sum(row.chargebacks, row.chargebacksMinor),
  representments: sum(row.representments, row.representmentsMinor),
  exposure: sum(row.exposures, row.exposureMinor),
  feesMinor: row.feesMinor,
});

/** Of the rows of one currency. */
function totalsOf(currency: Currency, rows: readonly KindRow[]): BatchTotals {
  const of = (kind: ItemKind): Sum => {
    const row = rows.find((one) => one.kind === kind);
    return row ? sum(row.count, row.minor) : sum(0n, 0n);
  };
  const added = (field: "exposures" | "exposureMinor" | "feesMinor") =>
    rows.reduce((total, row) => total + row[field], 0n);
  return {
    currency,
    purchases: of("purchase"),
    refunds: of("refund"),
    chargebacks: of("chargeback"),
    representments: of("representment"),
    exposure: sum(added("exposures"), added("exposureMinor")),
    feesMinor: added("feesMinor"),
  };
}

/** Terminals times days times currencies times kinds of one batch. */
const SHARE_ROWS_MAX = 10_000;

export const batchStore = {
  async batch(reading: Reading, number: number): Promise<Batch | undefined> {
    const row = await reading.get(GET, [number]);
    return row && batchIn(row);
  },
  async openBatch(reading: Reading, siteId: string): Promise<Batch | undefined> {
    const row = await reading.get(OPEN, [siteId]);
    return row && batchIn(row);
  },
  openOfMerchant: async (reading: Reading, merchantId: string): Promise<readonly Batch[]> =>
    (await reading.all(OPEN_OF_MERCHANT, [merchantId])).map(batchIn),
  due: async (reading: Reading, now: number, limit: number): Promise<readonly Batch[]> =>
    (await reading.all(DUE, [now, limit])).map(batchIn),
  /** Closed ones, oldest first. */
  unsettled: async (reading: Reading, limit: number): Promise<readonly Batch[]> =>
    (await reading.all(UNSETTLED, [limit])).map(batchIn),
  /** Newest first. */
  batches: async (reading: Reading, { siteId, state, ...page }: BatchFilter): Promise<readonly Batch[]> =>
    (await reading.all(LIST, { siteId: siteId ?? null, state: state ?? null, ...page })).map(batchIn),
  async insert(within: Within, siteId: string, { day, at }: { day: BusinessDay; at: number }): Promise<number> {
    return present(await within.get(INSERT, [siteId, day.date, at, day.toMs]), "the new batch").number;
  },
  async close(within: Within, number: number, { at, by }: { at: number; by: ClosedBy }): Promise<void> {
    await within.run(CLOSE, [at, by, number]);
  },
  moveCutover: async (within: Within, siteId: string, closesAt: number): Promise<void> =>
    void (await within.run(MOVE_CUTOVER, [closesAt, siteId])),
  markSettled: async (within: Within, number: number, at: number): Promise<void> =>
    void (await within.run(SETTLED, [at, number])),

  async insertItem(within: Within, batch: number, item: BatchItem): Promise<void> {
    await within.run(INSERT_ITEM, [
      ...[item.terminalId, item.paymentId, item.kind, item.dispute ?? "", batch, item.currency, item.minor],
      ...[item.exposureMinor, item.feeMinor, item.means ?? null, item.businessDate, item.at],
    ]);
  },
  /** Whether a sale is in a batch that is neither closed nor due to be. */
  holdsOpen: async (
    reading: Reading,
    { terminalId, paymentId }: Pick<BatchItem, "terminalId" | "paymentId">,
    now: number,
  ): Promise<boolean> => (await reading.get(OPEN_WITH, [terminalId, paymentId, now])) !== undefined,
  /** By currency, from what is in it. */
  async sums(reading: Reading, batch: number): Promise<readonly BatchTotals[]> {
    const rows = await reading.all(SUMS, [batch]);
    const currencies = [...new Set(rows.map(({ currency }) => currency))];
    return currencies.map((currency) =>
      totalsOf(
        currency,
        rows.filter((row) => row.currency === currency),
      ),
    );
  },
  async shares(reading: Reading, batch: number): Promise<readonly TerminalShare[]> {
    const rows = await reading.all(TERMINAL_SUMS, [batch, SHARE_ROWS_MAX]);
    const groups = Map.groupBy(rows, (row) => JSON.stringify([row.terminalId, row.businessDate, row.currency]));
    return [...groups.values()].flatMap((group) => {
      const [first] = group;
      if (!first) return [];
      const { terminalId, businessDate, currency } = first;
      return [{ terminalId, businessDate, ...totalsOf(currency, group) }];
    });
  },
  /** Of a closed batch. */
  totals: async (reading: Reading, batch: number): Promise<readonly BatchTotals[]> =>
    (await reading.all(TOTALS, [batch])).map(totalsIn),
  async putTotals(within: Within, batch: number, t: BatchTotals): Promise<void> {
    await within.run(PUT_TOTAL, [
      ...[batch, t.currency, t.purchases.count, t.purchases.minor, t.refunds.count, t.refunds.minor],
      ...[t.chargebacks.count, t.chargebacks.minor, t.representments.count, t.representments.minor],
      ...[t.exposure.count, t.exposure.minor, t.feesMinor],
    ]);
  },
};
