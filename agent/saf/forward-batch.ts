/** A batch on its way to the hub: what of it has no receipt yet, and when it is sent again. */
import type { Clock } from "../../base/clock.ts";
import { type RetryPolicy, retrySchedule } from "../../base/retry-schedule.ts";
import type { ForwardedEntry } from "../../wire/advice.ts";
import type { ForwardableEntry } from "../journal/journal.ts";

/** Between two sendings of the same entries. */
export const RESEND_POLICY: RetryPolicy = { firstMs: 1_000, maxMs: 60_000, factor: 2, jitter: 0.3 };
/** A batch with no receipt after this many sendings is sent in halves: one entry may keep the hub from taking it. */
export const SENDS_BEFORE_SPLIT = 3;

/** What an entry adds to a message, in characters. */
export const charactersOf = (entry: ForwardableEntry): number =>
  entry.text.length + (entry.sealed ? entry.sealed.ciphertext.length : 0);

export class ForwardBatch {
  readonly #entries: Map<number, ForwardableEntry>;
  readonly #chance: () => number;
  readonly #delays: Generator<number, never>;
  #sends = 0;
  #cancel: (() => void) | undefined;
  /** Waits between two sendings. */
  resting = false;
  /** On the monotonic clock: when its rest ends. */
  restsUntilMs = 0;
  /** Why its last sending got no receipt. */
  lastError: string | undefined;

  constructor(entries: readonly ForwardableEntry[], chance: () => number) {
    this.#entries = new Map(entries.map((entry) => [entry.sequence, entry]));
    this.#chance = chance;
    this.#delays = retrySchedule(RESEND_POLICY, chance);
  }

  get entries(): readonly ForwardableEntry[] {
    return [...this.#entries.values()];
  }

  get sequences(): readonly number[] {
    return [...this.#entries.keys()];
  }

  get size(): number {
    return this.#entries.size;
  }

  get sends(): number {
    return this.#sends;
  }

  /** One entry that the hub has not answered time and again. */
  get suspect(): boolean {
    return this.size === 1 && this.#sends >= SENDS_BEFORE_SPLIT;
  }

  /** Takes an entry out, if it is in here. */
  remove(sequence: number): ForwardableEntry | undefined {
    const entry = this.#entries.get(sequence);
    this.#entries.delete(sequence);
    return entry;
  }

  /** The entries as the hub gets them: the stored text to the byte, without our own reading of it. */
  toSend(): ForwardedEntry[] {
    this.#sends += 1;
    return this.entries.map(({ accounts: _accounts, paymentId: _paymentId, ...entry }) => entry);
  }

  /** The one timer of the batch: the end of a wait for a receipt, or of a rest. */
  timer(clock: Clock, delayMs: number, callback: () => void): void {
    this.stopTimer();
    this.#cancel = clock.after(delayMs, callback);
  }

  stopTimer(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  nextDelayMs(): number {
    return this.#delays.next().value;
  }

  /** Itself, or its halves when the whole was sent often enough. */
  split(): readonly ForwardBatch[] {
    if (this.#sends < SENDS_BEFORE_SPLIT || this.size < 2) return [this];
    const { entries } = this;
    const middle = Math.ceil(entries.length / 2);
    return [entries.slice(0, middle), entries.slice(middle)].map((half) => new ForwardBatch(half, this.#chance));
  }
}
