/**
 * What must be certain before the first sale: the newest checkpoint is this terminal's, everything after it fits, and every
 * entry that the hub has not receipted is as it was written. The rest is left to the background.
 */
import { reasonOf } from "../../base/fault.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import {
  type Anchor,
  type ChainError,
  type ChainOwner,
  type ChainRow,
  ChainWalk,
  chainColumns,
  FROM_GENESIS,
} from "./chain.ts";
import {
  anchorOf,
  type Checkpoint,
  type CheckpointRow,
  isError,
  prepareCheckpoints,
  readCheckpoint,
} from "./checkpoint.ts";
import { FullCheck } from "./full-check.ts";
import { OpenPayments } from "./open-payments.ts";
import { checkUnsent } from "./unsent.ts";

/** How many of the newest entries are checked where no checkpoint was ever signed. */
const UNSIGNED_CHECK_ENTRIES = 10_000;
const ROWS_AT_ONCE = 500;

/** Names in the table of facts. */
export const FACT = {
  openPayments: "open-payments",
  queueFloor: "queue-floor",
  /** The entry that the background found to be bad: it is looked at first. */
  damaged: "damaged",
} as const;

export interface Opened {
  readonly head: Anchor;
  /** Where the chain of this file begins. */
  readonly cut: Anchor;
  readonly open: OpenPayments;
  readonly queueFloor: number;
  /** The sequence of the newest checkpoint or snapshot. */
  readonly checkpointAt: number;
  readonly checkpoints: readonly CheckpointRow[];
}

export interface OpeningOptions extends ChainOwner {
  readonly database: Sqlite;
  readonly facts: ReadonlyMap<string, string>;
  readonly publicKey?: string;
}

export function verifyOpening(options: OpeningOptions): Opened | ChainError {
  const { database, facts, terminalId, epoch } = options;
  const base = newestCheckpoint(options);
  if ("why" in base) return base;
  const { cut, checkpoint, newest, checkpoints } = base;
  const damaged = stillDamaged(options, cut, newest);
  if (damaged) return damaged;
  const open = new OpenPayments();
  const snapshot = open.restore(checkpoint ? checkpoint.open : facts.get(FACT.openPayments), cut.sequence);
  const known = Math.max(snapshot, cut.sequence);
  const before = checkpoint ? anchorOf(checkpoint) : startWithout(newest, { cut, known });
  const counted = Math.max(known, checkpoint?.sequence ?? 0);
  if (counted > newest) return { sequence: newest + 1, why: `is missing: ${counted} were written` };
  const walked = walkTail(options, { before, known, open });
  if ("why" in walked) return walked;
  const queueFloor = checkpoint?.queueFloor ?? Number(facts.get(FACT.queueFloor) ?? 1);
  const unsent = checkUnsent({ database, terminalId, epoch, floor: queueFloor, walkedFrom: before.sequence });
  if (unsent) return unsent;
  return { head: walked, cut, open, queueFloor, checkpointAt: counted, checkpoints };
}

interface Base {
  readonly cut: Anchor;
  readonly checkpoint: Checkpoint | undefined;
  readonly checkpoints: readonly CheckpointRow[];
  /** The newest sequence of the file. */
  readonly newest: number;
}

function newestCheckpoint({ database, terminalId, epoch, publicKey }: OpeningOptions): Base | ChainError {
  const sql = prepareCheckpoints(database);
  const expected = { terminalId, epoch, ...(publicKey !== undefined && { publicKey }) };
  const cutRow = sql.cut.get();
  const cut = cutRow && readCheckpoint(cutRow, { ...expected, kind: "cut" });
  if (cut && isError(cut)) return cut;
  const row = sql.newest.get();
  const checkpoint = row && readCheckpoint(row, { ...expected, kind: "head" });
  if (checkpoint && isError(checkpoint)) return checkpoint;
  const from = cut ? anchorOf(cut) : FROM_GENESIS;
  const newest = database.prepare<[], number | null>("SELECT max(sequence) FROM journal__entry").pluck().get();
  const useful = checkpoint && checkpoint.sequence >= from.sequence ? checkpoint : undefined;
  const checkpoints = sql.all.all().filter(({ sequence }) => sequence > from.sequence);
  return { cut: from, checkpoint: useful, checkpoints, newest: Math.max(newest ?? 0, from.sequence) };
}

/** A file of an earlier release, or of a terminal without a key: the newest entries, and all that the snapshot does not speak for. */
function startWithout(newest: number, { cut, known }: { cut: Anchor; known: number }): Anchor {
  const start = Math.min(newest - UNSIGNED_CHECK_ENTRIES, known);
  return start <= cut.sequence ? cut : { sequence: start, hash: "", forward: -1 };
}

interface Tail {
  readonly before: Anchor;
  /** `open` speaks for everything up to here. */
  readonly known: number;
  readonly open: OpenPayments;
}

/** Walks from `before` to the end; returns the newest entry. */
function walkTail(options: OpeningOptions, { before, known, open }: Tail): Anchor | ChainError {
  const { database, terminalId, epoch } = options;
  const rows = database
    .prepare<[number, number], ChainRow>(
      `SELECT ${chainColumns("e.held")} FROM journal__entry e WHERE e.sequence > ? ORDER BY e.sequence LIMIT ?`,
    )
    .raw();
  const anchored = before.hash !== "";
  const walk = new ChainWalk(
    { terminalId, epoch },
    {
      ...(anchored && { before }),
      onEntry: (body, sequence) => {
        if (sequence > known) open.apply(body);
      },
    },
  );
  for (let at = before.sequence; ; at = walk.last?.sequence ?? at) {
    const some = readRows(() => rows.all(at, ROWS_AT_ONCE), at + 1);
    if ("why" in some) return some;
    for (const row of some) {
      const error = walk.take(row);
      if (error) return error;
    }
    if (some.length < ROWS_AT_ONCE) break;
  }
  const last = walk.last ?? before;
  if (last.forward >= 0) return last;
  return { ...last, forward: newestForward(database) };
}

/** The rows, or the place near which SQLite cannot read its pages. */
function readRows(read: () => readonly ChainRow[], next: number): readonly ChainRow[] | ChainError {
  try {
    return read();
  } catch (error) {
    return { sequence: next, why: `or one near it cannot be read: ${reasonOf(error)}` };
  }
}

function newestForward(database: Sqlite): number {
  const sql = "SELECT forward FROM journal__entry WHERE forward IS NOT NULL ORDER BY sequence DESC LIMIT 1";
  return database.prepare<[], number>(sql).pluck().get() ?? 0;
}

/** What the background found once is looked at before anything else: between its finding and a mend nothing is sold. */
function stillDamaged(options: OpeningOptions, cut: Anchor, newest: number): ChainError | undefined {
  const { database, terminalId, epoch, facts } = options;
  const sequence = Number(facts.get(FACT.damaged) ?? 0);
  if (sequence <= cut.sequence) return undefined;
  const check = new FullCheck({
    ...{ database, terminalId, epoch, from: cut, upTo: newest },
    checkpoints: prepareCheckpoints(database).all.all(),
    ...(options.publicKey !== undefined && { publicKey: options.publicKey }),
  });
  return check.run();
}
