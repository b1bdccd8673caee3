/** All SQL of chargebacks. */
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import type { Currency } from "../../../base/money.ts";
import { type Reading, type Within, wideSql } from "../../store/store.ts";
import type { ChargedBack } from "../authorisation/index.ts";

/** One chargeback, and whether a second presentment took it back. */
export interface Dispute {
  /** As the scheme or the issuer names the case. */
  readonly id: string;
  readonly terminalId: TerminalId;
  readonly paymentId: PaymentId;
  readonly merchantId: string;
  readonly reasonCode: string;
  readonly currency: Currency;
  readonly minor: bigint;
  /** Whose account got the rest; absent where nobody's was known. */
  readonly accountId?: string;
  /** The part that went to who had borne it. */
  readonly exposureMinor: bigint;
  readonly exposureParty?: string;
  readonly state: "charged-back" | "represented";
  readonly at: number;
  readonly representedAt?: number;
  /** What of the second presentment the customer's account could not pay. */
  readonly uncoveredMinor?: bigint;
}

interface Row extends Omit<Dispute, "accountId" | "exposureParty" | "at" | "representedAt" | "uncoveredMinor"> {
  readonly accountId: string | null;
  readonly exposureParty: string | null;
  readonly at: bigint;
  readonly representedAt: bigint | null;
  readonly uncoveredMinor: bigint | null;
}

const FROM = `SELECT id, terminal_id AS terminalId, payment_id AS paymentId, merchant_id AS merchantId,
  reason_code AS reasonCode, currency, minor, account_id AS accountId, exposure_minor AS exposureMinor,
  exposure_party AS exposureParty, state, at, represented_at AS representedAt, uncovered_minor AS uncoveredMinor
  FROM settlement__dispute`;
const GET = wideSql<[string], Row>(`${FROM} WHERE id = ?`);
const LIST = wideSql<[string, number], Row>(`${FROM} WHERE id > ? ORDER BY id LIMIT ?`);
const STANDING = wideSql<[string, string], { minor: bigint; exposureMinor: bigint }>(
  `SELECT CAST(coalesce(sum(minor), 0) AS BIGINT) AS minor,
     CAST(coalesce(sum(exposure_minor), 0) AS BIGINT) AS exposureMinor
   FROM settlement__dispute WHERE terminal_id = ? AND payment_id = ? AND state = 'charged-back'`,
);
const INSERT = wideSql(
  `INSERT INTO settlement__dispute (id, terminal_id, payment_id, merchant_id, reason_code, currency, minor, account_id,
     exposure_minor, exposure_party, state, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'charged-back', ?)`,
);
const REPRESENT = wideSql<[number, bigint, string]>(
  "UPDATE settlement__dispute SET state = 'represented', represented_at = ?, uncovered_minor = ? WHERE id = ?",
);

function disputeIn({ accountId, exposureParty, representedAt, uncoveredMinor, at, ...row }: Row): Dispute {
  return {
    ...row,
    at: Number(at),
    ...(accountId === null ? {} : { accountId }),
    ...(exposureParty === null ? {} : { exposureParty }),
    ...(representedAt === null ? {} : { representedAt: Number(representedAt) }),
    ...(uncoveredMinor === null ? {} : { uncoveredMinor }),
  };
}

export const disputeStore = {
  async dispute(reading: Reading, id: string): Promise<Dispute | undefined> {
    const row = await reading.get(GET, [id]);
    return row && disputeIn(row);
  },
  disputes: async (reading: Reading, page: { after: string; limit: number }): Promise<readonly Dispute[]> =>
    (await reading.all(LIST, [page.after, page.limit])).map(disputeIn),
  /** What of a payment is charged back now. */
  standing: async (reading: Reading, { terminalId, paymentId }: PaymentOf): Promise<ChargedBack> =>
    (await reading.get(STANDING, [terminalId, paymentId])) ?? { minor: 0n, exposureMinor: 0n },
  insert: async (within: Within, d: Dispute): Promise<void> =>
    void (await within.run(INSERT, [
      ...[d.id, d.terminalId, d.paymentId, d.merchantId, d.reasonCode, d.currency, d.minor, d.accountId ?? null],
      ...[d.exposureMinor, d.exposureParty ?? null, d.at],
    ])),
  represent: async (within: Within, id: string, how: { at: number; uncoveredMinor: bigint }): Promise<void> =>
    void (await within.run(REPRESENT, [how.at, how.uncoveredMinor, id])),
};

interface PaymentOf {
  readonly terminalId: string;
  readonly paymentId: string;
}
