/** The SQL of the store-and-forward queue, prepared once. */
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import { ENTRY_COLUMNS, type EntryRow } from "./entry-rows.ts";
import type { QueueState } from "./journal.ts";

/** A queue row with what its next step depends on. */
export interface StateRow {
  readonly sequence: number;
  readonly forward: number;
  readonly state: QueueState;
  readonly attempts: number;
  readonly held: number | null;
  readonly hash: Uint8Array;
  readonly payment_id: PaymentId;
  readonly kind: EntryBody["kind"];
  /** Of entries that hold against the lease: who paid is read out of it. */
  readonly heldText: string | null;
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
  readonly payment_id: PaymentId;
  readonly sealed: Uint8Array | null;
}

export interface OldestRow {
  readonly sequence: number;
  readonly text: string;
}

export interface OpenRow {
  readonly held: number | null;
  readonly heldText: string | null;
}

/** How a row is to be: the same for many rows, which are named by a JSON list of sequences. */
export type MoveParameters = [
  state: QueueState,
  attempts: number,
  reason: string | null,
  detail: string | null,
  sequences: string,
];

export interface OfAccount {
  readonly floor: number;
  readonly before: number;
  readonly payment: PaymentId;
  /** Card token or paying device. */
  readonly payer: string | null;
}

// CROSS JOIN fixes the order: where a state is looked for, the rows of states are fewer than those of entries.
const STATED = "FROM queue__state q CROSS JOIN journal__entry e ON e.sequence = q.sequence";
const QUEUED = "FROM journal__entry e LEFT JOIN queue__state q ON q.sequence = e.sequence";
const LISTED = "FROM json_each(?) j CROSS JOIN journal__entry e ON e.sequence = j.value";
const IS_QUEUED = "e.forward IS NOT NULL";
/** Has no row of state: eligible, and never sent. None lies below the floor. */
const UNTOUCHED = `${IS_QUEUED} AND NOT EXISTS (SELECT 1 FROM queue__state q WHERE q.sequence = e.sequence)`;
/** Open all the same, word for word as the index of these has it. */
const OPEN_ROW = "q.state IN ('eligible', 'forwarding')";
const STATE = "coalesce(q.state, 'eligible') AS state, coalesce(q.attempts, 0) AS attempts";
/** Asked when a person forces one entry: slow, and exact enough, as no other text of an entry is a payer's. */
const OF_ACCOUNT = "(e.payment_id = @payment OR instr(e.text, '\"' || @payer || '\"') > 0)";
const HELD = "e.held, CASE WHEN e.held IS NULL THEN NULL ELSE e.text END AS heldText";
const STEP = `SELECT e.sequence, e.forward, ${STATE}, ${HELD}, e.hash, e.payment_id, e.kind`;
const LIST = `SELECT e.sequence, e.forward, ${STATE}, q.reason, q.detail, e.text`;
const FORWARD = `SELECT ${ENTRY_COLUMNS}, e.payment_id, e.sealed`;

export type QueueStatements = ReturnType<typeof prepareQueue>;

/** Where a statement's first parameter is a floor, no untouched entry lies below it: the settled ones, which are many, are not read. */
export function prepareQueue(database: Sqlite) {
  return {
    ...stepStatements(database),
    ...listStatements(database),
    nextStated: database.prepare<[number, number], ForwardRow>(
      `${FORWARD} ${STATED} WHERE q.sequence >= ? AND ${OPEN_ROW} ORDER BY q.sequence LIMIT ?`,
    ),
    nextUntouched: database.prepare<[number, number], ForwardRow>(
      `${FORWARD} FROM journal__entry e WHERE e.sequence >= ? AND ${UNTOUCHED} ORDER BY e.sequence LIMIT ?`,
    ),
    statedOfAccount: database.prepare<[OfAccount], OldestRow>(
      `SELECT e.sequence, e.text ${STATED} WHERE ${OPEN_ROW} AND q.sequence < @before AND ${OF_ACCOUNT}
       ORDER BY q.sequence LIMIT 1`,
    ),
    untouchedOfAccount: database.prepare<[OfAccount], OldestRow>(
      `SELECT e.sequence, e.text FROM journal__entry e
       WHERE e.sequence >= @floor AND e.sequence < @before AND ${UNTOUCHED} AND ${OF_ACCOUNT} ORDER BY e.sequence LIMIT 1`,
    ),
    oldestStated: database.prepare<[], OldestRow>(
      `SELECT e.sequence, e.text ${STATED} WHERE ${OPEN_ROW} ORDER BY q.sequence LIMIT 1`,
    ),
    oldestUntouched: database.prepare<[number], OldestRow>(
      `SELECT e.sequence, e.text FROM journal__entry e WHERE e.sequence >= ? AND ${UNTOUCHED} ORDER BY e.sequence LIMIT 1`,
    ),
    oldestStatedHeld: database.prepare<[], OldestRow>(
      `SELECT e.sequence, e.text ${STATED} WHERE ${OPEN_ROW} AND e.held IS NOT NULL ORDER BY q.sequence LIMIT 1`,
    ),
    oldestUntouchedHeld: database.prepare<[number], OldestRow>(
      `SELECT e.sequence, e.text FROM journal__entry e
       WHERE e.sequence >= ? AND ${UNTOUCHED} AND e.held IS NOT NULL ORDER BY e.sequence LIMIT 1`,
    ),
    openStated: database.prepare<[], OpenRow>(`SELECT ${HELD} ${STATED} WHERE ${OPEN_ROW}`),
    openUntouched: database.prepare<[number], OpenRow>(
      `SELECT ${HELD} FROM journal__entry e WHERE e.sequence >= ? AND ${UNTOUCHED}`,
    ),
  };
}

