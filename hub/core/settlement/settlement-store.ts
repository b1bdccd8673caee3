/** All SQL of settled batches and of payouts. */
import { present } from "../../../base/assert.ts";
import type { Currency } from "../../../base/money.ts";
import type { BankAccount } from "../../../protocols/iso20022/bank-account.ts";
import { type Reading, sql, type Within, wideSql } from "../../store/store.ts";

/** A batch in one currency, settled. */
export interface Settlement {
  readonly batch: number;
  readonly merchantId: string;
  readonly currency: Currency;
  readonly netMinor: bigint;
  readonly feesMinor: bigint;
  /** What earlier batches left: zero or below. */
  readonly carriedInMinor: bigint;
  readonly payableMinor: bigint;
  /** What this one leaves. */
  readonly carriedMinor: bigint;
}

export interface Payout {
  readonly number: number;
  readonly messageId: string;
  readonly currency: Currency;
  /** YYYY-MM-DD: when the bank is to pay. */
  readonly executionDate: string;
  readonly createdAt: number;
  readonly payer: BankAccount;
}

export interface PayoutLine {
  readonly line: number;
  readonly merchantId: string;
  readonly minor: bigint;
  readonly endToEndId: string;
  readonly creditor: BankAccount;
}

interface LineSum {
  readonly payments: bigint;
  readonly minor: bigint;
}

const COLUMNS = `batch, merchant_id AS merchantId, currency, net_minor AS netMinor, fees_minor AS feesMinor,
  carried_in_minor AS carriedInMinor, payable_minor AS payableMinor, carried_minor AS carriedMinor`;
type Row = Omit<Settlement, "batch"> & { readonly batch: bigint };
const OF_BATCH = wideSql<[number], Row>(
  `SELECT ${COLUMNS} FROM settlement__settlement WHERE batch = ? ORDER BY currency`,
);
const LAST = wideSql<[string, string], { carriedMinor: bigint }>(
  `SELECT carried_minor AS carriedMinor FROM settlement__settlement WHERE merchant_id = ? AND currency = ?
   ORDER BY number DESC LIMIT 1`,
);
const INSERT = wideSql<[number, string, string, bigint, bigint, bigint, bigint, bigint, number]>(
  `INSERT INTO settlement__settlement (number, batch, merchant_id, currency, net_minor, fees_minor, carried_in_minor,
     payable_minor, carried_minor, at)
   SELECT coalesce(max(number), 0) + 1, CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT),
     CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT)
   FROM settlement__settlement`,
);

const PAYOUT = `SELECT number, message_id AS messageId, currency, execution_date AS executionDate, created_at AS createdAt,
  payer_name AS name, payer_iban AS iban, payer_bic AS bic FROM settlement__payout`;
type PayoutRow = Omit<Payout, "payer"> & BankAccount;
const GET_PAYOUT = sql<[string], PayoutRow>(`${PAYOUT} WHERE message_id = ?`);
const PAYOUTS = sql<[number, number], PayoutRow>(`${PAYOUT} WHERE number < ? ORDER BY number DESC LIMIT ?`);
const INSERT_PAYOUT = sql<[string, string, string, number, string, string, string], { number: number }>(
  `INSERT INTO settlement__payout (number, message_id, currency, execution_date, created_at, payer_name, payer_iban,
     payer_bic)
   SELECT coalesce(max(number), 0) + 1, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT),
     CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT)
   FROM settlement__payout RETURNING number`,
);
const LINES = wideSql<
  [number],
  Pick<PayoutLine, "merchantId" | "minor" | "endToEndId"> & BankAccount & { line: bigint }
>(
  `SELECT line, merchant_id AS merchantId, minor, end_to_end_id AS endToEndId, name, iban, bic
   FROM settlement__payout_line WHERE payout = ? ORDER BY line`,
);
const LINE_SUM = wideSql<[number], LineSum>(
  `SELECT count(*) AS payments, CAST(coalesce(sum(minor), 0) AS BIGINT) AS minor
   FROM settlement__payout_line WHERE payout = ?`,
);
const INSERT_LINE = wideSql<[number, number, string, bigint, string, string, string, string]>(
  `INSERT INTO settlement__payout_line (payout, line, merchant_id, minor, end_to_end_id, name, iban, bic)
   VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
);

const payoutIn = ({ name, iban, bic, ...row }: PayoutRow): Payout => ({ ...row, payer: { name, iban, bic } });

export const settlementStore = {
  ofBatch: async (reading: Reading, batch: number): Promise<readonly Settlement[]> =>
    (await reading.all(OF_BATCH, [batch])).map((row) => ({ ...row, batch: Number(row.batch) })),
  /** What the merchant owes from earlier batches: zero or below. */
  carriedMinor: async (reading: Reading, merchantId: string, currency: Currency): Promise<bigint> =>
    (await reading.get(LAST, [merchantId, currency]))?.carriedMinor ?? 0n,
  insert: async (within: Within, s: Settlement, at: number): Promise<void> =>
    void (await within.run(INSERT, [
      ...([s.batch, s.merchantId, s.currency, s.netMinor, s.feesMinor] as const),
      ...([s.carriedInMinor, s.payableMinor, s.carriedMinor, at] as const),
    ])),

  async payout(reading: Reading, messageId: string): Promise<Payout | undefined> {
    const row = await reading.get(GET_PAYOUT, [messageId]);
    return row && payoutIn(row);
  },
  /** Newest first. */
  payouts: async (reading: Reading, beforeNumber: number, limit: number): Promise<readonly Payout[]> =>
    (await reading.all(PAYOUTS, [beforeNumber, limit])).map(payoutIn),
  async insertPayout(within: Within, p: Omit<Payout, "number">): Promise<number> {
    const row = await within.get(INSERT_PAYOUT, [
      ...([p.messageId, p.currency, p.executionDate, p.createdAt] as const),
      ...([p.payer.name, p.payer.iban, p.payer.bic] as const),
    ]);
    return present(row, "the new payout").number;
  },
  lines: async (reading: Reading, payout: number): Promise<readonly PayoutLine[]> =>
    (await reading.all(LINES, [payout])).map(({ line, name, iban, bic, ...row }) => ({
      ...row,
      line: Number(line),
      creditor: { name, iban, bic },
    })),
  lineSum: async (reading: Reading, payout: number): Promise<LineSum> =>
    present(await reading.get(LINE_SUM, [payout]), "the sum of a payout's lines"),
  insertLine: async (within: Within, payout: number, l: PayoutLine): Promise<void> =>
    void (await within.run(INSERT_LINE, [
      ...([payout, l.line, l.merchantId, l.minor, l.endToEndId] as const),
      ...([l.creditor.name, l.creditor.iban, l.creditor.bic] as const),
    ])),
};
