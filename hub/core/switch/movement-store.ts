/** SQL of what issuers posted, one row for each movement that they answered; totals are the sums of these rows. */
import { type Currency, currencyOf } from "../../../base/money.ts";
import { type Reading, sql, type Within, wideSql } from "../../store/store.ts";
import type { PaymentKey } from "../authorisation/index.ts";
import type { Posting, ReconciliationTotals, Total } from "../issuers/index.ts";

export interface Movement extends PaymentKey, Posting {
  readonly attempt: number;
  /** Takes back what this attempt posted. */
  readonly back: boolean;
  readonly institutionId: string;
  readonly day: string;
}

/** What an attempt posted, and nobody took back. */
export type Standing = Posting & Pick<Movement, "attempt">;

type Put = [string, string, number, number, string, string, string, string, bigint];
const PUT = sql<Put>(
  `INSERT INTO switch__movement (terminal_id, payment_id, attempt, back, institution_id, day, currency, side, minor)
   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
);
const STANDING = wideSql<[string, string], { attempt: bigint; side: Posting["side"]; minor: bigint; currency: string }>(
  `SELECT attempt, side, minor, currency FROM switch__movement m WHERE terminal_id = ? AND payment_id = ? AND back = 0
     AND NOT EXISTS (SELECT 1 FROM switch__movement b WHERE b.terminal_id = m.terminal_id AND b.payment_id = m.payment_id
       AND b.attempt = m.attempt AND b.back = 1)
   ORDER BY attempt`,
);
const TOTALS = wideSql<[string, string, string], { side: Posting["side"]; back: bigint; count: bigint; minor: bigint }>(
  `SELECT side, back, count(*) AS count, CAST(sum(minor) AS BIGINT) AS minor FROM switch__movement
   WHERE institution_id = ? AND day = ? AND currency = ? GROUP BY side, back`,
);
const CURRENCIES = sql<[string, string, string], { currency: string }>(
  `SELECT DISTINCT currency FROM switch__movement WHERE institution_id = ? AND day = ?
   UNION SELECT DISTINCT currency FROM switch__reconciliation WHERE institution_id = ? ORDER BY currency`,
);

export const movementStore = {
  put: async (within: Within, m: Movement): Promise<void> =>
    void (await within.run(PUT, [
      ...([m.terminalId, m.paymentId, m.attempt, m.back ? 1 : 0] as const),
      ...([m.institutionId, m.day, m.currency, m.side, m.minor] as const),
    ])),
  async standing(reading: Reading, { terminalId, paymentId }: PaymentKey): Promise<readonly Standing[]> {
    const rows = await reading.all(STANDING, [terminalId, paymentId]);
    return rows.map(({ attempt, currency, ...row }) => ({
      ...row,
      attempt: Number(attempt),
      currency: currencyOf(currency),
    }));
  },
  async totals(
    reading: Reading,
    { institutionId, day, currency }: Pick<Movement, "institutionId" | "day" | "currency">,
  ): Promise<ReconciliationTotals> {
    const rows = await reading.all(TOTALS, [institutionId, day, currency]);
    const of = (side: Posting["side"], back: bigint): Total => {
      const row = rows.find((one) => one.side === side && one.back === back);
      return { count: Number(row?.count ?? 0n), minor: row?.minor ?? 0n };
    };
    return {
      debits: of("debit", 0n),
      debitReversals: of("debit", 1n),
      credits: of("credit", 0n),
      creditReversals: of("credit", 1n),
    };
  },
  /** Of that day's movements, and of those that this issuer was ever reconciled in: on his side one may have moved. */
  async currencies(reading: Reading, institutionId: string, day: string): Promise<readonly Currency[]> {
    const rows = await reading.all(CURRENCIES, [institutionId, day, institutionId]);
    return rows.map(({ currency }) => currencyOf(currency));
  },
};
