/**
 * Store-and-forward: brings the journal's queue to the hub in batches, and repeats each until the hub's receipt names it. A
 * repeat is harmless at the hub; nothing but a receipt, by sequence and hash, takes an entry off the queue.
 *
 * One drain at a time: the journal's file is locked for its one opener, and each opening has a higher fence, which every
 * batch carries under its signature. So of two runs that meet at the hub, the late batch of the earlier one is not taken.
 * Order is kept per account, not over the whole queue: one bad entry holds up its own account until it is quarantined.
 */
import type { Clock } from "../../base/clock.ts";
import type { Lane } from "../../base/daemon.ts";
import { Fault, isFault } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { ForwardableEntry, Journal, SettledEntry } from "../journal/journal.ts";
import { type HeardReceipt, type Hub, takesAdvices } from "../uplink/hub.ts";
import { ForwardBatch } from "./forward-batch.ts";
import { HubHoldings } from "./hub-holdings.ts";
import { LookAhead } from "./look-ahead.ts";
import { RateMeter } from "./rate-meter.ts";
import { Underway } from "./underway.ts";

/** New batches are made while fewer than this many have no receipt: the hub commits many of them together. */
export const BATCHES_IN_FLIGHT_MAX = 64;
/** And while what is under way takes less memory than this, in characters. */
export const CHARACTERS_IN_FLIGHT_MAX = 8_000_000;
/**
 * Batches handed to the link that it has not taken yet. Each way to the hub carries so much at one time, 64 messages over MQTT
 * and 8 connections of HTTPS, and what a person at the counter waits for must find room beside the drain.
 */
export const HANDED_MAX = 48;
export const HANDED_BY_HTTPS_MAX = 4;
/** Batches that are made ready in one turn: their marks share one commit, for which a sale of that turn waits as well. */
export const BATCHES_PER_TURN = 8;
/** Single entries that never get a receipt stop counting there up to this many: the rest of the queue moves on past them. */
export const SUSPECTS_MAX = 16;
/** How long a receipt may take before the batch is sent again. */
export const RECEIPT_TIMEOUT_MS = 10_000;
/** The hub is told again what it lost a slice at a time, while fewer than this many entries wait (RM18). */
export const RESEND_DEPTH_MAX = 4_000;
/** Longer than the longest pause between two tries. */
const STANDSTILL_MS = 180_000;