function stepStatements(database: Sqlite) {
  return {
    /** In the order of the list. */
    rows: database.prepare<[string], StateRow>(
      `${STEP} ${LISTED} LEFT JOIN queue__state q ON q.sequence = e.sequence WHERE ${IS_QUEUED}`,
    ),
    /** What the void with this sequence was to take back. */
    voidedBy: database.prepare<[number], StateRow>(
      `${STEP} FROM journal__entry v CROSS JOIN journal__entry e ON e.sequence = json_extract(v.text, '$.voidedSequence')
       LEFT JOIN queue__state q ON q.sequence = e.sequence
       WHERE v.sequence = ? AND e.payment_id = v.payment_id AND ${IS_QUEUED}`,
    ),
    rowsFrom: database.prepare<[number, number], StateRow>(
      `${STEP} ${QUEUED} WHERE e.sequence >= ? AND ${IS_QUEUED} ORDER BY e.sequence LIMIT ?`,
    ),
    firstQueuedFrom: database.prepare<[number], { readonly sequence: number; readonly forward: number }>(
      `SELECT e.sequence, e.forward FROM journal__entry e WHERE e.sequence >= ? AND ${IS_QUEUED} ORDER BY e.sequence LIMIT 1`,
    ),
    /** Entries up to it are in an archive, and their rows on their way out. */
    archivedThrough: database.prepare<[], number>("SELECT coalesce(max(last), 0) FROM journal__archive").pluck(),
    newest: database.prepare<[], { readonly sequence: number }>(
      "SELECT sequence FROM journal__entry ORDER BY sequence DESC LIMIT 1",
    ),
    move: database.prepare<MoveParameters>(
      `INSERT INTO queue__state (state, attempts, reason, detail, sequence)
       SELECT ?, ?, ?, ?, value FROM json_each(?) WHERE true
       ON CONFLICT (sequence) DO UPDATE
       SET state = excluded.state, attempts = excluded.attempts, reason = excluded.reason, detail = excluded.detail`,
    ),
    overwrite: database.prepare<[string]>(
      `UPDATE journal__entry SET sealed = zeroblob(length(sealed))
       WHERE sequence IN (SELECT value FROM json_each(?)) AND sealed IS NOT NULL`,
    ),
  };
}

function listStatements(database: Sqlite) {
  return {
    one: database.prepare<[number], ListRow>(`${LIST} ${QUEUED} WHERE e.sequence = ? AND ${IS_QUEUED}`),
    newestAny: database.prepare<[number], ListRow>(
      `${LIST} ${QUEUED} WHERE ${IS_QUEUED} ORDER BY e.sequence DESC LIMIT ?`,
    ),
    // Written out, so that SQLite sees that the index of these alone will do: they are few, and asked for all the time.
    newestQuarantined: database.prepare<[number], ListRow>(
      `${LIST} ${STATED} WHERE q.state = 'quarantined' ORDER BY q.sequence DESC LIMIT ?`,
    ),
    newestOpen: database.prepare<[QueueState, number], ListRow>(
      `${LIST} ${STATED} WHERE ${OPEN_ROW} AND q.state = ? ORDER BY q.sequence DESC LIMIT ?`,
    ),
    newestIn: database.prepare<[QueueState, number], ListRow>(
      `${LIST} ${STATED} WHERE q.state = ? ORDER BY q.sequence DESC LIMIT ?`,
    ),
    newestUntouched: database.prepare<[number, number], ListRow>(
      `${LIST} ${QUEUED} WHERE e.sequence >= ? AND ${IS_QUEUED} AND q.state IS NULL ORDER BY e.sequence DESC LIMIT ?`,
    ),
    ofPayment: database.prepare<[PaymentId], ListRow>(
      `${LIST} ${QUEUED} WHERE e.payment_id = ? AND ${IS_QUEUED} ORDER BY e.sequence DESC`,
    ),
  };
}
