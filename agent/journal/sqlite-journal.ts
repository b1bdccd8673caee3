/** The journal in `journal.db`: one writer, group commit, a hash chain over every byte that matters. */
import { assert } from "../../base/assert.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { Epoch, PaymentId, RandomBytes, TerminalId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import { isSqliteError, type Sqlite } from "../../base/sqlite.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import { digestOfSealed, sealedText } from "../../wire/card-data.ts";
import {
  type EntryBody,
  EntryBodySchema,
  type EntryOf,
  hashEntry,
  type NoteFacts,
  type StoredEntry,
} from "../../wire/journal-entry.ts";
import { firstIssue } from "../../wire/signing.ts";
import { payerOf } from "../saf/accounts.ts";
import type { ArchivedPayment } from "./archived-payments.ts";
import type { ArchiveOutcome } from "./archiver.ts";
import type { ChainError } from "./chain.ts";
import { createDayList, type DayList } from "./day-list.ts";
import { heldBy, readBody, toColumns, toEntry } from "./entry-rows.ts";
import { Erasure, emptyLog } from "./erasure.ts";
import { GroupCommit } from "./group-commit.ts";
import type {
  Backlog,
  DayEntry,
  DayStretch,
  ForwardableEntry,
  Journal,
  JournalEntry,
  KeptFact,
  NewEntry,
  Outstanding,
  QueueEntry,
  QueueFilter,
  QueueState,
  SettledEntry,
} from "./journal.ts";
import { FENCE, type JournalFile, openingFault, openJournalFile } from "./journal-file.ts";
import type { OpenPayments } from "./open-payments.ts";
import { nextResend, readResend } from "./queue-resend.ts";
import type { QueueStore } from "./queue-store.ts";
import { Upkeep, type UpkeepOptions } from "./upkeep.ts";

export interface OpenJournalOptions extends UpkeepOptions {
  readonly random: RandomBytes;
  /** Told once when a commit failed, whoever asked for it: the file must be opened again before anything more is taken. */
  readonly onFailed?: (fault: Fault) => void;
}

/** The longest text of one entry, in characters, that the hub takes (`StoredEntrySchema`). */
export const ENTRY_TEXT_MAX = 16_384;

/**
 * Opens the file, or makes it. Throws Fault `journal.busy` when another process has it, `journal.corrupt` when it is
 * damaged or another terminal's, `journal.full`, `store.failed`.
 */
export function openJournal(options: OpenJournalOptions): Journal {
  const file = openJournalFile(options);
  try {
    return new SqliteJournal(file, options);
  } catch (error) {
    file.database.close();
    throw openingFault(error, options.path);
  }
}

interface Prepared {
  readonly body: EntryBody;
  readonly text: string;
  readonly forward: boolean;
  readonly sealed: { readonly text: string; readonly digest: string } | undefined;
}

interface Head {
  readonly sequence: number;
  readonly forward: number;
  readonly hash: string;
}

class SqliteJournal implements Journal {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly #database: Sqlite;
  readonly #sql: JournalFile["sql"];
  readonly #commits: GroupCommit;
  readonly #queue: QueueStore;
  readonly #days: DayList;
  readonly #open: OpenPayments;
  readonly #erasure: Erasure;
  readonly #upkeep: Upkeep;
  readonly #log: Log;
  readonly #facts: Map<string, string>;
  readonly #queued = new Set<(reopened: readonly number[]) => void>();
  #head: Head;
  /** As `head` will be, and what else is to follow, once the running transaction is on disk. */
  #next: Head;
  #nextBodies: EntryBody[] = [];
  #nextFacts: (readonly [string, string])[] = [];

