/**
 * Moves the oldest entries into a signed file: written, made durable, read back and compared before the first row goes. A crash
 * leaves them in both places or in the archive alone. Everything is done in slices, and none while a payment runs.
 */
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { assert } from "../../base/assert.ts";
import { type Clock, sleep } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Epoch, PaymentId, TerminalId } from "../../base/ids.ts";
import { type Sqlite, syncFolder } from "../../base/sqlite.ts";
import { writeExport } from "../../wire/journal-export.ts";
import { signText } from "../../wire/signing.ts";
import { type FoundCut, findCut } from "./archive-cut.ts";
import { archiveFolder, archiveName, checkArchive } from "./archive-files.ts";
import { ArchivedFacts, type ArchivedPayments } from "./archived-payments.ts";
import { type Anchor, type ChainRow, chainColumns, storedOf } from "./chain.ts";
import { type Signer, signCheckpoint } from "./checkpoint.ts";
import { readBody } from "./entry-rows.ts";
import type { GroupCommit } from "./group-commit.ts";

/** Rows that are read, written or deleted before others may run. */
const SLICE_ROWS = 100;
const DELETE_ROWS = 50;
const SLICE_GAP_MS = 20;
/** While a payment runs, it is looked again this much later. */
const PAYING_GAP_MS = 500;

export type ArchiveStep = "chosen" | "written" | "named" | "checked" | "remembered" | "cut" | "deleted";

export interface ArchiverOptions {
  readonly path: string;
  readonly database: Sqlite;
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly commits: GroupCommit;
  readonly payments: ArchivedPayments;
  readonly state: ArchiverState;
  /** Sees every step; tests stop there. */
  readonly onStep?: (step: ArchiveStep) => void;
}

/** The journal as the archiver needs it. */
export interface ArchiverState {
  readonly cut: Anchor;
  /** The newest entry on disk. */
  readonly newest: number;
  /** The hub is being told again what it lost, and each receipted entry may come to wait once more. */
  isResending(): boolean;
  /** Is told of a new cut once it is on disk. */
  moved(cut: Anchor): void;
  /** A payment has an intent and no decision. */
  isPaying(): boolean;
  /** Payments that a restart must look at. */
  openPayments(): ReadonlySet<PaymentId>;
}

interface Choice {
  readonly before: Anchor;
  readonly cut: Anchor;
  /** The newest entry when the choice was made. */
  readonly newest: number;
  readonly file: string;
}

export interface ArchiveOutcome {
  readonly entries: number;
  /** Its name in the folder `archive`. */
  readonly file?: string;
  /** Nothing may go because this old entry has not ended; a person must see to it. */
  readonly heldBy?: NonNullable<FoundCut["heldBy"]>;
}

export class Archiver {
  readonly #options: ArchiverOptions;
  readonly #rows;
  readonly #entryAt;
  readonly #put;
  readonly #delete;
  readonly #needed;
  readonly #declinedVoid;
  #first: number;

