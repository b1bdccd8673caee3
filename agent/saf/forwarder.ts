/**
 * Store-and-forward: brings the journal's queue to the hub in order, in batches, and repeats each until the hub's receipt
 * names it. A repeat is harmless at the hub; nothing but a receipt, by sequence and hash, takes an entry off the queue.
 */
import type { Clock } from "../../base/clock.ts";
import type { Lane } from "../../base/daemon.ts";
import { Fault, isFault } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { BATCH_ENTRIES_MAX, type EntryReceipt } from "../../wire/advice.ts";
import type { Journal, QueueEntry } from "../journal/journal.ts";
import type { Hub } from "../uplink/hub.ts";
import { ForwardBatch, fitting } from "./forward-batch.ts";

/** New batches are made while fewer than this many have no receipt: the hub commits one while the next travels. */
export const BATCHES_IN_FLIGHT_MAX = 4;
/** Single entries that never get a receipt stop counting there up to this many: the rest of the queue moves on past them. */
export const SUSPECTS_MAX = 16;
/** How long a receipt may take before the batch is sent again. */
export const RECEIPT_TIMEOUT_MS = 10_000;
/** Longer than the longest pause between two tries. */
const STANDSTILL_MS = 180_000;

export interface ForwarderOptions {
  readonly journal: Journal;
  /** It signs each batch. */
  readonly hub: Pick<Hub, "state" | "forward" | "onReceipt" | "onState">;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  /** Ends the forwarder. */
  readonly signal: AbortSignal;
}

export interface ForwarderStats {
  /** Entries with no receipt. */
  readonly depth: number;
  /** ISO time of the oldest of them. */
  readonly oldestAt?: string;
  /** Of them, those sent or about to be sent. */
  readonly inFlight: number;
  /** Why the newest sending got no receipt; absent once one came. */
  readonly lastError?: string;
}

export interface Forwarder {
  readonly stats: ForwarderStats;
  /** Stands still when entries wait, the link is up, and nothing is sent or receipted for longer than any pause between tries. */
  readonly lane: Lane;
  /** Sends now what rests between two tries. */
  retry(): void;
}

export function startForwarder(options: ForwarderOptions): Forwarder {
  const drain = new Drain(options);
  const { hub, journal, signal } = options;
  const stops = [
    hub.onState((state) => (state === "up" ? drain.wake() : drain.linkLost())),
    hub.onReceipt((receipt) => void drain.receipted(receipt)),
    journal.onQueued(() => drain.wake()),
  ];
  const stop = () => {
    for (const each of stops) each();
    drain.linkLost();
  };
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  drain.wake();
  return drain;
}

