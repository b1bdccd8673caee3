/** All SQL of chargebacks. */
import { present } from "../../../base/assert.ts";
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import type { Currency } from "../../../base/money.ts";
import { type Reading, type Within, wideSql } from "../../store/store.ts";

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
  /** Whose exposure all of the payment's is; absent where it has none. */
  readonly exposureParty?: string;
  readonly state: "charged-back" | "represented";
  readonly at: number;
  readonly representedAt?: number;
  /** What of the second presentment the customer's account could not pay. */
  readonly uncoveredMinor?: bigint;
}

/** `standing`: charged back, and not presented again. */
export interface DisputeSums {
  readonly standingMinor: bigint;
  readonly standingExposureMinor: bigint;
  readonly uncoveredMinor: bigint;
  /** Null where no dispute names one. */
  readonly exposureParty: string | null;
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
const SUMS = wideSql<[string, string], DisputeSums>(
  `SELECT CAST(coalesce(sum(CASE state WHEN 'charged-back' THEN minor END), 0) AS BIGINT) AS standingMinor,
     CAST(coalesce(sum(CASE state WHEN 'charged-back' THEN exposure_minor END), 0) AS BIGINT) AS standingExposureMinor,
     CAST(coalesce(sum(uncovered_minor), 0) AS BIGINT) AS uncoveredMinor, max(exposure_party) AS exposureParty
   FROM settlement__dispute WHERE terminal_id = ? AND payment_id = ?`,
);
const INSERT = wideSql(
  `INSERT INTO settlement__dispute (id, terminal_id, payment_id, merchant_id, reason_code, currency, minor, account_id,
     exposure_minor, exposure_party, state, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'charged-back', ?)`,
);
const REPRESENT = wideSql<[number, bigint, string, string]>(
  `UPDATE settlement__dispute SET state = 'represented', represented_at = ?, uncovered_minor = ?, exposure_party = ?
   WHERE id = ?`,
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
  /** Over all disputes of a payment. */
  sums: async (reading: Reading, { terminalId, paymentId }: PaymentOf): Promise<DisputeSums> =>
    present(await reading.get(SUMS, [terminalId, paymentId]), "the sums of a payment's disputes"),
  insert: async (within: Within, d: Dispute): Promise<void> =>
    void (await within.run(INSERT, [
      ...[d.id, d.terminalId, d.paymentId, d.merchantId, d.reasonCode, d.currency, d.minor, d.accountId ?? null],
      ...[d.exposureMinor, d.exposureParty ?? null, d.at],
    ])),
  represent: async (within: Within, id: string, how: Represented): Promise<void> =>
    void (await within.run(REPRESENT, [how.at, how.uncoveredMinor, how.exposureParty, id])),
};

interface Represented {
  readonly at: number;
  readonly uncoveredMinor: bigint;
  readonly exposureParty: string;
}

interface PaymentOf {
  readonly terminalId: string;
  readonly paymentId: string;
}
