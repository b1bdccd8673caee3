/** The SQL of the store-and-forward queue, prepared once. */
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import { ENTRY_COLUMNS, type EntryRow } from "./entry-rows.ts";
import type { QueueState } from "./journal.ts";

/** A queue row with what its next step depends on. */
export interface StateRow {
  readonly sequence: number;
  readonly state: QueueState;
  readonly attempts: number;
  readonly held: number | null;
  readonly hash: Uint8Array;
  readonly payment_id: PaymentId;
}

export interface ListRow {
  readonly sequence: number;
  readonly forward: number;
  readonly state: QueueState;
  readonly attempts: number;
  readonly reason: string | null;
  readonly detail: string | null;
  readonly text: string;
}

export interface ForwardRow extends EntryRow {
  readonly sealed: Uint8Array | null;
}

export interface OldestRow {
  readonly sequence: number;
  readonly text: string;
}

export interface TotalsRow {
  readonly depth: bigint;
  readonly count: bigint;
  readonly minor: bigint;
}

// CROSS JOIN fixes the order: where a state is looked for, the rows of states are fewer than those of entries.
const STATED = "FROM queue__state q CROSS JOIN journal__entry e ON e.sequence = q.sequence";
const QUEUED = "FROM journal__entry e LEFT JOIN queue__state q ON q.sequence = e.sequence";
const IS_QUEUED = "e.forward IS NOT NULL";
const UNTOUCHED = "NOT EXISTS (SELECT 1 FROM queue__state q WHERE q.sequence = e.sequence)";
const IS_OPEN = "(q.state IS NULL OR q.state = 'forwarding')";
const STATE = "coalesce(q.state, 'eligible') AS state, coalesce(q.attempts, 0) AS attempts";
const LIST = `SELECT e.sequence, e.forward, ${STATE}, q.reason, q.detail, e.text`;
const FORWARD = `SELECT ${ENTRY_COLUMNS}, e.sealed`;
const OLDEST = `SELECT e.sequence, e.text ${QUEUED} WHERE e.sequence >= ? AND ${IS_QUEUED} AND ${IS_OPEN}`;

export type QueueStatements = ReturnType<typeof prepareQueue>;

/** Where a statement's first parameter is a floor, no open entry lies below it: the settled ones, which are many, are not read. */
export function prepareQueue(database: Sqlite) {
  return {
    find: database.prepare<[number], StateRow>(
      `SELECT e.sequence, ${STATE}, e.held, e.hash, e.payment_id ${QUEUED} WHERE e.sequence = ? AND ${IS_QUEUED}`,
    ),
    move: database.prepare(
      `INSERT INTO queue__state (sequence, state, attempts, reason, detail) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (sequence) DO UPDATE
       SET state = excluded.state, attempts = excluded.attempts, reason = excluded.reason, detail = excluded.detail`,
    ),
    overwrite: database.prepare("UPDATE journal__entry SET sealed = zeroblob(length(sealed)) WHERE sequence = ?"),
    one: database.prepare<[number], ListRow>(`${LIST} ${QUEUED} WHERE e.sequence = ? AND ${IS_QUEUED}`),
    newest: database.prepare<[number], ListRow>(
      `${LIST} ${QUEUED} WHERE ${IS_QUEUED} ORDER BY e.sequence DESC LIMIT ?`,
    ),
    // Written out, so that SQLite sees that the index of these alone will do: they are few, and asked for all the time.
    newestQuarantined: database.prepare<[number], ListRow>(
      `${LIST} ${STATED} WHERE q.state = 'quarantined' ORDER BY q.sequence DESC LIMIT ?`,
    ),
    newestIn: database.prepare<[QueueState, number], ListRow>(
      `${LIST} ${STATED} WHERE q.state = ? ORDER BY q.sequence DESC LIMIT ?`,
    ),
    newestEligible: database.prepare<[number, number], ListRow>(
      `${LIST} ${QUEUED} WHERE e.sequence >= ? AND ${IS_QUEUED} AND q.state IS NULL ORDER BY e.sequence DESC LIMIT ?`,
    ),
    ofPayment: database.prepare<[PaymentId], ListRow>(
      `${LIST} ${QUEUED} WHERE e.payment_id = ? AND ${IS_QUEUED} ORDER BY e.sequence DESC`,
    ),
    forwarding: database.prepare<[number, number], ForwardRow>(
      `${FORWARD} ${STATED} WHERE q.sequence >= ? AND q.state = 'forwarding' ORDER BY q.sequence LIMIT ?`,
    ),
    eligible: database.prepare<[number, number], ForwardRow>(
      `${FORWARD} FROM journal__entry e WHERE e.sequence >= ? AND ${IS_QUEUED} AND ${UNTOUCHED} ORDER BY e.sequence LIMIT ?`,
    ),
    oldest: database.prepare<[number], OldestRow>(`${OLDEST} ORDER BY e.sequence LIMIT 1`),
    oldestHeld: database.prepare<[number], OldestRow>(`${OLDEST} AND e.held IS NOT NULL ORDER BY e.sequence LIMIT 1`),
    totals: database
      .prepare<[number], TotalsRow>(
        `SELECT count(*) AS depth, count(e.held) AS count, coalesce(sum(e.held), 0) AS minor
         ${QUEUED} WHERE e.sequence >= ? AND ${IS_QUEUED} AND ${IS_OPEN}`,
      )
      .safeIntegers(),
  };
}
