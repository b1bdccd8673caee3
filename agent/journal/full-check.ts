/** Checks every entry, numbering, index and checkpoint of a journal file, a few rows at a time so that others can run in between. */
import { reasonOf } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import { type Anchor, type ChainError, type ChainOwner, type ChainRow, ChainWalk, chainColumns } from "./chain.ts";
import { type CheckpointRow, isError, readCheckpoint } from "./checkpoint.ts";

export interface FullCheckOptions extends ChainOwner {
  readonly database: Sqlite;
  /** Where the chain of this file begins. */
  readonly from: Anchor;
  /** The newest entry that must be there. */
  readonly upTo: number;
  /** The key that signed the checkpoints; each one's own where it is not known. */
  readonly publicKey?: string;
  /** The file is of the first release: no column `held`, and no checkpoints. */
  readonly withoutHeld?: true;
  readonly checkpoints: readonly CheckpointRow[];
}

export class FullCheck {
  readonly #options: FullCheckOptions;
  readonly #walk: ChainWalk;
  readonly #rows;
  readonly #indexed;
  readonly #wrongState;
  readonly #checkpoints: Map<number, CheckpointRow>;

  constructor(options: FullCheckOptions) {
    const { database, terminalId, epoch, from, withoutHeld } = options;
    this.#options = options;
    const owner = { terminalId, epoch };
    this.#walk = new ChainWalk(owner, { before: from, ...(withoutHeld && { withoutHeld }) });
    const columns = chainColumns(withoutHeld ? "NULL" : "e.held");
    this.#rows = database
      .prepare<[number, number, number], ChainRow>(
        `SELECT ${columns} FROM journal__entry e WHERE e.sequence > ? AND e.sequence <= ? ORDER BY e.sequence LIMIT ?`,
      )
      .raw();
    // By this index a payment's entries are found: an entry that it misses could be paid again.
    this.#indexed = database
      .prepare<[PaymentId, number], number>(
        "SELECT 1 FROM journal__entry INDEXED BY journal__entry_payment WHERE payment_id = ? AND sequence = ?",
      )
      .pluck();
    this.#wrongState = withoutHeld ? undefined : prepareWrongState(database);
    this.#checkpoints = new Map(options.checkpoints.map((row) => [row.sequence, row]));
  }

  /** Entries that hold so far. */
  get entries(): number {
    return this.#walk.entries;
  }

  get last(): Anchor {
    return this.#walk.last ?? this.#options.from;
  }

  /** Checks the next `count` rows: `done`, `more`, or the first thing that is wrong. */
  step(count: number): "done" | "more" | ChainError {
    const next = this.last.sequence + 1;
    try {
      const rows = this.#rows.all(this.last.sequence, this.#options.upTo, count);
      for (const row of rows) {
        const error = this.#walk.take(row) ?? this.#misplaced(row);
        if (error) return error;
      }
      const last = rows.at(-1)?.[0];
      const wrong = last === undefined ? undefined : this.#wrongState?.get(next, last);
      if (wrong !== undefined) return { sequence: wrong, why: "waits for the hub in no state that there is" };
      if (rows.length === count) return "more";
    } catch (error) {
      return { sequence: next, why: `or one near it cannot be read: ${reasonOf(error)}` };
    }
    const { upTo } = this.#options;
    if (this.last.sequence === upTo) return "done";
    return { sequence: this.last.sequence + 1, why: `is missing, the newest is ${upTo}` };
  }

  /** Everything at once. */
  run(): ChainError | undefined {
    for (;;) {
      const outcome = this.step(ROWS_AT_ONCE);
      if (outcome === "done") return undefined;
      if (outcome !== "more") return outcome;
    }
  }

  #misplaced(row: ChainRow): ChainError | undefined {
    const sequence = row[0];
    if (this.#indexed.get(row[2] as PaymentId, sequence) !== 1) {
      return { sequence, why: "is not found under its payment: the file's index is damaged" };
    }
    const stored = this.#checkpoints.get(sequence);
    if (!stored) return undefined;
    const { terminalId, epoch, publicKey } = this.#options;
    const read = readCheckpoint(stored, { terminalId, epoch, kind: "head", ...(publicKey && { publicKey }) });
    if (isError(read)) return read;
    return read.hash === row[5] ? undefined : { sequence, why: "is not the one that its checkpoint signed" };
  }
}

/**
 * A state that is none would hide its entry from the queue, and one that belongs to no queued entry may have been another's.
 * Of the first release's file there is no such table.
 */
function prepareWrongState(database: Sqlite) {
  return database
    .prepare<[number, number], number>(
      `SELECT q.sequence FROM queue__state q WHERE q.sequence BETWEEN ? AND ?
         AND (q.state NOT IN ('eligible', 'forwarding', 'processed', 'declined', 'expired', 'quarantined', 'voided')
           OR q.attempts < 0
           OR NOT EXISTS (SELECT 1 FROM journal__entry e WHERE e.sequence = q.sequence AND e.forward IS NOT NULL))
       ORDER BY q.sequence LIMIT 1`,
    )
    .pluck();
}

/** As many as make the cost of a query small. */
const ROWS_AT_ONCE = 500;
