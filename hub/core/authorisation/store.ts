/** All SQL of authorisation. */
import { present } from "../../../base/assert.ts";
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import type { Currency } from "../../../base/money.ts";
import type { Operation } from "../../../wire/common.ts";
import { type Reading, sql, type Value, type Within, wideSql } from "../../store/store.ts";
import { attemptSql, attemptTables } from "./attempt-store.ts";
import { cardSql } from "./card-store.ts";
import { createFreshPayments, type FreshPayments, type PaymentTables } from "./fresh-payments.ts";

/** `confirmed` and `voided` are final (RM1). */
export type PaymentState = "open" | "confirmed" | "voided";
/**
 * asked: its issuer is being asked. approved: its hold is in the ledger. tombstone: reversed before it came. superseded: a newer attempt, or another's
 * confirmation, took its place.
 */
export type AttemptState =
  | "asked"
  | "approved"
  | "declined"
  | "posted"
  | "reversed"
  | "superseded"
  | "voided"
  | "expired"
  | "tombstone";

export interface PaymentKey {
  readonly terminalId: TerminalId;
  readonly paymentId: PaymentId;
}

/** What is known of a payment's content; nothing when only a reversal or void was heard of it. */
export interface PaymentContent {
  readonly operation: Operation;
  readonly currency: Currency;
  readonly minor: bigint;
  /** The part of a purchase that is given in cash. */
  readonly cashbackMinor?: bigint;
  readonly accountId?: string;
  readonly originalNumber?: number;
}

export interface PaymentOutcome {
  readonly mode?: "online" | "offline";
  readonly approvalCode?: string;
  readonly maskedPan?: string;
  readonly businessDate?: string;
  readonly exposureMinor?: bigint;
  readonly exposureParty?: string;
}

export interface PaymentRecord extends PaymentKey, PaymentOutcome {
  readonly number: number;
  readonly state: PaymentState;
  readonly content?: PaymentContent;
  /** Whether the card's cryptogram held; absent where this hub is not its issuer. */
  readonly cryptogram?: "held" | "failed";
  /** Sold at the merchant's risk, and asked for afterwards (RM9). */
  readonly deferred?: true;
  readonly createdAt: number;
  readonly endedAt?: number;
}

export interface AttemptRecord {
  readonly attempt: number;
  readonly state: AttemptState;
  /** JSON of what was asked, to recognise repeats; absent for a tombstone. */
  readonly content?: string;
  /** JSON of what was answered. */
  readonly answer?: string;
  readonly at: number;
}

/** One that was `asked` until now. */
export interface AnsweredAttempt {
  readonly attempt: number;
  readonly state: "approved" | "declined";
  readonly answer: string;
}