export interface ForwarderOptions {
  readonly journal: Journal;
  /** It signs each batch. */
  readonly hub: Pick<Hub, "state" | "advicesOnly" | "via" | "forward" | "onReceipt" | "onHeld" | "onState">;
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

/** How one entry waits. */
export interface EntryWait {
  /** `behind`: not on its way, for want of a link or because others go first. */
  readonly at: "behind" | "in-flight" | "resting";
  readonly nextTryInMs?: number;
  /** Why its last sending got no receipt. */
  readonly lastError?: string;
}

/** `behind`: this earlier entry of the same account must go first. */
export type ForceRefusal =
  | { readonly why: "link-down" | "not-waiting" }
  | { readonly why: "behind"; readonly sequence: number };

export interface Forwarder {
  readonly stats: ForwarderStats;
  /** Entries with a receipt a second, lately. */
  readonly ratePerSec: number;
  /** Stands still when entries wait, the link is up, and nothing is sent or receipted for longer than any pause between tries. */
  readonly lane: Lane;
  /** Sends now what rests between two tries. */
  retry(): void;
  waitOf(sequence: number): EntryWait;
  /** Why the entry cannot be sent just now, if it cannot. */
  whyNot(sequence: number): ForceRefusal | undefined;
  /** Sends one entry now, ahead of all other accounts, whatever rest it is in. */
  force(sequence: number): Result<undefined, ForceRefusal>;
}

export function startForwarder(options: ForwarderOptions): Forwarder {
  const drain = new Drain(options);
  const holdings = new HubHoldings(options);
  const { hub, journal, log, signal } = options;
  const stops = [
    hub.onState(() => (takesAdvices(hub) ? drain.wake() : drain.linkLost())),
    hub.onHeld((held) => void holdings.heard(held)),
    hub.onReceipt((receipt) => {
      if (holdings.isOutdated(receipt))
        log.warn("a receipt from before the hub was restored came late and was dropped");
      else void drain.receipted(receipt);
    }),
    journal.onQueued((reopened) => drain.queued(reopened)),
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
  /** What is in `#batches`. */
  readonly #underway = new Underway();
  readonly #next = new LookAhead((limit, after) => this.#options.journal.nextToForward(limit, after), this.#underway);
  readonly #rate = new RateMeter();
  /** Ends with the link, and what was being sent over it. */
  #link = new AbortController();
  /** Made and not yet taken by the link. */
  readonly #unhanded = new Set<ForwardBatch>();
  /** On their way and open once more by the commit that settled them: read again as soon as their batch has let go of them. */
  readonly #reopened = new Set<number>();
  #filling = false;
  #resending = false;
  #wokenMeanwhile = false;
  #lastError: string | undefined;
  #progressMs: number;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#progressMs = options.clock.monotonic();
  }

  get lane(): Lane {
    const { hub, journal } = this.#options;
    const idle = !takesAdvices(hub) || journal.backlog().depth === 0;
    return { name: "store-and-forward", lastProgressMs: this.#progressMs, idle, limitMs: STANDSTILL_MS };
  }

  get stats(): ForwarderStats {
    const counts = { ...this.#options.journal.backlog(), inFlight: this.#underway.size };
    return this.#lastError === undefined ? counts : { ...counts, lastError: this.#lastError };
  }

  get ratePerSec(): number {
    return this.#rate.perSec(this.#options.clock.monotonic());
  }

  retry(): void {
    for (const batch of [...this.#batches]) if (batch.resting) void this.#sendAgain(batch);
    this.wake();
  }

  waitOf(sequence: number): EntryWait {
    const batch = this.#underway.batchOf(sequence);
    if (batch === undefined) return { at: "behind" };
    const error = batch.lastError === undefined ? {} : { lastError: batch.lastError };
    if (!batch.resting) return { at: "in-flight", ...error };
    return { at: "resting", nextTryInMs: Math.max(0, batch.restsUntilMs - this.#options.clock.monotonic()), ...error };
  }

  whyNot(sequence: number): ForceRefusal | undefined {
    const { hub, journal, signal } = this.#options;
    if (!takesAdvices(hub) || signal.aborted) return { why: "link-down" };
    const [entry] = journal.nextToForward(1, sequence - 1);
    if (entry?.sequence !== sequence) return { why: "not-waiting" };
    const before = journal.waitingBefore(entry);
    return before === undefined ? undefined : { why: "behind", sequence: before };
  }

  force(sequence: number): Result<undefined, ForceRefusal> {
    const refusal = this.whyNot(sequence);
    if (refusal) return fail(refusal);
    const [entry] = this.#options.journal.nextToForward(1, sequence - 1);
    if (entry === undefined) return fail({ why: "not-waiting" });
    this.#takeOut(entry);
    this.#next.drop(sequence);
    void this.#send(this.#add([entry]));
    return ok(undefined);
  }

  queued(reopened: readonly number[]): void {
    for (const sequence of reopened) if (this.#underway.batchOf(sequence)) this.#reopened.add(sequence);
    this.#next.grown();
    if (reopened.length > 0) this.#next.rereadFrom(Math.min(...reopened));
    this.wake();
  }

  wake(): void {
    if (this.#batches.size === 0 && this.lane.idle) this.#progressMs = this.#options.clock.monotonic();
    this.#wokenMeanwhile = true;
    if (!this.#filling) void this.#fill();
    void this.#tellAgain();
  }

  /** What was sent may have arrived: the entries stay `forwarding`, and go again in their order when the link is back. */
  linkLost(): void {
    this.#link.abort(new Fault("uplink.down", "the link to the hub went"));
    this.#link = new AbortController();
    for (const batch of this.#batches) batch.stopTimer();
    this.#batches.clear();
    this.#unhanded.clear();
    this.#underway.clear();
    this.#reopened.clear();
    this.#next.rereadFrom(1);
  }

  async receipted(receipt: HeardReceipt): Promise<void> {
    const { journal, clock, log } = this.#options;
    this.#progressMs = clock.monotonic();
    if (receipt.epoch !== journal.epoch) {
      log.warn("a receipt speaks of another journal", { epoch: receipt.epoch });
      return;
    }
    try {
      const { settled } = await journal.settle(receipt.results, receipt);
      if (settled.length > 0) this.#lastError = undefined;
      this.#rate.count(settled.length, clock.monotonic());
      for (const entry of settled) this.#settled(entry);
    } catch (error) {
      // Unsettled entries are sent again, and the hub gives the same receipt again.
      this.#failed("a receipt could not be stored", error);
      return;
    }
    this.wake();
  }

  /** Makes and sends batches until the window is full or nothing may leave. One at a time. */
  async #fill(): Promise<void> {
    this.#filling = true;
    try {
      while (this.#wokenMeanwhile) {
        this.#wokenMeanwhile = false;
        for (let made = this.#makeBatches(); made.length > 0; made = this.#makeBatches()) {
          await Promise.all(made.map((batch) => this.#send(batch)));
        }
      }
    } catch (error) {
      this.#failed("the queue could not be read", error);
    } finally {
      this.#filling = false;
    }
  }

  #makeBatches(): readonly ForwardBatch[] {
    const made: ForwardBatch[] = [];
    while (made.length < BATCHES_PER_TURN && this.#mayAdd()) {
      const next = this.#next.take();
      if (next.length === 0) break;
      made.push(this.#add(next));
    }
    return made;
  }

  #mayAdd(): boolean {
    const { hub, signal } = this.#options;
    if (signal.aborted || !takesAdvices(hub) || this.#underway.characters >= CHARACTERS_IN_FLIGHT_MAX) return false;
    if (this.#unhanded.size >= (hub.via === "https" ? HANDED_BY_HTTPS_MAX : HANDED_MAX)) return false;
    if (this.#batches.size < BATCHES_IN_FLIGHT_MAX) return true;
    const suspects = [...this.#batches].filter((batch) => batch.suspect).length;
    return this.#batches.size - Math.min(suspects, SUSPECTS_MAX) < BATCHES_IN_FLIGHT_MAX;
  }

  #add(entries: readonly ForwardableEntry[]): ForwardBatch {
    const batch = new ForwardBatch(entries, () => this.#chance());
    this.#keep(batch);
    this.#unhanded.add(batch);
    return batch;
  }

  #keep(batch: ForwardBatch): void {
    this.#batches.add(batch);
    for (const entry of batch.entries) this.#underway.add(entry, batch);
  }

  /** After a rest. What meanwhile has an earlier entry of its account on the way goes back among those that wait. */
  async #sendAgain(batch: ForwardBatch): Promise<void> {
    const behind = batch.entries.filter((entry) => this.#underway.isBehind(entry, batch));
    for (const entry of behind) this.#takeOut(entry);
    const [first] = behind;
    if (first) this.#next.rereadFrom(first.sequence);
    if (this.#batches.has(batch)) await this.#send(batch);
  }

  /** Resolves when the batch is on disk as forwarding and handed to the link, which is not yet its arrival. */
  async #send(batch: ForwardBatch): Promise<void> {
    const { journal, clock } = this.#options;
    batch.stopTimer();
    batch.resting = false;
    this.#unhanded.add(batch);
    this.#progressMs = clock.monotonic();
    try {
      const marked = new Set(await journal.markForwarding(batch.sequences));
      if (!this.#batches.has(batch)) return void this.#unhanded.delete(batch);
      for (const entry of batch.entries) if (!marked.has(entry.sequence)) this.#takeOut(entry);
    } catch (error) {
      this.#unhanded.delete(batch);
      this.#unreceipted(batch, error);
      return;
    }
    if (batch.size === 0) return void this.#unhanded.delete(batch);
    const late = new Fault("uplink.timeout", `no receipt within ${RECEIPT_TIMEOUT_MS} ms`);
    batch.timer(clock, RECEIPT_TIMEOUT_MS, () => this.#unreceipted(batch, late));
    void this.#hand(batch);
  }

  async #hand(batch: ForwardBatch): Promise<void> {
    const { hub, journal } = this.#options;
    const { epoch, fence, head } = journal;
    const content = { epoch, fence, entries: batch.toSend(), chainHead: head.hash };
    const { sends } = batch;
    try {
      await hub.forward(content, this.#link.signal);
    } catch (error) {
      // An error of an earlier sending says nothing about the one that followed it.
      if (batch.sends === sends && !batch.resting) this.#unreceipted(batch, error);
    } finally {
      this.#unhanded.delete(batch);
      this.wake();
    }
  }

  /** The batch rests and is sent again; in halves when the whole did not get through several times. */
  #unreceipted(batch: ForwardBatch, error: unknown): void {
    if (!this.#batches.has(batch)) return;
    const why = this.#failed("a batch got no receipt and will be sent again", error, {
      entries: batch.size,
      sends: batch.sends,
    });
    const { clock } = this.#options;
    batch.stopTimer();
    this.#batches.delete(batch);
    const delayMs = batch.nextDelayMs();
    for (const part of batch.split()) {
      this.#keep(part);
      part.resting = true;
      part.restsUntilMs = clock.monotonic() + delayMs;
      part.lastError = why;
      part.timer(clock, delayMs, () => void this.#sendAgain(part));
    }
    this.wake();
  }

  #settled(entry: SettledEntry): void {
    this.#takeOut(entry);
    if (entry.state === "processed") return;
    const { sequence, paymentId, kind, state, reason, detail } = entry;
    this.#options.log.error("the hub did not take an entry", { sequence, paymentId, kind, state, reason, detail });
  }

  /** Takes an entry out of its batch, and ends the batch that it was the last of. */
  #takeOut({ sequence }: { readonly sequence: number }): void {
    const batch = this.#underway.batchOf(sequence);
    const entry = batch?.remove(sequence);
    if (!batch || !entry) return;
    this.#underway.remove(entry);
    if (this.#reopened.delete(sequence)) this.#next.rereadFrom(sequence);
    if (batch.size > 0) return;
    batch.stopTimer();
    this.#batches.delete(batch);
  }

  /** The next slice of what the hub lost, once little waits. */
  async #tellAgain(): Promise<void> {
    const { journal, signal } = this.#options;
    if (this.#resending || signal.aborted) return;
    this.#resending = true;
    try {
      for (let from = journal.resending; from !== undefined && !signal.aborted; from = journal.resending) {
        if (journal.backlog().depth >= RESEND_DEPTH_MAX) return;
        await journal.resendFrom(from);
      }
    } catch (error) {
      this.#failed("what the hub lost could not be put back into the queue", error);
    } finally {
      this.#resending = false;
    }
  }

  #failed(message: string, error: unknown, fields: Record<string, unknown> = {}): string {
    if (!isFault(error)) throw error;
    this.#lastError = error.message;
    this.#options.log.warn(message, { ...fields, code: error.code, reason: error.message });
    return error.message;
  }

  #chance(): number {
    const [high = 0, low = 0] = this.#options.random(2);
    return (high * 256 + low) / 65_536;
  }
}
