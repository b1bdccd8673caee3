/**
 * What a journal does when nobody pays: it signs checkpoints, reads in the background what its opening did not, and moves old
 * entries into archives. A sale's commit pays for none of it.
 */
import type { KeyObject } from "node:crypto";
import { type Clock, eitherOf } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import type { PaymentId, TerminalId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { transaction } from "../../base/sqlite.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import { type ArchivedPayment, ArchivedPayments } from "./archived-payments.ts";
import { type ArchiveOutcome, Archiver, type ArchiveStep } from "./archiver.ts";
import { BackgroundCheck } from "./background-check.ts";
import type { Anchor, ChainError } from "./chain.ts";
import { type CheckpointStatements, prepareCheckpoints, type Signer, signCheckpoint, signerOf } from "./checkpoint.ts";
import { corruptFault } from "./corrupt.ts";
import { FullCheck } from "./full-check.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { JournalFile } from "./journal-file.ts";
import { FACT } from "./verify-opening.ts";

/** How many entries follow a checkpoint before the next is due: about what opening has to read again. */
export const CHECKPOINT_ENTRIES = 10_000;
/** A checkpoint waits until nothing was written for so long, and looks again as often. */
export const QUIET_MS = 500;
/** With so many entries since the last, it waits no longer. */
const CHECKPOINT_ENTRIES_MAX = 20_000;

export interface UpkeepOptions {
  readonly path: string;
  readonly terminalId: TerminalId;
  readonly clock: Clock;
  readonly log: Log;
  /** The terminal's Ed25519 key; without one no checkpoints are signed. */
  readonly signingKey?: KeyObject;
  /** Told once when the background finds an entry that is not as it was written: from then nothing is appended. */
  readonly onCorrupt?: (fault: Fault) => void;
  /** The background has read everything, and all of it fits. */
  readonly onChecked?: () => void;
  /** Sees every step of an archiving; tests stop there. */
  readonly onArchiveStep?: (step: ArchiveStep) => void;
}

/** The journal as it is on disk now. */
export interface UpkeepState {
  head(): Anchor;
  queueFloor(): number;
  /** What a restart must look at, as `OpenPayments.snapshot` writes it. */
  open(): string;
  undecided(): readonly PaymentId[];
  unprinted(): readonly PaymentId[];
  /** The hub is being told again what it lost (RM18). */
  resending(): boolean;
}

export class Upkeep implements Disposable {
  readonly #file: JournalFile;
  readonly #options: UpkeepOptions;
  readonly #commits: GroupCommit;
  readonly #state: UpkeepState;
  readonly #sql: CheckpointStatements;
  readonly #signer: Signer | undefined;
  readonly #check: BackgroundCheck;
  readonly #payments: ArchivedPayments;
  readonly #archiver: Archiver | undefined;
  readonly #ending = new AbortController();
  #cut: Anchor;
  #checkpointAt: number;
  #writtenMs: number;
  #cancel: (() => void) | undefined;
  #checked = false;
  #archiving = false;
  #fault: Fault | undefined;

  constructor(options: UpkeepOptions, parts: { file: JournalFile; commits: GroupCommit; state: UpkeepState }) {
    const { file } = parts;
    this.#options = options;
    this.#file = file;
    this.#commits = parts.commits;
    this.#state = parts.state;
    this.#sql = prepareCheckpoints(file.database);
    this.#signer = options.signingKey && signerOf(options.signingKey);
    this.#checkpointAt = file.checkpointAt;
    this.#writtenMs = options.clock.monotonic();
    this.#cut = file.cut;
    this.#payments = new ArchivedPayments(file.database);
    this.#archiver = this.#signer && this.#archiverFor(this.#signer);
    this.#check = new BackgroundCheck({
      check: this.fullCheck(),
      clock: options.clock,
      onDone: () => {
        this.#checked = true;
        options.onChecked?.();
      },
      onError: (error) => this.#corrupt(error),
    });
    this.committed();
  }

  /** Why nothing is appended any more, if that is so. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Where the chain of this file begins; rows before it are in an archive and on their way out. */
  get cut(): Anchor {
    return this.#cut;
  }

  archived(id: PaymentId): ArchivedPayment | undefined {
    return this.#payments.get(id);
  }

  /** Throws why these may not be appended: the journal is damaged, or an intent bears the id of an archived payment. */
  admit(bodies: readonly EntryBody[]): void {
    if (this.#fault) throw this.#fault;
    const known =
      this.#cut.sequence > 0 && bodies.find(({ kind, paymentId }) => kind === "intent" && this.archived(paymentId));
    if (!known) return;
    const why = `payment ${known.paymentId} was made before and is archived; a new payment needs an id of its own`;
    throw new Fault("payment.archived", why);
  }

  /** Not before every entry was read and fits: what is archived was verified. */
  async archive(beforeMs: number, signal: AbortSignal): Promise<ArchiveOutcome> {
    if (!this.#archiver || !this.#checked || this.#archiving) return { entries: 0 };
    this.#archiving = true;
    try {
      using until = eitherOf(signal, this.#ending.signal);
      return await this.#archiver.run(beforeMs, until.signal);
    } finally {
      this.#archiving = false;
    }
  }

  /** A check of everything that the file holds now. */
  fullCheck(): FullCheck {
    const { database, epoch } = this.#file;
    const cut = this.#cut;
    return new FullCheck({
      ...{ database, terminalId: this.#options.terminalId, epoch, from: cut, upTo: this.#state.head().sequence },
      checkpoints: this.#sql.all.all().filter(({ sequence }) => sequence > cut.sequence),
      ...(this.#signer && { publicKey: this.#signer.publicKey }),
    });
  }

  /** Something is on disk that was not before. */
  committed(): void {
    this.#writtenMs = this.#options.clock.monotonic();
    if (this.#due() >= CHECKPOINT_ENTRIES) this.#later();
  }

  /** Writes the last checkpoint; nothing else may be writing. */
  close(): void {
    this[Symbol.dispose]();
    const write = this.#prepared();
    transaction(this.#file.database, write);
  }

  [Symbol.dispose](): void {
    this.#ending.abort();
    this.#check[Symbol.dispose]();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #archiverFor(signer: Signer): Archiver {
    const { path, terminalId, clock, onArchiveStep } = this.#options;
    const { database, epoch } = this.#file;
    const upkeep = this;
    const state = this.#state;
    return new Archiver({
      ...{ path, database, terminalId, epoch, signer, clock, commits: this.#commits, payments: this.#payments },
      state: {
        get cut() {
          return upkeep.#cut;
        },
        get newest() {
          return state.head().sequence;
        },
        isResending: () => state.resending(),
        moved: (cut) => {
          this.#cut = cut;
        },
        isPaying: () => state.undecided().length > 0,
        openPayments: () => new Set([...state.undecided(), ...state.unprinted()]),
      },
      ...(onArchiveStep && { onStep: onArchiveStep }),
    });
  }

  #due(): number {
    return this.#state.head().sequence - this.#checkpointAt;
  }

  #later(): void {
    this.#cancel ??= this.#options.clock.after(QUIET_MS, () => {
      this.#cancel = undefined;
      const quietMs = this.#options.clock.monotonic() - this.#writtenMs;
      if (quietMs < QUIET_MS && this.#due() < CHECKPOINT_ENTRIES_MAX) return this.#later();
      this.#checkpoint();
    });
  }

  #checkpoint(): void {
    const { sequence } = this.#state.head();
    this.#commits.submit(1, this.#prepared()).then(
      () => {
        this.#checkpointAt = Math.max(this.#checkpointAt, sequence);
      },
      (error: unknown) =>
        this.#options.log.warn("no checkpoint could be written; the next opening reads more", {
          reason: reasonOf(error),
        }),
    );
  }

  /** Signs what holds now; the returned function writes it, inside a transaction. */
  #prepared(): () => void {
    const [head, queueFloor, open] = [this.#state.head(), this.#state.queueFloor(), this.#state.open()];
    const { clock, terminalId } = this.#options;
    const signed =
      this.#signer &&
      signCheckpoint(
        {
          ...{ kind: "head", terminalId, epoch: this.#file.epoch, ...head },
          ...{ at: new Date(clock.now()).toISOString(), open, queueFloor },
        },
        this.#signer,
      );
    return () => {
      this.#file.sql.setMeta.run(FACT.openPayments, open);
      this.#file.sql.setMeta.run(FACT.queueFloor, String(queueFloor));
      if (signed) this.#sql.put.run(head.sequence, signed.text, signed.signature);
    };
  }

  #corrupt(error: ChainError): void {
    const fault = corruptFault(this.#options.path, error);
    this.#fault = fault;
    this.#options.log.error("the journal is damaged; nothing more is sold", { why: fault.message });
    // So that the next opening looks at once, and does not sell until its background has come so far. Who is told may end
    // the process, so it is on disk before.
    this.#commits
      .submit(1, () => this.#file.sql.setMeta.run(FACT.damaged, String(error.sequence)))
      .catch((why: unknown) => this.#options.log.warn("the damage could not be noted", { reason: reasonOf(why) }));
    this.#commits.flush();
    this.#options.onCorrupt?.(fault);
  }
}