export interface PaymentFilter {
  readonly terminalId?: string | undefined;
  readonly paymentId?: string | undefined;
  /** Milliseconds since 1970, of when the hub first heard of it; `to` excluded. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly afterNumber: number;
  readonly limit: number;
}

interface PaymentRow {
  readonly number: bigint;
  readonly terminal_id: TerminalId;
  readonly payment_id: PaymentId;
  readonly state: PaymentState;
  readonly operation: Operation | null;
  readonly currency: Currency | null;
  readonly minor: bigint | null;
  readonly cashback_minor: bigint | null;
  readonly account_id: string | null;
  readonly original_number: bigint | null;
  readonly mode: "online" | "offline" | null;
  readonly approval_code: string | null;
  readonly masked_pan: string | null;
  readonly business_date: string | null;
  readonly exposure_minor: bigint | null;
  readonly exposure_party: string | null;
  readonly cryptogram: "held" | "failed" | null;
  readonly deferred: bigint | null;
  readonly created_at: bigint;
  readonly ended_at: bigint | null;
}

const contentOf = (row: PaymentRow): { content?: PaymentContent } => {
  if (row.operation === null || row.currency === null || row.minor === null) return {};
  return {
    content: {
      operation: row.operation,
      currency: row.currency,
      minor: row.minor,
      ...(row.cashback_minor === null ? {} : { cashbackMinor: row.cashback_minor }),
      ...(row.account_id === null ? {} : { accountId: row.account_id }),
      ...(row.original_number === null ? {} : { originalNumber: Number(row.original_number) }),
    },
  };
};

const toPayment = (row: PaymentRow): PaymentRecord => ({
  number: Number(row.number),
  terminalId: row.terminal_id,
  paymentId: row.payment_id,
  state: row.state,
  ...contentOf(row),
  ...(row.mode === null ? {} : { mode: row.mode }),
  ...(row.approval_code === null ? {} : { approvalCode: row.approval_code }),
  ...(row.masked_pan === null ? {} : { maskedPan: row.masked_pan }),
  ...(row.business_date === null ? {} : { businessDate: row.business_date }),
  ...(row.exposure_minor === null ? {} : { exposureMinor: row.exposure_minor }),
  ...(row.exposure_party === null ? {} : { exposureParty: row.exposure_party }),
  ...(row.cryptogram === null ? {} : { cryptogram: row.cryptogram }),
  ...(row.deferred === null ? {} : { deferred: true as const }),
  createdAt: Number(row.created_at),
  ...(row.ended_at === null ? {} : { endedAt: Number(row.ended_at) }),
});

export type AuthorisationStore = ReturnType<typeof createAuthorisationStore>;

export function createAuthorisationStore() {
  const fresh = createFreshPayments(paymentTables);
  return {
    ...fresh,
    ...listSql(fresh),
    ...followingSql(fresh),
    ...attemptSql(fresh),
    ...cardSql,
    ...counterSql(fresh),
  };
}

const BY_KEY = wideSql<[string, string], PaymentRow>(
  "SELECT * FROM authorisation__payment WHERE terminal_id = ? AND payment_id = ?",
);
/** Numbered as a batch numbers its own, which no sequence of the database knows of. */
const INSERT = wideSql<[string, string, number], PaymentRow>(
  `INSERT INTO authorisation__payment (number, terminal_id, payment_id, state, created_at)
   SELECT coalesce(max(number), 0) + 1, CAST(? AS TEXT), CAST(? AS TEXT), 'open', CAST(? AS BIGINT)
   FROM authorisation__payment RETURNING *`,
);
const INSERT_WHOLE = sql(
  `INSERT INTO authorisation__payment (number, terminal_id, payment_id, state, operation, currency, minor, account_id,
     original_number, mode, approval_code, masked_pan, business_date, exposure_minor, exposure_party, cryptogram, deferred,
     created_at, ended_at, cashback_minor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
);
const NEWEST = sql<[], { number: number }>("SELECT coalesce(max(number), 0) AS number FROM authorisation__payment");
const SET_CONTENT = sql<[string, string, bigint, bigint | null, string | null, number | null, number]>(
  `UPDATE authorisation__payment SET operation = ?, currency = ?, minor = ?, cashback_minor = ?, account_id = ?,
     original_number = ? WHERE number = ?`,
);
const END = sql(
  `UPDATE authorisation__payment SET state = ?, ended_at = ?, mode = coalesce(?, mode),
     approval_code = coalesce(?, approval_code), masked_pan = coalesce(?, masked_pan),
     business_date = coalesce(?, business_date), exposure_minor = ?, exposure_party = ?
   WHERE number = ? AND state = 'open'`,
);
const SET_HELD = sql<[string | null, string | null, string | null, number]>(
  `UPDATE authorisation__payment SET mode = 'online', approval_code = ?, masked_pan = ?, business_date = ? WHERE number = ?`,
);
const SET_CRYPTOGRAM = sql<[string, number]>("UPDATE authorisation__payment SET cryptogram = ? WHERE number = ?");
const SET_DEFERRED = sql<[string | null, string | null, number]>(
  `UPDATE authorisation__payment SET deferred = 1, mode = 'offline', masked_pan = ?, business_date = ? WHERE number = ?`,
);

const paymentTables: PaymentTables = {
  ...attemptTables,
  async payment(reading, key) {
    const row = await reading.get(BY_KEY, [key.terminalId, key.paymentId]);
    return row && toPayment(row);
  },
  async insertPayment(within, key, at) {
    const row = await within.get(INSERT, [key.terminalId, key.paymentId, at]);
    return toPayment(present(row, "the inserted payment"));
  },
  insertWhole: async (within, payment) => void (await within.run(INSERT_WHOLE, columnsOf(payment))),
  newestNumber: async (reading) => (await reading.get(NEWEST, []))?.number ?? 0,
  setContent: async (within, number, c) =>
    void (await within.run(SET_CONTENT, [
      c.operation,
      c.currency,
      c.minor,
      c.cashbackMinor ?? null,
      c.accountId ?? null,
      c.originalNumber ?? null,
      number,
    ])),
  setCryptogram: async (within, number, cryptogram) => void (await within.run(SET_CRYPTOGRAM, [cryptogram, number])),
  setDeferred: async (within, number, sale) =>
    void (await within.run(SET_DEFERRED, [sale.maskedPan ?? null, sale.businessDate ?? null, number])),
  setHeld: async (within, number, told) =>
    void (await within.run(SET_HELD, [
      told.approvalCode ?? null,
      told.maskedPan ?? null,
      told.businessDate ?? null,
      number,
    ])),
  endPayment: async (within, number, ended) =>
    void (await within.run(END, [
      ended.state,
      ended.at,
      ended.mode ?? null,
      ended.approvalCode ?? null,
      ended.maskedPan ?? null,
      ended.businessDate ?? null,
      ended.exposureMinor ?? null,
      ended.exposureParty ?? null,
      number,
    ])),
};

const columnsOf = (p: PaymentRecord): readonly Value[] => [
  p.number,
  p.terminalId,
  p.paymentId,
  p.state,
  p.content?.operation ?? null,
  p.content?.currency ?? null,
  p.content?.minor ?? null,
  p.content?.accountId ?? null,
  p.content?.originalNumber ?? null,
  p.mode ?? null,
  p.approvalCode ?? null,
  p.maskedPan ?? null,
  p.businessDate ?? null,
  p.exposureMinor ?? null,
  p.exposureParty ?? null,
  p.cryptogram ?? null,
  p.deferred === undefined ? null : 1,
  p.createdAt,
  p.endedAt ?? null,
  p.content?.cashbackMinor ?? null,
];

export type Unsaved = Pick<FreshPayments, "saveAll">;

const BY_NUMBER = wideSql<[number], PaymentRow>("SELECT * FROM authorisation__payment WHERE number = ?");
const BY_ID = wideSql<[string], PaymentRow>("SELECT * FROM authorisation__payment WHERE payment_id = ? LIMIT 2");
const OF_TERMINAL = sql<[string], { one: number }>(
  "SELECT 1 AS one FROM authorisation__payment WHERE terminal_id = ? LIMIT 1",
);

/** `lead` names rows by an index, which SQLite takes for no condition that may be none. A `+` keeps it from another. */
const listBy = (lead: string) =>
  wideSql<Record<string, Value>, PaymentRow>(
    `SELECT * FROM authorisation__payment WHERE ${lead} AND (CAST(@terminalId AS TEXT) IS NULL OR terminal_id = @terminalId)
       AND +created_at >= @from AND +created_at < @to ORDER BY number LIMIT @limit`,
  );
const LISTS = {
  payment: listBy("payment_id = @paymentId AND +number > @afterNumber"),
  terminal: listBy("terminal_id = @terminalId AND +number > @afterNumber"),
  time: listBy("created_at >= @from AND created_at < @to AND +number > @afterNumber"),
  number: listBy("number > @afterNumber"),
};
/** The first page finds its beginning by time; those after it know theirs. */
function listFor({ paymentId, terminalId, from, to, afterNumber }: PaymentFilter) {
  if (paymentId !== undefined) return LISTS.payment;
  if (terminalId !== undefined) return LISTS.terminal;
  return afterNumber === 0 && (from ?? to) !== undefined ? LISTS.time : LISTS.number;
}

function listSql({ saveAll }: Unsaved) {
  return {
    async paymentByNumber(reading: Reading, number: number): Promise<PaymentRecord | undefined> {
      await saveAll(reading);
      const row = await reading.get(BY_NUMBER, [number]);
      return row && toPayment(row);
    },
    /** At most two: enough to know whether an id alone names one payment. */
    async paymentsById(reading: Reading, paymentId: PaymentId): Promise<readonly PaymentRecord[]> {
      await saveAll(reading);
      return (await reading.all(BY_ID, [paymentId])).map(toPayment);
    },
    async hasPayment(reading: Reading, terminalId: string): Promise<boolean> {
      await saveAll(reading);
      return (await reading.get(OF_TERMINAL, [terminalId])) !== undefined;
    },
    async payments(reading: Reading, filter: PaymentFilter): Promise<readonly PaymentRecord[]> {
      await saveAll(reading);
      const rows = await reading.all(listFor(filter), {
        terminalId: filter.terminalId ?? null,
        paymentId: filter.paymentId ?? null,
        from: filter.from ?? 0,
        to: filter.to ?? Number.MAX_SAFE_INTEGER,
        afterNumber: filter.afterNumber,
        limit: filter.limit,
      });
      return rows.map(toPayment);
    },
  };
}

const MOVED = wideSql<[number, "refund" | "tip", number], { minor: bigint }>(
  `SELECT CAST(coalesce(sum(minor), 0) AS BIGINT) AS minor FROM authorisation__payment AS payment
   WHERE original_number = ? AND operation = ? AND number <> ? AND (state = 'confirmed' OR (state = 'open' AND EXISTS (
     SELECT 1 FROM authorisation__attempt WHERE payment_number = payment.number AND state IN ('asked', 'approved'))))`,
);
const MADE_GOOD = wideSql<[number], { minor: bigint }>(
  `SELECT CAST(coalesce(sum(exposure_minor), 0) AS BIGINT) AS minor FROM authorisation__payment
   WHERE original_number = ? AND operation = 'refund' AND state = 'confirmed'`,
);

/** How much of a payment went back, and how much came on top of it. */
function followingSql({ saveAll }: Unsaved) {
  return {
    /** What other refunds of the original took or hold. */
    async refundedMinor(reading: Reading, originalNumber: number, except: number): Promise<bigint> {
      await saveAll(reading);
      return (await reading.get(MOVED, [originalNumber, "refund", except]))?.minor ?? 0n;
    },
    /** What other tips on the original took or hold. */
    async tippedMinor(reading: Reading, originalNumber: number, except: number): Promise<bigint> {
      await saveAll(reading);
      return (await reading.get(MOVED, [originalNumber, "tip", except]))?.minor ?? 0n;
    },
    /** What confirmed refunds of the original gave back to the exposure account that bore a part of it. */
    async madeGoodMinor(reading: Reading, originalNumber: number): Promise<bigint> {
      await saveAll(reading);
      return (await reading.get(MADE_GOOD, [originalNumber]))?.minor ?? 0n;
    },
  };
}

/** One transaction of one card, named by what its cryptogram covers. */
export interface UsedCounter {
  readonly token: string;
  readonly sequenceNumber: string;
  /** Application Transaction Counter. */
  readonly counter: number;
  readonly paymentNumber: number;
}

const PUT_COUNTER = sql<[string, string, number, number]>(
  `INSERT INTO authorisation__transaction_counter (token, sequence_number, counter, payment_number)
   VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
);
const COUNTER_OWNER = sql<[string, string, number], { paymentNumber: number }>(
  `SELECT payment_number AS paymentNumber FROM authorisation__transaction_counter
   WHERE token = ? AND sequence_number = ? AND counter = ?`,
);

function counterSql({ saveAll }: Unsaved) {
  return {
    /** False when another payment had this counter of this card before. In whatever order they come. */
    async useCounter(within: Within, { token, sequenceNumber, counter, paymentNumber }: UsedCounter): Promise<boolean> {
      await saveAll(within);
      await within.run(PUT_COUNTER, [token, sequenceNumber, counter, paymentNumber]);
      const owner = await within.get(COUNTER_OWNER, [token, sequenceNumber, counter]);
      return owner?.paymentNumber === paymentNumber;
    },
  };
}
