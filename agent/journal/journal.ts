/** What the agent's parts ask of the journal: append durably, read back, and keep the store-and-forward queue beside it. */
import type { FaultCode } from "../../base/fault.ts";
import type { Epoch, PaymentId, TerminalId } from "../../base/ids.ts";
import type { Money } from "../../base/money.ts";
import type { Result } from "../../base/result.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import type { SealedCardData } from "../../wire/card-data.ts";
import type { EntryBody, EntryOf, NoteFacts, StoredEntry } from "../../wire/journal-entry.ts";
import type { ArchivedPayment } from "./archived-payments.ts";
import type { ArchiveOutcome } from "./archiver.ts";

/** Faults of an append that certainly stored nothing; a later one may succeed. */
export const NOTHING_TAKEN = [
  "journal.full",
  "journal.busy",
  "queue.full",
  "payment.archived",
] as const satisfies readonly FaultCode[];

export interface NewEntry {
  readonly body: EntryBody;
  /** The hub must be told: the entry enters the queue in the same commit. */
  readonly forward?: true;
  /** Lies beside the entry until the hub's receipt (RM5). */
  readonly sealed?: SealedCardData;
}

/** An entry read back: what was stored, and what it says. */
export interface JournalEntry extends StoredEntry {
  readonly body: EntryBody;
}

/**
 * eligible -> forwarding -> processed | declined | expired | quarantined; or eligible -> voided. A person takes an entry out of
 * quarantine, back to eligible or on to voided. Voided -> processed when the hub declines the void, as it had taken the entry
 * before. A receipt's `duplicate` counts as processed.
 */
export type QueueState = "eligible" | "forwarding" | "processed" | "declined" | "expired" | "quarantined" | "voided";

export interface QueueEntry {
  readonly sequence: number;
  readonly forward: number;
  readonly paymentId: PaymentId;
  readonly kind: EntryBody["kind"];
  readonly state: QueueState;
  /** How often it was sent. */
  readonly attempts: number;
  /** ISO time of the entry. */
  readonly at: string;
  readonly amount?: Money;
  readonly reason?: string;
  readonly detail?: string;
}

/** An entry that a receipt moved. */
export type SettledEntry = Omit<QueueEntry, "at" | "amount">;

export interface QueueFilter {
  readonly state?: QueueState;
  readonly sequence?: number;
  readonly paymentId?: PaymentId;
  readonly limit?: number;
}

export interface Backlog {
  readonly depth: number;
  /** ISO time of the oldest entry with no receipt, if any. */
  readonly oldestAt?: string;
}

/** An entry as it is sent, and under which names it keeps its order (`accountsIn`). */
export interface ForwardableEntry extends StoredEntry {
  readonly paymentId: PaymentId;
  readonly accounts: readonly string[];
  readonly sealed?: SealedCardData;
}

export interface DayStretch {
  /** Milliseconds since 1970; `toMs` is excluded. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly after: number;
  readonly through: number;
}

/** An entry of the queue as a day's list has it. */
export interface DayEntry {
  readonly sequence: number;
  readonly forward: number;
  readonly hash: string;
  readonly paymentId: PaymentId;
  readonly kind: EntryBody["kind"];
  readonly state: QueueState;
  readonly amount?: Money;
}

/** What offline approvals are not yet receipted: the sum that a lease's cap is compared with, across renewals (RM8). */
export interface Outstanding {
  readonly count: number;
  readonly minor: bigint;
  /** ISO time of the oldest, if any. */
  readonly oldestAt?: string;
}

/**
 * Facts that outlive the process but are no entries: the last lease and its deny list, the high-water of hub time, the most
 * that the hub said it holds, how far the hub was told again what it lost, the last day that was compared with it. Durable
 * when the promise resolves.
 */
export type KeptFact = "lease" | "deny-list" | "hub-time" | "hub-held" | "resend" | "day-compared";

export interface Journal extends AsyncDisposable {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  /** Rises durably with every opening: whoever is told things by an earlier opening can tell that they are late. */
  readonly fence: number;
  readonly head: { readonly sequence: number; readonly forward: number; readonly hash: string };

  /**
   * Stores the entries in order, all or none; resolves when they are on disk. Everything appended in one turn of the
   * event loop shares one fsync. After Fault `journal.failed` nothing more is taken until the journal is opened again:
   * what that commit held is unknown.
   */
  append(entries: readonly NewEntry[]): Promise<readonly StoredEntry[]>;

