/**
 * Reads a journal file without the lock and without writing: for export and verification, also of a file that no longer
 * opens for selling and of files of earlier releases. A running agent holds the file for itself alone.
 */
import { existsSync } from "node:fs";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { Epoch, PaymentId, TerminalId } from "../../base/ids.ts";
import { openSqlite, type Sqlite, sqliteFault } from "../../base/sqlite.ts";
import { EpochSchema, TerminalIdSchema } from "../../wire/common.ts";
import type { StoredEntry } from "../../wire/journal-entry.ts";
import { type Anchor, type ChainError, type ChainRow, chainColumns, FROM_GENESIS, storedOf } from "./chain.ts";
import { anchorOf, type CheckpointRow, isError, prepareCheckpoints, readCheckpoint } from "./checkpoint.ts";
import { FullCheck } from "./full-check.ts";
import { checkUnsent } from "./unsent.ts";

const BUSY_TIMEOUT_MS = 100;
const ROWS_AT_ONCE = 500;

/** An archive that the file speaks of, oldest first. */
export interface ArchiveRef {
  readonly first: number;
  readonly last: number;
  /** Its name within the folder `archive` beside the journal. */
  readonly file: string;
}

export interface Selection {
  readonly from?: number;
  readonly to?: number;
  readonly payment?: PaymentId;
  /** A business day: all entries of the payments that were decided on it. */
  readonly day?: string;
}

/** Throws Fault `journal.busy` while an agent runs on it, `journal.corrupt` or `store.failed` when not even its pages can be read. */
export function openJournalReadOnly(path: string): JournalReader {
  if (!existsSync(path))
    throw new Fault("store.failed", `${path}: there is no such file; name the journal or its folder`);
  let database: Sqlite | undefined;
  try {
    database = openSqlite(path, { migrations: [], readonly: true, busyTimeoutMs: BUSY_TIMEOUT_MS });
    return new JournalReader(path, database);
  } catch (error) {
    database?.close();
    throw readFault(error, path);
  }
}

function readFault(error: unknown, path: string): Fault {
  const fault = sqliteFault(error, path);
  if (fault.code !== "journal.busy") return fault;
  return new Fault(
    "journal.busy",
    `${path}: a running agent has it for itself; stop the agent, or copy journal.db with its -wal file and read the copy`,
    { cause: error },
  );
}

export class JournalReader implements Disposable {
  readonly path: string;
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  /** The newest sequence that is there; 0 when none. */
  readonly newest: number;
  readonly archives: readonly ArchiveRef[];
  readonly checkpoints: readonly CheckpointRow[];
  readonly #database: Sqlite;
  /** Files of the first release have no such column. */
  readonly #hasHeld: boolean;
  readonly #cut: CheckpointRow | undefined;

  constructor(path: string, database: Sqlite) {
    this.path = path;
    this.#database = database;
    const tables = new Set(database.prepare<[], string>("SELECT name FROM sqlite_schema").pluck().all());
    const held = "SELECT 1 FROM pragma_table_info('journal__entry') WHERE name = 'held'";
    this.#hasHeld = database.prepare(held).get() !== undefined;
    const facts = new Map(database.prepare<[], [string, string]>("SELECT name, value FROM journal__meta").raw().all());
    const terminalId = TerminalIdSchema.safeParse(facts.get("terminal-id"));
    const epoch = EpochSchema.safeParse(facts.get("epoch"));
    if (!terminalId.success || !epoch.success) {
      throw new Fault("journal.corrupt", `${path}: does not say whose journal it is; restore it from a backup`);
    }
    this.terminalId = terminalId.data;
    this.epoch = epoch.data;
    this.newest = database.prepare<[], number | null>("SELECT max(sequence) FROM journal__entry").pluck().get() ?? 0;
    const signed = tables.has("journal__checkpoint") ? prepareCheckpoints(database) : undefined;
    this.checkpoints = signed?.all.all() ?? [];
    this.#cut = signed?.cut.get();
    this.archives = signed
      ? database.prepare<[], ArchiveRef>("SELECT first, last, file FROM journal__archive ORDER BY last").all()
      : [];
  }

  /** Where the chain of this file begins, or what is wrong with what signs that. */
  cut(publicKey?: string): Anchor | ChainError {
    const { terminalId, epoch } = this;
    const expected = { terminalId, epoch, ...(publicKey && { publicKey }) };
    const cut = this.#cut && readCheckpoint(this.#cut, { ...expected, kind: "cut" });
    if (cut && isError(cut)) return cut;
    const begin = cut ? anchorOf(cut) : FROM_GENESIS;
    // The others are read at their entries; this one's lies in an archive, or there was none yet.
    const row = this.checkpoints.find(({ sequence }) => sequence === begin.sequence);
    const head = row && readCheckpoint(row, { ...expected, kind: "head" });
    return head && isError(head) ? head : begin;
  }

  /** The entries of the file in order, as they were stored. Throws Fault `journal.corrupt` where pages cannot be read. */
  *entries(selection: Selection = {}): Generator<StoredEntry, void> {
    const { from = 1, to = Number.MAX_SAFE_INTEGER, payment, day } = selection;
    const of = payment === undefined ? "" : "AND e.payment_id = @payment";
    const on =
      day === undefined
        ? ""
        : `AND e.payment_id IN (SELECT payment_id FROM journal__entry
             WHERE kind = 'decision' AND CASE WHEN json_valid(text) THEN json_extract(text, '$.businessDate') END = @day)`;
    const selecting = `SELECT ${this.#columns()} FROM journal__entry e
       WHERE e.sequence >= @at AND e.sequence <= @to ${of} ${on} ORDER BY e.sequence LIMIT ${ROWS_AT_ONCE}`;
    const prepare = () => this.#database.prepare<[Record<string, unknown>], ChainRow>(selecting).raw();
    const rows = this.#read(prepare, from);
    for (let at = Math.max(from, 1); ; ) {
      const some = this.#read(() => rows.all({ at, to, ...(of && { payment }), ...(on && { day }) }), at);
      for (const row of some) yield storedOf(row);
      const last = some.at(-1);
      if (some.length < ROWS_AT_ONCE || !last) return;
      at = last[0] + 1;
    }
  }

  /** Checks everything in the file from `from` on. */
  check(from: Anchor, publicKey?: string): FullCheck {
    return new FullCheck({
      ...{ database: this.#database, terminalId: this.terminalId, epoch: this.epoch, from, upTo: this.newest },
      checkpoints: this.checkpoints.filter(({ sequence }) => sequence > from.sequence),
      ...(publicKey !== undefined && { publicKey }),
      ...(!this.#hasHeld && { withoutHeld: true }),
    });
  }

  /** The first unsent entry whose sealed data are not its own. */
  checkUnsent(from: Anchor): ChainError | undefined {
    if (!this.#hasHeld) return undefined;
    const { terminalId, epoch, newest } = this;
    const floor = from.sequence + 1;
    return checkUnsent({
      database: this.#database,
      terminalId,
      epoch,
      floor,
      walkedFrom: Math.min(from.sequence, newest),
    });
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #columns(): string {
    return chainColumns(this.#hasHeld ? "e.held" : "NULL");
  }

  #read<T>(read: () => T, at: number): T {
    try {
      return read();
    } catch (error) {
      const why = `${this.path}: entry ${at} or one near it cannot be read: ${reasonOf(error)}`;
      throw new Fault("journal.corrupt", `${why}; export up to the entry before it with --to ${at - 1}`, {
        cause: error,
        details: { sequence: at },
      });
    }
  }
}
