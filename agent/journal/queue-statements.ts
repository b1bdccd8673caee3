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

// CROSS JOIN fixes the order: SQLite would otherwise walk the entries, which are many, to find the few that are queued.
const JOINED = "FROM queue__entry q CROSS JOIN journal__entry e ON e.sequence = q.sequence";
const LIST = "SELECT q.sequence, q.forward, q.state, q.attempts, q.reason, q.detail, e.text";
const LISTED = `${LIST} ${JOINED}`;
const OPEN = "state IN ('eligible', 'forwarding')";

export type QueueStatements = ReturnType<typeof prepareQueue>;

export function prepareQueue(database: Sqlite) {
  return {
    insert: database.prepare("INSERT INTO queue__entry VALUES (?, ?, 'eligible', 0, ?, NULL, NULL)"),
    insertSealed: database.prepare("INSERT INTO journal__sealed VALUES (?, ?)"),
    find: database.prepare<[number], StateRow>(
      `SELECT q.sequence, q.state, q.attempts, q.held, e.hash, e.payment_id ${JOINED} WHERE q.sequence = ?`,
    ),
    move: database.prepare(
      "UPDATE queue__entry SET state = ?, attempts = ?, reason = ?, detail = ? WHERE sequence = ?",
    ),
    overwrite: database.prepare("UPDATE journal__sealed SET sealed = zeroblob(length(sealed)) WHERE sequence = ?"),
    removeSealed: database.prepare("DELETE FROM journal__sealed"),
    anyOpen: database.prepare(`SELECT 1 FROM queue__entry WHERE ${OPEN} LIMIT 1`),
    one: database.prepare<[number], ListRow>(`${LISTED} WHERE q.sequence = ?`),
    newest: database.prepare<[number], ListRow>(`${LISTED} ORDER BY q.sequence DESC LIMIT ?`),
    newestIn: database.prepare<[QueueState, number], ListRow>(
      `${LISTED} WHERE q.state = ? ORDER BY q.sequence DESC LIMIT ?`,
    ),
    ofPayment: database.prepare<[PaymentId], ListRow>(
      `${LIST} FROM journal__entry e CROSS JOIN queue__entry q ON q.sequence = e.sequence
       WHERE e.payment_id = ? ORDER BY q.sequence DESC`,
    ),
    toForward: database.prepare<[QueueState, number], ForwardRow>(
      `SELECT ${ENTRY_COLUMNS}, s.sealed ${JOINED} LEFT JOIN journal__sealed s ON s.sequence = q.sequence
       WHERE q.state = ? ORDER BY q.sequence LIMIT ?`,
    ),
    oldest: database.prepare<[QueueState], OldestRow>(
      `SELECT q.sequence, e.text ${JOINED} WHERE q.state = ? ORDER BY q.sequence LIMIT 1`,
    ),
    oldestHeld: database.prepare<[QueueState], OldestRow>(
      `SELECT q.sequence, e.text ${JOINED} WHERE q.state = ? AND q.held IS NOT NULL ORDER BY q.sequence LIMIT 1`,
    ),
    totals: database
      .prepare<[], TotalsRow>(
        `SELECT count(*) AS depth, count(held) AS count, coalesce(sum(held), 0) AS minor FROM queue__entry WHERE ${OPEN}`,
      )
      .safeIntegers(),
  };
}
