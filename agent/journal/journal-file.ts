/** Opens `journal.db` for its one writer: takes the lock, knows whose it is, checks the newest part of its chain. */
import { toHex } from "../../base/bytes.ts";
import type { Clock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type Epoch, newEpoch, type PaymentId, type RandomBytes, type TerminalId } from "../../base/ids.ts";
import { openSqlite, type Sqlite, sqliteFault, transaction } from "../../base/sqlite.ts";
import { GENESIS_HASH } from "../../wire/journal-entry.ts";
import { FROM_GENESIS, walkChain } from "./chain.ts";
import { ENTRY_COLUMNS, ENTRY_INSERT, type EntryRow, readBody } from "./entry-rows.ts";
import { emptyLog } from "./erasure.ts";
import { OpenPayments } from "./open-payments.ts";
import { JOURNAL_MIGRATIONS } from "./schema.ts";

/** How many of the newest entries are checked at every opening; `verify` checks all. */
export const OPENING_CHECK_ENTRIES = 10_000;
/** The write-ahead log is folded into the file at this many pages of 4 KiB: each folding costs two more fsyncs. */
const LOG_PAGES_MAX = 4_000;
/** The name of the snapshot of open payments in the table of facts. */
export const OPEN_PAYMENTS = "open-payments";
/** The name of the sequence below which no entry waits for the hub. */
export const QUEUE_FLOOR = "queue-floor";

export interface JournalFile {
  readonly database: Sqlite;
  readonly sql: JournalStatements;
  readonly epoch: Epoch;
  readonly head: { readonly sequence: number; readonly forward: number; readonly hash: string };
  readonly facts: Map<string, string>;
  readonly open: OpenPayments;
  /** The sequence that the stored snapshot of open payments speaks for. */
  readonly snapshotAt: number;
}

type JournalStatements = ReturnType<typeof prepareJournal>;

function prepareJournal(database: Sqlite) {
  return {
    insert: database.prepare(ENTRY_INSERT),
    entriesOf: database.prepare<[PaymentId], EntryRow>(
      `SELECT ${ENTRY_COLUMNS} FROM journal__entry e WHERE e.payment_id = ? ORDER BY e.sequence`,
    ),
    entriesFrom: database.prepare<[number], EntryRow>(
      `SELECT ${ENTRY_COLUMNS} FROM journal__entry e WHERE e.sequence >= ? ORDER BY e.sequence`,
    ),
    newest: database.prepare<[], EntryRow>(
      `SELECT ${ENTRY_COLUMNS} FROM journal__entry e ORDER BY e.sequence DESC LIMIT 1`,
    ),
    newestForward: database.prepare<[], { readonly forward: number }>(
      "SELECT forward FROM journal__entry WHERE forward IS NOT NULL ORDER BY sequence DESC LIMIT 1",
    ),
    recentPayments: database.prepare<[number], { readonly payment_id: PaymentId }>(
      "SELECT payment_id FROM journal__entry WHERE kind = 'intent' ORDER BY sequence DESC LIMIT ?",
    ),
    meta: database.prepare<[], { readonly name: string; readonly value: string }>(
      "SELECT name, value FROM journal__meta",
    ),
    setMeta: database.prepare(
      "INSERT INTO journal__meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    ),
  };
}

export interface OpenFileOptions {
  readonly path: string;
  readonly terminalId: TerminalId;
  readonly clock: Clock;
  readonly random: RandomBytes;
}

export function openJournalFile(options: OpenFileOptions): JournalFile {
  const database = openSqlite(options.path, { migrations: JOURNAL_MIGRATIONS });
  try {
    // With the lock held for good, a second agent is refused at its start and not in the middle of its first sale.
    database.pragma("locking_mode = EXCLUSIVE");
    database.pragma(`wal_autocheckpoint = ${LOG_PAGES_MAX}`);
    const sql = prepareJournal(database);
    const facts = transaction(database, () => identify(sql, options));
    const epoch = facts.get("epoch") as Epoch;
    const head = readHead(sql);
    checkTail(sql, { path: options.path, terminalId: options.terminalId, epoch, head: head.sequence });
    const open = new OpenPayments();
    const snapshotAt = open.restore(facts.get(OPEN_PAYMENTS));
    if (snapshotAt > head.sequence) {
      const why = `the newest entry is ${head.sequence}, but ${snapshotAt} were written`;
      throw new Fault("journal.corrupt", `${options.path}: ${why}; keep the file for recovery`);
    }
    for (const row of sql.entriesFrom.iterate(snapshotAt + 1)) open.apply(readBody(row));
    // A crash may have come between an erasure and the checkpoint that makes it so (RM5).
    emptyLog(database);
    return { database, sql, epoch, head, facts, open, snapshotAt };
  } catch (error) {
    database.close();
    throw sqliteFault(error, options.path);
  }
}

/** Reads whose file this is, or makes it this terminal's. */
function identify(sql: JournalStatements, options: OpenFileOptions): Map<string, string> {
  const facts = new Map(sql.meta.all().map(({ name, value }) => [name, value]));
  const owner = facts.get("terminal-id");
  if (owner !== undefined && owner !== options.terminalId) {
    const why = `${options.path} is the journal of terminal "${owner}", not of "${options.terminalId}"`;
    throw new Fault("journal.corrupt", `${why}; give this terminal a folder of its own`);
  }
  if (owner === undefined) {
    const made = {
      "terminal-id": options.terminalId,
      epoch: newEpoch(options.random),
      created: new Date(options.clock.now()).toISOString(),
    };
    for (const [name, value] of Object.entries(made)) {
      sql.setMeta.run(name, value);
      facts.set(name, value);
    }
  }
  return facts;
}

function readHead(sql: JournalStatements): JournalFile["head"] {
  const newest = sql.newest.get();
  return {
    sequence: newest?.sequence ?? 0,
    forward: sql.newestForward.get()?.forward ?? 0,
    hash: newest ? toHex(newest.hash) : GENESIS_HASH,
  };
}

function checkTail(
  sql: JournalStatements,
  file: { path: string; terminalId: string; epoch: string; head: number },
): void {
  const first = Math.max(file.head - OPENING_CHECK_ENTRIES + 1, 1);
  const { terminalId, epoch } = file;
  const start = first === 1 ? { terminalId, epoch, before: FROM_GENESIS } : { terminalId, epoch };
  const walked = walkChain(sql.entriesFrom.iterate(first), start);
  if (walked.ok) return;
  const { sequence, why } = walked.error;
  throw new Fault("journal.corrupt", `${file.path}: entry ${sequence} ${why}; keep the file for recovery`, {
    details: { sequence },
  });
}