  constructor(options: ArchiverOptions) {
    const { database } = options;
    this.#options = options;
    this.#rows = database
      .prepare<[number, number, number], ChainRow>(
        `SELECT ${chainColumns("e.held")} FROM journal__entry e WHERE e.sequence > ? AND e.sequence <= ?
         ORDER BY e.sequence LIMIT ?`,
      )
      .raw();
    this.#entryAt = database.prepare<[number], { hash: string; forward: number }>(
      `SELECT lower(hex(hash)) AS hash, (SELECT forward FROM journal__entry f WHERE f.sequence <= e.sequence
         AND f.forward IS NOT NULL ORDER BY f.sequence DESC LIMIT 1) AS forward
       FROM journal__entry e WHERE e.sequence = ?`,
    );
    this.#put = database.prepare(
      "INSERT INTO journal__archive (first, last, file, text, signature) VALUES (?, ?, ?, ?, ?)",
    );
    this.#delete = ["journal__entry", "queue__state", "journal__checkpoint"].map((table) =>
      database.prepare<[number]>(`DELETE FROM ${table} WHERE sequence <= ?`),
    );
    // What came between the choice and the cut: an entry that waits again, or a later one of a payment that is to go.
    this.#needed = database
      .prepare<[{ readonly cut: number; readonly newest: number }], number>(
        `SELECT EXISTS (SELECT 1 FROM queue__state WHERE state IN ('eligible', 'forwarding') AND sequence <= @cut)
           OR EXISTS (SELECT 1 FROM queue__state WHERE state = 'quarantined' AND sequence <= @cut)
           OR EXISTS (SELECT 1 FROM journal__entry n WHERE n.sequence > @newest AND EXISTS (
                SELECT 1 FROM journal__entry o WHERE o.payment_id = n.payment_id AND o.sequence <= @cut))`,
      )
      .pluck();
    // It took nothing back, so the payment is remembered without it.
    this.#declinedVoid = database
      .prepare<[number], number>(
        `SELECT 1 FROM queue__state q JOIN journal__entry e ON e.sequence = q.sequence
         WHERE q.sequence = ? AND q.state = 'declined' AND e.kind = 'void'`,
      )
      .pluck();
    const oldest = database.prepare<[], number | null>("SELECT min(sequence) FROM journal__entry").pluck().get();
    this.#first = oldest ?? options.state.cut.sequence + 1;
  }

  /** One file's worth; `entries` is 0 when nothing more may go. Throws Fault `aborted`, `store.failed`, or what a commit throws. */
  async run(beforeMs: number, signal: AbortSignal): Promise<ArchiveOutcome> {
    const { database, state } = this.#options;
    const pause = () => this.#pause(signal);
    // What a crash left of the last time: the rows are in an archive already.
    await this.#deleteRows(signal);
    const { cut: before, newest } = state;
    if (state.isResending()) return { entries: 0 };
    const open = state.openPayments();
    const { last, heldBy } = await findCut({ database, after: before.sequence, beforeMs, open, pause });
    if (last === undefined) return heldBy ? { entries: 0, heldBy } : { entries: 0 };
    this.#step("chosen");
    const row = this.#entryAt.get(last);
    assert(row !== undefined, `entry ${last} was there a moment ago`);
    const cut: Anchor = { sequence: last, hash: row.hash, forward: row.forward ?? before.forward };
    const { file, facts } = await this.#write(before, cut, signal);
    await this.#remember(facts, signal);
    if (!(await this.#cut({ before, cut, newest, file }))) return { entries: 0 };
    await this.#deleteRows(signal);
    return { entries: last - before.sequence, file };
  }

  /** Writes the file, gives it its name, and reads it back. */
  async #write(before: Anchor, cut: Anchor, signal: AbortSignal): Promise<{ file: string; facts: ArchivedFacts }> {
    const { path, terminalId, epoch } = this.#options;
    const folder = archiveFolder(path);
    const first = before.sequence + 1;
    const file = archiveName(epoch, first, cut.sequence);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    syncFolder(dirname(folder));
    await removeUnfinished(folder, `${epoch}-${first}-`);
    const facts = new ArchivedFacts();
    try {
      await this.#writeLines(join(folder, `${file}.new`), this.#lines(before, cut, facts), signal);
    } catch (error) {
      // Where the disk is full, half an archive must not keep the rest of it until tomorrow.
      await rm(join(folder, `${file}.new`), { force: true });
      throw error;
    }
    this.#step("written");
    await rename(join(folder, `${file}.new`), join(folder, file));
    syncFolder(folder);
    this.#step("named");
    const read = await checkArchive(
      { terminalId, epoch },
      { path: join(folder, file), first, last: cut.sequence, before },
    );
    if ("why" in read || read.hash !== cut.hash) {
      const why = "why" in read ? `entry ${read.sequence} ${read.why}` : "it does not end as the journal does";
      throw new Fault("store.failed", `${join(folder, file)} was not read back as written: ${why}; check the disk`);
    }
    this.#step("checked");
    return { file, facts };
  }

  async #writeLines(path: string, lines: Iterable<string>, signal: AbortSignal): Promise<void> {
    const handle = await open(path, "wx", 0o600);
    try {
      let text = "";
      let count = 0;
      for (const line of lines) {
        text += `${line}\n`;
        count += 1;
        if (count % SLICE_ROWS !== 0) continue;
        await handle.appendFile(text);
        text = "";
        await this.#pause(signal);
      }
      await handle.appendFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  #lines(before: Anchor, cut: Anchor, facts: ArchivedFacts): Generator<string, void> {
    const { terminalId, epoch, signer, clock } = this.#options;
    const [rows, declinedVoid] = [this.#rows, this.#declinedVoid];
    function* entries() {
      for (let at = before.sequence; at < cut.sequence; ) {
        const some = rows.all(at, cut.sequence, SLICE_ROWS);
        for (const row of some) {
          const entry = storedOf(row);
          if (!declinedVoid.get(entry.sequence)) facts.take(readBody(entry));
          yield entry;
        }
        at = some.at(-1)?.[0] ?? cut.sequence;
      }
    }
    return writeExport(entries(), {
      ...{ terminalId, epoch, publicKey: signer.publicKey },
      range: { first: before.sequence + 1, last: cut.sequence },
      madeAt: new Date(clock.now()).toISOString(),
      sign: (text) => signText("journal-export", text, signer.key).signature,
    });
  }

  /** Before the cut: a payment is known by its rows, by these facts, or by both. */
  async #remember(facts: ArchivedFacts, signal: AbortSignal): Promise<void> {
    const { commits, payments } = this.#options;
    const { all } = facts;
    for (let at = 0; at < all.length; at += SLICE_ROWS) {
      const some = all.slice(at, at + SLICE_ROWS);
      await this.#pause(signal);
      await commits.submit(some.length, () => {
        for (const [id, fact] of some) payments.put(id, fact);
      });
    }
    this.#step("remembered");
  }

  /** False where something of it is needed here again: the file stays unnamed in the journal, and the next run writes it anew. */
  async #cut({ before, cut, newest, file }: Choice): Promise<boolean> {
    const { commits, terminalId, epoch, signer, clock, state } = this.#options;
    const at = new Date(clock.now()).toISOString();
    const { text, signature } = signCheckpoint({ kind: "cut", terminalId, epoch, ...cut, at }, signer);
    const done = await commits.submit(1, () => {
      if (state.isResending() || this.#needed.get({ cut: cut.sequence, newest }) === 1) return false;
      this.#put.run(before.sequence + 1, cut.sequence, file, text, signature);
      return true;
    });
    if (!done) return false;
    state.moved(cut);
    this.#step("cut");
    return true;
  }

  /** An entry goes in one commit with its state: alone it would count as never sent. */
  async #deleteRows(signal: AbortSignal): Promise<void> {
    const { commits, state } = this.#options;
    while (this.#first <= state.cut.sequence) {
      const upTo = Math.min(this.#first + DELETE_ROWS - 1, state.cut.sequence);
      await this.#pause(signal);
      await commits.submit(DELETE_ROWS, () => {
        for (const statement of this.#delete) statement.run(upTo);
      });
      this.#first = upTo + 1;
      this.#step("deleted");
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, state } = this.#options;
    await sleep(clock, SLICE_GAP_MS, signal);
    while (state.isPaying()) await sleep(clock, PAYING_GAP_MS, signal);
  }

  #step(step: ArchiveStep): void {
    this.#options.onStep?.(step);
  }
}

/** Files that begin where the next one will, which a crash left before the cut: their entries are all still in the journal. */
async function removeUnfinished(folder: string, prefix: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(prefix)) await rm(join(folder, name));
  }
}