  /** Whether anything is kept of a payment, in the file or of what was archived: one question, for ids that are new mostly. */
  knows(paymentId: PaymentId): boolean;
  /** Every entry of a payment that lies in the file, oldest first; none of one that was archived. */
  entriesOf(paymentId: PaymentId): readonly JournalEntry[];
  /**
   * What a payment was that was archived: its id is taken for ever, and an intent under it is refused with Fault
   * `payment.archived`.
   */
  archived(paymentId: PaymentId): ArchivedPayment | undefined;
  /**
   * Moves the oldest receipted entries of before this time (milliseconds since 1970) into one archive file; `entries` is 0
   * when none may go. Takes its time, and none while a payment runs.
   */
  archive(beforeMs: number, signal: AbortSignal): Promise<ArchiveOutcome>;
  /** The note with the highest counter that was taken of this allowance, whatever became of its entry; none that was archived. */
  lastNoteOf(allowanceId: string): NoteFacts | undefined;
  /** The newest payments first, at most `limit`. */
  recentPayments(limit: number): readonly PaymentId[];
  /** Payments whose intent has no decision: what a crash interrupted. */
  undecided(): readonly PaymentId[];
  /** Approved payments with no proven ticket. */
  unprinted(): readonly PaymentId[];

  outstanding(): Outstanding;
  /** Of that, what this card token or paying device bought. */
  outstandingOf(payer: string): { readonly count: number; readonly minor: bigint };
  /** How many entries wait for the hub's receipt, and since when. */
  backlog(): Backlog;
  /** The newest that match, at most `limit` (1,000 when not said), oldest of them first. */
  queue(filter?: QueueFilter): readonly QueueEntry[];
  /** Entries that the hub is told of, whose time lies in the stretch, among the sequences above `after` up to `through`. */
  queuedBetween(stretch: DayStretch): readonly DayEntry[];
  /** The oldest entry that lies in this file; those before it are archived. The next number where there is none. */
  readonly oldestSequence: number;
  /** Entries with no receipt, oldest first, whether they were sent before or not; only those after this sequence. */
  nextToForward(limit: number, after?: number): readonly ForwardableEntry[];
  /** The oldest entry with no receipt that is of the same account and was made before this one. */
  waitingBefore(entry: ForwardableEntry): number | undefined;
  /**
   * Durable before the first byte leaves, so that an entry which may be at the hub is never voided (RM12). Resolves to
   * the sequences that may leave: one that was voided or receipted meanwhile is not among them.
   */
  markForwarding(sequences: readonly number[]): Promise<readonly number[]>;
  /**
   * Applies the hub's receipt and erases the sealed card data of what it ends; the target of a void that it declines counts as
   * processed again. Unknown sequences or other hashes are counted, not believed. What an earlier receipt ended is moved by a
   * `fresh` one only; not fresh when not said.
   */
  settle(
    results: readonly EntryReceipt[],
    word?: { readonly fresh: boolean },
  ): Promise<{ readonly settled: readonly SettledEntry[]; readonly unknown: number }>;
  /**
   * Appends the void if its target is still eligible, else says which state forbids it. With a person's `cancel`, which is
   * stored in the same commit, a quarantined target is ended as well.
   */
  appendVoid(
    body: EntryOf<"void">,
    cancel?: EntryOf<"queue-action">,
  ): Promise<Result<StoredEntry, QueueState | "not-found">>;
  /** Stores who forced or retried an entry, and why, in the same commit as its move; else says which state forbids it. */
  act(body: EntryOf<"queue-action">): Promise<Result<StoredEntry, QueueState | "not-found">>;
  /** Durably: another holder of a copy of this file has shut this one out. A lower number than today's changes nothing. */
  raiseFence(to: number): Promise<void>;
  /**
   * RM18: puts receipted entries whose `forward` number is higher back among the open ones, one bounded slice, and notes in
   * the same commit where the next slice begins: at `resending`, also after a restart, until that is undefined.
   */
  resendFrom(forward: number): Promise<{ readonly moved: number }>;
  readonly resending: number | undefined;
  /** Puts the entry with this number back among the open ones if it counts as receipted; whether it did. */
  resendOne(forward: number): Promise<boolean>;

  /**
   * Called after a commit that put entries into the queue; `reopened` names those that were settled or quarantined before.
   * Returns how to stop listening.
   */
  onQueued(listener: (reopened: readonly number[]) => void): () => void;

  recall(fact: KeptFact): string | undefined;
  keep(fact: KeptFact, text: string): Promise<void>;

  /** Walks the whole chain; the first entry that does not fit is named. */
  verify(): Result<{ readonly entries: number }, { readonly sequence: number; readonly why: string }>;
}