class Drain implements Forwarder {
  readonly #options: ForwarderOptions;
  readonly #batches = new Set<ForwardBatch>();
  /** The sequences in `#batches`. */
  readonly #underway = new Set<number>();
  /** Ends with the link, and what was being sent over it. */
  #link = new AbortController();
  #filling = false;
  #wokenMeanwhile = false;
  #lastError: string | undefined;
  #progressMs: number;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#progressMs = options.clock.monotonic();
  }

  get lane(): Lane {
    const { hub, journal } = this.#options;
    const idle = hub.state !== "up" || journal.backlog().depth === 0;
    return { name: "store-and-forward", lastProgressMs: this.#progressMs, idle, limitMs: STANDSTILL_MS };
  }

  get stats(): ForwarderStats {
    const counts = { ...this.#options.journal.backlog(), inFlight: this.#underway.size };
    return this.#lastError === undefined ? counts : { ...counts, lastError: this.#lastError };
  }

  retry(): void {
    for (const batch of this.#batches) if (batch.resting) void this.#send(batch);
    this.wake();
  }

  wake(): void {
    if (this.lane.idle) this.#progressMs = this.#options.clock.monotonic();
    this.#wokenMeanwhile = true;
    if (!this.#filling) void this.#fill();
  }

  /** What was sent may have arrived: the entries stay `forwarding`, and go first when the link is back. */
  linkLost(): void {
    this.#link.abort(new Fault("uplink.down", "the link to the hub went"));
    this.#link = new AbortController();
    for (const batch of this.#batches) batch.stopTimer();
    this.#batches.clear();
    this.#underway.clear();
  }

  async receipted(receipt: { readonly epoch: string; readonly results: readonly EntryReceipt[] }): Promise<void> {
    const { journal, log } = this.#options;
    this.#progressMs = this.#options.clock.monotonic();
    if (receipt.epoch !== journal.epoch) {
      log.warn("a receipt speaks of another journal", { epoch: receipt.epoch });
      return;
    }
    try {
      const { settled } = await journal.settle(receipt.results);
      if (settled.length > 0) this.#lastError = undefined;
      for (const entry of settled) this.#settled(entry);
    } catch (error) {
      // Unsettled entries are sent again, and the hub gives the same receipt again.
      this.#failed("a receipt could not be stored", error);
      return;
    }
    this.wake();
  }

  /** Makes and sends batches until the window is full or nothing waits. One at a time. */
  async #fill(): Promise<void> {
    this.#filling = true;
    try {
      while (this.#wokenMeanwhile) {
        this.#wokenMeanwhile = false;
        while (this.#mayAdd()) {
          const next = fitting(this.#options.journal.nextToForward(BATCH_ENTRIES_MAX, this.#underway));
          if (next.length === 0) break;
          await this.#send(this.#add(new ForwardBatch(next, () => this.#chance())));
        }
      }
    } catch (error) {
      this.#failed("the queue could not be read", error);
    } finally {
      this.#filling = false;
    }
  }

  #mayAdd(): boolean {
    const { hub, signal } = this.#options;
    if (signal.aborted || hub.state !== "up") return false;
    const suspects = [...this.#batches].filter((batch) => batch.suspect).length;
    return this.#batches.size - Math.min(suspects, SUSPECTS_MAX) < BATCHES_IN_FLIGHT_MAX;
  }

  #add(batch: ForwardBatch): ForwardBatch {
    this.#batches.add(batch);
    for (const sequence of batch.sequences) this.#underway.add(sequence);
    return batch;
  }

  /** Resolves when the batch is on disk as forwarding and handed to the link, which is not yet its arrival. */
  async #send(batch: ForwardBatch): Promise<void> {
    const { journal, clock } = this.#options;
    batch.stopTimer();
    batch.resting = false;
    this.#progressMs = clock.monotonic();
    try {
      const marked = await journal.markForwarding(batch.sequences);
      if (!this.#batches.has(batch)) return;
      for (const sequence of batch.sequences) if (!marked.includes(sequence)) this.#underway.delete(sequence);
      batch.keepOnly(marked);
    } catch (error) {
      this.#unreceipted(batch, error);
      return;
    }
    if (batch.size === 0) {
      this.#batches.delete(batch);
      return;
    }
    const late = new Fault("uplink.timeout", `no receipt within ${RECEIPT_TIMEOUT_MS} ms`);
    batch.timer(clock, RECEIPT_TIMEOUT_MS, () => this.#unreceipted(batch, late));
    void this.#hand(batch);
  }

  async #hand(batch: ForwardBatch): Promise<void> {
    const { hub, journal } = this.#options;
    const content = { epoch: journal.epoch, entries: batch.toSend(), chainHead: journal.head.hash };
    const { sends } = batch;
    try {
      await hub.forward(content, this.#link.signal);
    } catch (error) {
      // An error of an earlier sending says nothing about the one that followed it.
      if (batch.sends === sends && !batch.resting) this.#unreceipted(batch, error);
    }
  }

  /** The batch rests and is sent again; in halves when the whole did not get through several times. */
  #unreceipted(batch: ForwardBatch, error: unknown): void {
    if (!this.#batches.has(batch)) return;
    this.#failed("a batch got no receipt and will be sent again", error, { entries: batch.size, sends: batch.sends });
    batch.stopTimer();
    this.#batches.delete(batch);
    const delayMs = batch.nextDelayMs();
    for (const part of batch.split()) {
      this.#batches.add(part);
      part.resting = true;
      part.timer(this.#options.clock, delayMs, () => void this.#send(part));
    }
  }

  #settled(entry: QueueEntry): void {
    this.#underway.delete(entry.sequence);
    for (const batch of this.#batches) {
      if (!batch.remove(entry.sequence)) continue;
      if (batch.size > 0) break;
      batch.stopTimer();
      this.#batches.delete(batch);
      break;
    }
    if (entry.state === "processed") return;
    const { sequence, paymentId, kind, state, reason, detail } = entry;
    this.#options.log.error("the hub did not take an entry", { sequence, paymentId, kind, state, reason, detail });
  }

  #failed(message: string, error: unknown, fields: Record<string, unknown> = {}): void {
    if (!isFault(error)) throw error;
    this.#lastError = error.message;
    this.#options.log.warn(message, { ...fields, code: error.code, reason: error.message });
  }

  #chance(): number {
    const [high = 0, low = 0] = this.#options.random(2);
    return (high * 256 + low) / 65_536;
  }
}
