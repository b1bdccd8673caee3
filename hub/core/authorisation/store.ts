/** All SQL of authorisation. */
import { present } from "../../../base/assert.ts";
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import type { Currency } from "../../../base/money.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
import { createFreshPayments, type FreshPayments, type PaymentTables } from "./fresh-payments.ts";

export type Operation = "purchase" | "refund";
/** `confirmed` and `voided` are final (RM1). */
export type PaymentState = "open" | "confirmed" | "voided";
/**
 * approved: its hold is in the ledger. tombstone: reversed before it came. superseded: a newer attempt, or another's
 * confirmation, took its place.
 */
export type AttemptState =
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

export interface CardRecord {
  readonly token: string;
  readonly accountId: string;
  /** YYMM. */
  readonly expiry: string;
  readonly name?: string;
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

interface AttemptRow {
  readonly attempt: number;
  readonly state: AttemptState;
  readonly content: string | null;
  readonly answer: string | null;
  readonly at: number;
}

const contentOf = (row: PaymentRow): { content?: PaymentContent } => {
  if (row.operation === null || row.currency === null || row.minor === null) return {};
  return {
    content: {
      operation: row.operation,
      currency: row.currency,
      minor: row.minor,
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

const toAttempt = (row: AttemptRow): AttemptRecord => ({
  attempt: row.attempt,
  state: row.state,
  ...(row.content === null ? {} : { content: row.content }),
  ...(row.answer === null ? {} : { answer: row.answer }),
  at: row.at,
});

const FILTER = `(@terminalId IS NULL OR terminal_id = @terminalId) AND (@paymentId IS NULL OR payment_id = @paymentId)
  AND (@from IS NULL OR created_at >= @from) AND (@to IS NULL OR created_at < @to)`;

export type AuthorisationStore = ReturnType<typeof createAuthorisationStore>;

export function createAuthorisationStore(database: Sqlite) {
  const tables = paymentSql(database);
  const fresh = createFreshPayments(tables);
  return {
    ...fresh,
    ...listSql(database, fresh),
    ...refundSql(database, fresh),
    ...attemptSql(database, fresh),
    ...cardSql(database),
    ...counterSql(database, fresh),
  };
}

const paymentsOf =
  (database: Sqlite) =>
  <P extends unknown[]>(sql: string) =>
    database.prepare<P, PaymentRow>(sql).safeIntegers(true);

function paymentSql(database: Sqlite): PaymentTables {
  const prepare = paymentsOf(database);
  const byKey = prepare<[string, string]>(
    "SELECT * FROM authorisation__payment WHERE terminal_id = ? AND payment_id = ?",
  );
  const insert = prepare<[string, string, number]>(
    "INSERT INTO authorisation__payment (terminal_id, payment_id, state, created_at) VALUES (?, ?, 'open', ?) RETURNING *",
  );
  const insertWhole = database.prepare(
    `INSERT INTO authorisation__payment (number, terminal_id, payment_id, state, operation, currency, minor, account_id,
       original_number, mode, approval_code, masked_pan, business_date, exposure_minor, exposure_party, cryptogram, deferred,
       created_at, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const newest = database.prepare<[], number>("SELECT coalesce(max(number), 0) FROM authorisation__payment").pluck();
  const setContent = database.prepare(
    `UPDATE authorisation__payment SET operation = ?, currency = ?, minor = ?, account_id = ?, original_number = ?
     WHERE number = ?`,
  );
  const end = database.prepare(
    `UPDATE authorisation__payment SET state = ?, ended_at = ?, mode = ?, approval_code = ?, masked_pan = ?,
       business_date = ?, exposure_minor = ?, exposure_party = ? WHERE number = ? AND state = 'open'`,
  );
  const setCryptogram = database.prepare("UPDATE authorisation__payment SET cryptogram = ? WHERE number = ?");
  const setDeferred = database.prepare(
    `UPDATE authorisation__payment SET deferred = 1, mode = 'offline', masked_pan = ?, business_date = ? WHERE number = ?`,
  );
  return {
    payment(key) {
      const row = byKey.get(key.terminalId, key.paymentId);
      return row && toPayment(row);
    },
    insertPayment: (key, at) =>
      toPayment(present(insert.get(key.terminalId, key.paymentId, at), "the inserted payment")),
    insertWhole: (payment) => void insertWhole.run(...columnsOf(payment)),
    newestNumber: () => newest.get() ?? 0,
    setContent: (number, c) =>
      void setContent.run(c.operation, c.currency, c.minor, c.accountId ?? null, c.originalNumber ?? null, number),
    setCryptogram: (number, cryptogram) => void setCryptogram.run(cryptogram, number),
    setDeferred: (number, sale) => void setDeferred.run(sale.maskedPan ?? null, sale.businessDate ?? null, number),
    endPayment: (number, ended) =>
      void end.run(
        ended.state,
        ended.at,
        ended.mode ?? null,
        ended.approvalCode ?? null,
        ended.maskedPan ?? null,
        ended.businessDate ?? null,
        ended.exposureMinor ?? null,
        ended.exposureParty ?? null,
        number,
      ),
  };
}

const columnsOf = (p: PaymentRecord): readonly (string | number | bigint | null)[] => [
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
];

type Unsaved = Pick<FreshPayments, "isFresh" | "saveAll">;

function listSql(database: Sqlite, { saveAll }: Unsaved) {
  const prepare = paymentsOf(database);
  const byNumber = prepare<[number]>("SELECT * FROM authorisation__payment WHERE number = ?");
  const byId = prepare<[string]>("SELECT * FROM authorisation__payment WHERE payment_id = ? LIMIT 2");
  const list = prepare<[Record<string, unknown>]>(
    `SELECT * FROM authorisation__payment WHERE number > @afterNumber AND ${FILTER} ORDER BY number LIMIT @limit`,
  );
  return {
    paymentByNumber(number: number): PaymentRecord | undefined {
      saveAll();
      const row = byNumber.get(number);
      return row && toPayment(row);
    },
    /** At most two: enough to know whether an id alone names one payment. */
    paymentsById(paymentId: PaymentId): readonly PaymentRecord[] {
      saveAll();
      return byId.all(paymentId).map(toPayment);
    },
    payments(filter: PaymentFilter): readonly PaymentRecord[] {
      saveAll();
      return list
        .all({
          terminalId: filter.terminalId ?? null,
          paymentId: filter.paymentId ?? null,
          from: filter.from ?? null,
          to: filter.to ?? null,
          afterNumber: filter.afterNumber,
          limit: filter.limit,
        })
        .map(toPayment);
    },
  };
}

/** How much of a payment went back. */
function refundSql(database: Sqlite, { saveAll }: Unsaved) {
  const refunded = database
    .prepare<[number, number], bigint>(
      `SELECT coalesce(sum(minor), 0) FROM authorisation__payment AS payment
       WHERE original_number = ? AND number <> ? AND (state = 'confirmed' OR (state = 'open' AND EXISTS (
         SELECT 1 FROM authorisation__attempt WHERE payment_number = payment.number AND state = 'approved')))`,
    )
    .pluck()
    .safeIntegers(true);
  const madeGood = database
    .prepare<[number], bigint>(
      `SELECT coalesce(sum(exposure_minor), 0) FROM authorisation__payment
       WHERE original_number = ? AND state = 'confirmed'`,
    )
    .pluck()
    .safeIntegers(true);
  return {
    /** What other refunds of the original took or hold. */
    refundedMinor(originalNumber: number, except: number): bigint {
      saveAll();
      return refunded.get(originalNumber, except) ?? 0n;
    },
    /** What confirmed refunds of the original gave back to the exposure account that bore a part of it. */
    madeGoodMinor(originalNumber: number): bigint {
      saveAll();
      return madeGood.get(originalNumber) ?? 0n;
    },
  };
}

function attemptSql(database: Sqlite, { isFresh, saveAll }: Unsaved) {
  const all = database.prepare<[number], AttemptRow>(
    "SELECT * FROM authorisation__attempt WHERE payment_number = ? ORDER BY attempt",
  );
  const put = database.prepare(
    `INSERT INTO authorisation__attempt (payment_number, attempt, state, content, answer, at) VALUES (?, ?, ?, ?, ?, ?)`,
  );
  const move = database.prepare("UPDATE authorisation__attempt SET state = ? WHERE payment_number = ? AND attempt = ?");
  return {
    attempts: (number: number): readonly AttemptRecord[] => (isFresh(number) ? [] : all.all(number).map(toAttempt)),
    insertAttempt(number: number, a: AttemptRecord): void {
      saveAll();
      put.run(number, a.attempt, a.state, a.content ?? null, a.answer ?? null, a.at);
    },
    moveAttempt: (number: number, attempt: number, state: AttemptState) => void move.run(state, number, attempt),
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

function counterSql(database: Sqlite, { saveAll }: Unsaved) {
  const put = database.prepare(
    `INSERT INTO authorisation__transaction_counter (token, sequence_number, counter, payment_number)
     VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
  );
  const owner = database
    .prepare<[string, string, number], number>(
      `SELECT payment_number FROM authorisation__transaction_counter
       WHERE token = ? AND sequence_number = ? AND counter = ?`,
    )
    .pluck();
  return {
    /** False when another payment had this counter of this card before. In whatever order they come. */
    useCounter({ token, sequenceNumber, counter, paymentNumber }: UsedCounter): boolean {
      saveAll();
      put.run(token, sequenceNumber, counter, paymentNumber);
      return owner.get(token, sequenceNumber, counter) === paymentNumber;
    },
  };
}

function cardSql(database: Sqlite) {
  const columns = "token, account_id AS accountId, expiry, name";
  const byToken = database.prepare<[string], CardRecord & { name: string | null }>(
    `SELECT ${columns} FROM authorisation__card WHERE token = ?`,
  );
  const byAccount = database.prepare<[string], CardRecord & { name: string | null }>(
    `SELECT ${columns} FROM authorisation__card WHERE account_id = ?`,
  );
  const insert = database.prepare(
    "INSERT INTO authorisation__card (token, account_id, expiry, name, created_at) VALUES (?, ?, ?, ?, ?)",
  );
  const clean = (row: (CardRecord & { name: string | null }) | undefined): CardRecord | undefined => {
    if (!row) return undefined;
    const { name, ...rest } = row;
    return name === null ? rest : { ...rest, name };
  };
  return {
    card: (token: string) => clean(byToken.get(token)),
    cardOfAccount: (accountId: string) => clean(byAccount.get(accountId)),
    insertCard: (card: CardRecord, at: number) =>
      void insert.run(card.token, card.accountId, card.expiry, card.name ?? null, at),
  };
}
