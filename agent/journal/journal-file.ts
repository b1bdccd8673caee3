/** Opens `journal.db` for its one writer: takes the lock, knows whose it is, checks the newest part of its chain. */
import type { KeyObject } from "node:crypto";
import { statSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type Epoch, newEpoch, type PaymentId, type RandomBytes, type TerminalId } from "../../base/ids.ts";
import { openSqlite, type Sqlite, sqliteErrorCode, sqliteFault, transaction } from "../../base/sqlite.ts";
import { signerOf } from "./checkpoint.ts";
import { corruptFault, MEND } from "./corrupt.ts";
import { ENTRY_COLUMNS, ENTRY_INSERT, type EntryRow } from "./entry-rows.ts";
import { noteEpoch, refuseLost } from "./epoch-note.ts";
import { emptyLog } from "./erasure.ts";
import { QueueStore } from "./queue-store.ts";
import { JOURNAL_MIGRATIONS } from "./schema.ts";
import { FACT, type Opened, verifyOpening } from "./verify-opening.ts";

/** The write-ahead log is folded into the file at this many pages of 4 KiB: each folding costs two more fsyncs. */
const LOG_PAGES_MAX = 4_000;
/** The least that a SQLite file can be. */
const PAGE_BYTES_MIN = 512;
/** The name of the count of openings. */
export const FENCE = "fence";

export interface JournalFile extends Opened {
  readonly database: Sqlite;
  readonly sql: JournalStatements;
  readonly epoch: Epoch;
  /** The number of this opening. */
  readonly fence: number;
  readonly facts: Map<string, string>;
  readonly queue: QueueStore;
}

type JournalStatements = ReturnType<typeof prepareJournal>;

function prepareJournal(database: Sqlite) {
  return {
    insert: database.prepare(ENTRY_INSERT),
    entriesOf: database.prepare<[PaymentId, number], EntryRow>(
      `SELECT ${ENTRY_COLUMNS} FROM journal__entry e WHERE e.payment_id = ? AND e.sequence > ? ORDER BY e.sequence`,
    ),
    knows: database
      .prepare<[{ readonly paymentId: PaymentId; readonly cut: number }], number>(
        `SELECT EXISTS (SELECT 1 FROM journal__entry WHERE payment_id = @paymentId AND sequence > @cut)
            OR EXISTS (SELECT 1 FROM journal__archived WHERE payment_id = @paymentId)`,
      )
      .pluck(),
    // By its index, whatever SQLite makes of the file: a customer waits for it.
    lastNoteOf: database.prepare<[string], EntryRow>(
      `SELECT ${ENTRY_COLUMNS} FROM journal__entry e INDEXED BY journal__entry_note
       WHERE kind = 'decision' AND instr(text, '"note":{') > 0 AND json_extract(text, '$.note.allowanceId') = ?
       ORDER BY json_extract(text, '$.note.counter') DESC LIMIT 1`,
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
  readonly signingKey?: KeyObject;
}

export function openJournalFile(options: OpenFileOptions): JournalFile {
  const { path, terminalId } = options;
  refuseRemnant(path);
  const database = openTables(path);
  try {
    // With the lock held for good, a second agent is refused at its start and not in the middle of its first sale.
    database.pragma("locking_mode = EXCLUSIVE");
    database.pragma(`wal_autocheckpoint = ${LOG_PAGES_MAX}`);
    const sql = prepareJournal(database);
    const facts = transaction(database, () => readFacts(sql, options));
    if (!facts.has("epoch")) refuseLost(path);
    const epoch = (facts.get("epoch") as Epoch | undefined) ?? newEpoch(options.random);
    const opened = verifyOpening({
      ...{ database, facts, terminalId, epoch },
      ...(options.signingKey && { publicKey: signerOf(options.signingKey).publicKey }),
    });
    if ("why" in opened) throw corruptFault(path, opened);
    const queue = new QueueStore(database, opened.queueFloor);
    // A damaged file is left as it is: nothing is written before all of this holds.
    transaction(database, () => begin(sql, facts, { ...options, epoch }));
    noteEpoch(path, epoch);
    // A crash may have come between an erasure and the checkpoint that makes it so (RM5).
    emptyLog(database);
    return { database, sql, epoch, fence: Number(facts.get(FENCE)), facts, queue, ...opened };
  } catch (error) {
    database.close();
    throw openingFault(error, path);
  }
}

/** SQLite itself found the damage: it names no entry, we name what can be done. */
export function openingFault(error: unknown, path: string): Fault {
  const fault = sqliteFault(error, path);
  const code = sqliteErrorCode(fault.cause) ?? "";
  // The last is of a statement of ours that the file's own tables do not take: the text that defines them is damaged.
  if (!/^SQLITE_(?:CORRUPT|NOTADB|ERROR)/.test(code)) return fault;
  return new Fault("journal.corrupt", `${fault.message}; ${MEND}`, { cause: error, details: fault.details });
}

function openTables(path: string): Sqlite {
  try {
    return openSqlite(path, { migrations: JOURNAL_MIGRATIONS });
  } catch (error) {
    throw openingFault(error, path);
  }
}

/**
 * SQLite takes a file without a whole page for a new one, and removes the log beside it. An empty one may be new: a crash
 * came before its first commit.
 */
function refuseRemnant(path: string): void {
  const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  const size = sizeOf(path);
  if (size === 0 && sizeOf(`${path}-wal`) > 0) refuseLost(path);
  if (size === 0 || size >= PAGE_BYTES_MIN) return;
  throw new Fault("journal.corrupt", `${path}: only ${size} bytes are left of it; ${MEND}`);
}

/** Reads whose file this is. */
function readFacts(sql: JournalStatements, options: OpenFileOptions): Map<string, string> {
  const facts = new Map(sql.meta.all().map(({ name, value }) => [name, value]));
  const owner = facts.get("terminal-id");
  if (owner === undefined || owner === options.terminalId) return facts;
  const why = `${options.path} is the journal of terminal "${owner}", not of "${options.terminalId}"`;
  throw new Fault("journal.corrupt", `${why}; give this terminal a folder of its own`);
}

/** Makes a new file this terminal's, and counts the opening. */
function begin(sql: JournalStatements, facts: Map<string, string>, options: OpenFileOptions & { epoch: Epoch }): void {
  const set = (name: string, value: string): void => {
    sql.setMeta.run(name, value);
    facts.set(name, value);
  };
  if (!facts.has("terminal-id")) set("terminal-id", options.terminalId);
  if (!facts.has("epoch")) set("epoch", options.epoch);
  if (!facts.has("created")) set("created", new Date(options.clock.now()).toISOString());
  if (facts.has(FACT.damaged)) set(FACT.damaged, "0");
  // Durable before this opening does anything: what an earlier one still has on its way to the hub is told by it.
  set(FENCE, String(Number(facts.get(FENCE) ?? 0) + 1));
}
