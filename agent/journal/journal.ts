/** What the agent's parts ask of the journal: append durably, read back, and keep the store-and-forward queue beside it. */
import type { FaultCode } from "../../base/fault.ts";
import type { Epoch, PaymentId, TerminalId } from "../../base/ids.ts";
import type { Money } from "../../base/money.ts";
import type { Result } from "../../base/result.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import type { SealedCardData } from "../../wire/card-data.ts";
import type { EntryBody, EntryOf, StoredEntry } from "../../wire/journal-entry.ts";

/** Faults of an append that certainly stored nothing; a later one may succeed. */
export const NOTHING_TAKEN = ["journal.full", "journal.busy", "queue.full"] as const satisfies readonly FaultCode[];

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

/** eligible -> forwarding -> processed | declined | quarantined; or eligible -> voided. A receipt's `duplicate` counts as processed. */
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

export interface QueueFilter {
  readonly state?: QueueState;
  readonly paymentId?: PaymentId;
  readonly limit?: number;
}

export interface Backlog {
  readonly depth: number;
  /** ISO time of the oldest entry with no receipt, if any. */
  readonly oldestAt?: string;
}

export type ForwardableEntry = JournalEntry & { readonly sealed?: SealedCardData };

/** What offline approvals are not yet receipted: the sum that a lease's cap is compared with, across renewals (RM8). */
export interface Outstanding {
  readonly count: number;
  readonly minor: bigint;
  /** ISO time of the oldest, if any. */
  readonly oldestAt?: string;
}

/** Facts that outlive the process but are no entries: the last lease, the high-water of hub time. Durable when the promise resolves. */
export type KeptFact = "lease" | "hub-time";

export interface Journal extends AsyncDisposable {
  readonly terminalId: TerminalId;
  readonly epoch: Epoch;
  readonly head: { readonly sequence: number; readonly forward: number; readonly hash: string };

  /**
   * Stores the entries in order, all or none; resolves when they are on disk. Everything appended in one turn of the
   * event loop shares one fsync. After Fault `journal.failed` nothing more is taken until the journal is opened again:
   * what that commit held is unknown.
   */
  append(entries: readonly NewEntry[]): Promise<readonly StoredEntry[]>;

  /** Every entry of a payment, oldest first. */
  entriesOf(paymentId: PaymentId): readonly JournalEntry[];
  /** The newest payments first, at most `limit`. */
  recentPayments(limit: number): readonly PaymentId[];
  /** Payments whose intent has no decision: what a crash interrupted. */
  undecided(): readonly PaymentId[];
  /** Approved payments with no proven ticket. */
  unprinted(): readonly PaymentId[];

  outstanding(): Outstanding;
  /** How many entries wait for the hub's receipt, and since when. */
  backlog(): Backlog;
  /** The newest that match, at most `limit` (1,000 when not said), oldest of them first. */
  queue(filter?: QueueFilter): readonly QueueEntry[];
  /**
   * The next entries to send, oldest first: those left `forwarding` by an earlier run or link, then `eligible` ones;
   * without the sequences in `except`, which are those on their way now.
   */
  nextToForward(limit: number, except?: ReadonlySet<number>): readonly ForwardableEntry[];
  /**
   * Durable before the first byte leaves, so that an entry which may be at the hub is never voided (RM12). Resolves to
   * the sequences that may leave: one that was voided or receipted meanwhile is not among them.
   */
  markForwarding(sequences: readonly number[]): Promise<readonly number[]>;
  /** Applies the hub's receipt and erases the sealed card data of what it names. Unknown sequences or other hashes are counted, not believed. */
  settle(
    results: readonly EntryReceipt[],
  ): Promise<{ readonly settled: readonly QueueEntry[]; readonly unknown: number }>;
  /** Appends the void if its target is still eligible, else says which state forbids it. */
  appendVoid(body: EntryOf<"void">): Promise<Result<StoredEntry, QueueState | "not-found">>;

  /** Called after a commit that put entries into the queue. Returns how to stop listening. */
  onQueued(listener: () => void): () => void;

  recall(fact: KeptFact): string | undefined;
  keep(fact: KeptFact, text: string): Promise<void>;

  /** Walks the whole chain; the first entry that does not fit is named. */
  verify(): Result<{ readonly entries: number }, { readonly sequence: number; readonly why: string }>;
}