  constructor(file: JournalFile, options: OpenJournalOptions) {
    this.terminalId = options.terminalId;
    this.epoch = file.epoch;
    this.#database = file.database;
    this.#sql = file.sql;
    this.#facts = file.facts;
    this.#open = file.open;
    this.#head = file.head;
    this.#next = file.head;
    this.#log = options.log;
    this.#queue = file.queue;
    this.#days = createDayList(file.database);
    this.#erasure = new Erasure({ database: file.database, clock: options.clock, log: options.log });
    this.#commits = new GroupCommit({
      database: file.database,
      path: options.path,
      begun: () => this.#begun(),
      committed: () => this.#committed(),
      ...(options.onFailed === undefined ? {} : { failed: options.onFailed }),
    });
    const state = {
      head: () => this.#head,
      queueFloor: () => this.#queue.floor,
      open: () => this.#open.snapshot(this.#head.sequence),
      undecided: () => this.#open.undecided,
      unprinted: () => this.#open.unprinted,
      resending: () => this.resending !== undefined,
    };
    this.#upkeep = new Upkeep(options, { file, commits: this.#commits, state });
  }

  get fence(): number {
    return Number(this.#facts.get(FENCE));
  }

  get head(): Head {
    return this.#head;
  }

  async append(entries: readonly NewEntry[]): Promise<readonly StoredEntry[]> {
    this.#upkeep.admit(entries.map(({ body }) => body));
    const prepared = entries.map(prepare);
    return this.#commits.submit(prepared.length, () => prepared.map((entry) => this.#insert(entry)));
  }

  knows(paymentId: PaymentId): boolean {
    return this.#read(() => this.#sql.knows.get({ paymentId, cut: this.#upkeep.cut.sequence }) === 1);
  }

  entriesOf(paymentId: PaymentId): readonly JournalEntry[] {
    return this.#read(() => this.#sql.entriesOf.all(paymentId, this.#upkeep.cut.sequence).map(toEntry));
  }

  lastNoteOf(allowanceId: string): NoteFacts | undefined {
    const row = this.#read(() => this.#sql.lastNoteOf.get(allowanceId));
    const body = row && readBody(row);
    return body?.kind === "decision" ? body.note : undefined;
  }

  archived(paymentId: PaymentId): ArchivedPayment | undefined {
    return this.#upkeep.archived(paymentId);
  }

  archive(beforeMs: number, signal: AbortSignal): Promise<ArchiveOutcome> {
    return this.#upkeep.archive(beforeMs, signal);
  }

  recentPayments(limit: number): readonly PaymentId[] {
    return this.#read(() => this.#sql.recentPayments.all(limit).map((row) => row.payment_id));
  }

  undecided(): readonly PaymentId[] {
    return this.#open.undecided;
  }

  unprinted(): readonly PaymentId[] {
    return this.#open.unprinted;
  }

  outstanding(): Outstanding {
    return this.#read(() => this.#queue.outstanding());
  }

  outstandingOf(payer: string): Pick<Outstanding, "count" | "minor"> {
    return this.#queue.outstandingOf(payer);
  }

  backlog(): Backlog {
    return this.#read(() => this.#queue.backlog());
  }

  queue(filter: QueueFilter = {}): readonly QueueEntry[] {
    return this.#read(() => this.#queue.list(filter));
  }

  queuedBetween(stretch: DayStretch): readonly DayEntry[] {
    return this.#read(() => this.#days.between(stretch));
  }

  get oldestSequence(): number {
    return this.#read(() => this.#days.oldest()) ?? this.#head.sequence + 1;
  }

  nextToForward(limit: number, after = 0): readonly ForwardableEntry[] {
    return this.#read(() => this.#queue.nextToForward(limit, after));
  }

  waitingBefore(entry: ForwardableEntry): number | undefined {
    return this.#read(() => this.#queue.waitingBefore(entry));
  }

  // One statement marks a whole batch, and one settles it: they weigh as much as one write.
  markForwarding(sequences: readonly number[]): Promise<readonly number[]> {
    return this.#commits.submit(1, () => this.#queue.markForwarding(sequences));
  }

  async settle(
    results: readonly EntryReceipt[],
    { fresh }: { readonly fresh: boolean } = { fresh: false },
  ): Promise<{ readonly settled: readonly SettledEntry[]; readonly unknown: number }> {
    const outcome = await this.#commits.submit(1, () => this.#queue.settle(results, fresh));
    if (outcome.unknown > 0) this.#log.warn("receipts name entries that are not here", { unknown: outcome.unknown });
    return outcome;
  }

  async appendVoid(
    body: EntryOf<"void">,
    cancel?: EntryOf<"queue-action">,
  ): Promise<Result<StoredEntry, QueueState | "not-found">> {
    const entry = prepare({ body, forward: true });
    this.#upkeep.admit([]);
    const action = cancel && prepare({ body: cancel });
    const target = { sequence: body.voidedSequence, forward: body.voidedForward, paymentId: body.paymentId };
    return this.#commits.submit(action ? 2 : 1, () => {
      const outcome = this.#queue.void(target, action ? "cancel" : "void");
      if (outcome !== "done") return fail(outcome);
      if (action) this.#insert(action);
      return ok(this.#insert(entry));
    });
  }

  async act(body: EntryOf<"queue-action">): Promise<Result<StoredEntry, QueueState | "not-found">> {
    this.#upkeep.admit([]);
    const entry = prepare({ body });
    return this.#commits.submit(1, () => {
      const outcome = this.#queue.act(body);
      return outcome === "done" ? ok(this.#insert(entry)) : fail(outcome);
    });
  }

  get resending(): number | undefined {
    return readResend(this.recall("resend"))?.after;
  }

  async resendFrom(forward: number): Promise<{ readonly moved: number }> {
    return this.#commits.submit(1, () => {
      const { next, moved } = nextResend(this.#queue, {
        under: readResend(this.#latest(factName("resend"))),
        forward,
        head: this.#next.forward,
      });
      this.#setMeta(factName("resend"), next);
      return { moved };
    });
  }

  resendOne(forward: number): Promise<boolean> {
    return this.#commits.submit(1, () => this.#queue.resendOne(forward));
  }

  raiseFence(to: number): Promise<void> {
    return this.#commits.submit(1, () => {
      if (to > this.fence) this.#setMeta(FENCE, String(to));
    });
  }

  onQueued(listener: (reopened: readonly number[]) => void): () => void {
    this.#queued.add(listener);
    return () => this.#queued.delete(listener);
  }

  recall(fact: KeptFact): string | undefined {
    return this.#facts.get(factName(fact));
  }

  keep(fact: KeptFact, text: string): Promise<void> {
    return this.#commits.submit(1, () => this.#setMeta(factName(fact), text));
  }

  verify(): Result<{ readonly entries: number }, ChainError> {
    const check = this.#upkeep.fullCheck();
    const error = check.run();
    return error ? fail(error) : ok({ entries: check.last.sequence });
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#database.open) return Promise.resolve();
    this.#commits.end(new Fault("journal.failed", "the journal is closed"));
    this.#erasure[Symbol.dispose]();
    try {
      this.#upkeep.close();
      emptyLog(this.#database);
    } catch (error) {
      this.#log.warn("the journal was closed with its log not emptied; the next start does that", { error });
    }
    this.#database.close();
    return Promise.resolve();
  }

  /** A disk that cannot be read keeps nothing for certain: as after a failed commit, the file must be opened again. */
  #read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw isSqliteError(error) ? this.#commits.fail(`cannot be read (${reasonOf(error)})`, error) : error;
    }
  }

  #begun(): void {
    this.#next = this.#head;
    this.#nextBodies = [];
    this.#nextFacts = [];
    this.#queue.begun();
  }

  #committed(): void {
    this.#head = this.#next;
    for (const body of this.#nextBodies) this.#open.apply(body);
    for (const [name, value] of this.#nextFacts) this.#facts.set(name, value);
    const { queued, erased, reopened } = this.#queue.committed();
    if (erased) this.#erasure.due();
    this.#upkeep.committed();
    if (queued) for (const listener of this.#queued) listener(reopened);
  }

  #insert(entry: Prepared): StoredEntry {
    const { body, text, sealed } = entry;
    const sequence = this.#next.sequence + 1;
    const forward = entry.forward ? this.#next.forward + 1 : undefined;
    const place = {
      sequence,
      previousHash: this.#next.hash,
      text,
      ...(forward === undefined ? {} : { forward }),
      ...(sealed === undefined ? {} : { sealedDigest: sealed.digest }),
    };
    const hash = hashEntry({ terminalId: this.terminalId, epoch: this.epoch, ...place });
    const stored: StoredEntry = { ...place, hash };
    this.#sql.insert.run(...toColumns(stored, body, sealed?.text));
    if (forward !== undefined) this.#queue.added(sequence, { held: heldBy(body), payer: payerOf(body) });
    this.#next = { sequence, forward: forward ?? this.#next.forward, hash };
    this.#nextBodies.push(body);
    return stored;
  }

  /** Also what an earlier job of the running transaction has set. */
  #latest(name: string): string | undefined {
    return this.#nextFacts.findLast(([known]) => known === name)?.[1] ?? this.#facts.get(name);
  }

  #setMeta(name: string, value: string): void {
    this.#sql.setMeta.run(name, value);
    this.#nextFacts.push([name, value]);
  }
}

const factName = (fact: KeptFact): string => `fact-${fact}`;

function prepare({ body, forward, sealed }: NewEntry): Prepared {
  const checked = EntryBodySchema.safeParse(body);
  if (!checked.success) {
    // What cannot be read back would block the queue and the next start: better this append fails than all that follow.
    const why = `a ${body.kind} for payment ${body.paymentId} of unknown form: ${firstIssue(checked.error)}`;
    throw new Fault("message.invalid", why);
  }
  assert(sealed === undefined || forward === true, "sealed card data lie only beside entries that the hub is told");
  const text = JSON.stringify(body);
  if (text.length > ENTRY_TEXT_MAX) {
    const why = `a ${body.kind} of ${text.length} characters for payment ${body.paymentId}; the limit is ${ENTRY_TEXT_MAX}`;
    throw new Fault("codec.too-long", why);
  }
  return {
    body,
    text,
    forward: forward === true,
    sealed: sealed && { text: sealedText(sealed), digest: digestOfSealed(sealed) },
  };
}
