/**
 * Virtual time: one timeline of events for the whole world, and a clock for each node that drifts, is stepped and dies
 * with its node. Events come in order of their due time, then of their making; no real time passes.
 */
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";

/** Due times are whole microseconds: a timer that is armed again for a rounding error still moves time on. */
const US_PER_MS = 1_000;
/** As in Node: a shorter delay, or none, is one millisecond. */
const DELAY_MS_MIN = 1;
/** Cancelled events are swept out of the heap once there are this many, and more than of the live ones. */
const SWEEP_EVENTS_MIN = 1_024;

interface Scheduled {
  readonly dueUs: number;
  readonly order: number;
  /** Absent once it fired or was cancelled. */
  callback: (() => void) | undefined;
}

/** The events to come, as a binary heap. */
export class Timeline {
  #heap: Scheduled[] = [];
  #cancelled = 0;
  #order = 0;
  #nowUs = 0;

  /** Microseconds since the world began. */
  get nowUs(): number {
    return this.#nowUs;
  }

  /** Milliseconds since the world began. */
  get now(): number {
    return this.#nowUs / US_PER_MS;
  }

  /** How many events are to come. */
  get size(): number {
    return this.#heap.length - this.#cancelled;
  }

  /** When the next event comes, in microseconds; undefined when none does. */
  get nextUs(): number | undefined {
    return this.#first()?.dueUs;
  }

  /** Calls back once at that time, or now if that has passed; the returned function cancels. */
  at(dueUs: number, callback: () => void): () => void {
    const event: Scheduled = { dueUs: Math.max(Math.ceil(dueUs), this.#nowUs), order: this.#order, callback };
    this.#order += 1;
    this.#push(event);
    return () => this.#cancel(event);
  }

  /** Calls back once after `delayMs`, which may be 0. */
  after(delayMs: number, callback: () => void): () => void {
    return this.at(this.#nowUs + delayMs * US_PER_MS, callback);
  }

  /** Moves to the next event and calls it; false when there is none, or it comes later than `limitUs`. */
  step(limitUs: number): boolean {
    const event = this.#first();
    if (!event || event.dueUs > limitUs) return false;
    this.#pop();
    this.#nowUs = event.dueUs;
    const { callback } = event;
    event.callback = undefined;
    callback?.();
    return true;
  }

  /** Moves time alone, to an instant before the next event. */
  moveTo(nowUs: number): void {
    assert(nowUs >= this.#nowUs, "time does not go back");
    assert((this.nextUs ?? nowUs) >= nowUs, "no event may be passed over");
    this.#nowUs = nowUs;
  }

  #cancel(event: Scheduled): void {
    if (!event.callback) return;
    event.callback = undefined;
    this.#cancelled += 1;
    if (this.#cancelled < SWEEP_EVENTS_MIN || this.#cancelled * 2 < this.#heap.length) return;
    const live = this.#heap.filter((other) => other.callback);
    this.#cancelled = 0;
    // A sorted array is a heap.
    this.#heap = live.sort((a, b) => (isEarlier(a, b) ? -1 : 1));
  }

  /** The next live event; cancelled ones before it are dropped. */
  #first(): Scheduled | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (!first || first.callback) return first;
      this.#pop();
      this.#cancelled -= 1;
    }
  }

  #push(event: Scheduled): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (!parent || isEarlier(parent, event)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    const size = heap.length;
    if (!last || size === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      let child = heap[below];
      if (!child) break;
      const other = heap[below + 1];
      if (other && isEarlier(other, child)) {
        child = other;
        below += 1;
      }
      if (isEarlier(last, child)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}

const isEarlier = (a: Scheduled, b: Scheduled): boolean =>
  a.dueUs < b.dueUs || (a.dueUs === b.dueUs && a.order < b.order);

/** Parts per million that a clock may run fast or slow: a thousand times what a bad quartz does. */
export const DRIFT_PPM_MAX = 100_000;

export const CLOCK_FAULT_NAMES = ["clock.drift", "clock.step"] as const;

export interface ClockOptions {
  readonly timeline: Timeline;
  /** The wall clock at the beginning. */
  readonly wall: number;
  readonly count?: (fault: (typeof CLOCK_FAULT_NAMES)[number]) => void;
}

/** One node's clock: its own idea of the time, and its own timers. */
export class SimulatedClock implements Clock {
  readonly #timeline: Timeline;
  readonly #count: ClockOptions["count"];
  readonly #timers = new Set<() => void>();
  /** Both clocks are straight lines from this instant on. */
  #baseUs: number;
  #baseWall: number;
  #baseMonotonic = 0;
  #rate = 1;
  #stopped = false;

  constructor({ timeline, wall, count }: ClockOptions) {
    this.#timeline = timeline;
    this.#count = count;
    this.#baseUs = timeline.nowUs;
    this.#baseWall = wall;
  }

  now(): number {
    return Math.floor(this.#baseWall + this.#elapsed());
  }

  monotonic(): number {
    return this.#baseMonotonic + this.#elapsed();
  }

  after(delayMs: number, callback: () => void): () => void {
    if (this.#stopped) return () => undefined;
    const delay = (Math.max(delayMs, DELAY_MS_MIN) * US_PER_MS) / this.#rate;
    const cancel = this.#timeline.at(this.#timeline.nowUs + delay, () => {
      this.#timers.delete(cancel);
      callback();
    });
    this.#timers.add(cancel);
    return () => {
      this.#timers.delete(cancel);
      cancel();
    };
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Runs fast (positive) or slow from now on; timers that are set keep their instant. */
  setDrift(ppm: number): void {
    assert(Math.abs(ppm) <= DRIFT_PPM_MAX, "a clock that drifts more is no clock");
    this.#rebase();
    this.#rate = 1 + ppm / 1e6;
    if (ppm !== 0) this.#count?.("clock.drift");
  }

  /** Steps the wall clock alone, as a person or an NTP client would. */
  stepWall(byMs: number): void {
    this.#baseWall += byMs;
    this.#count?.("clock.step");
  }

  /** As `stepWall`, to an instant in milliseconds since 1970, such as 0 for a box whose battery is empty. */
  setWall(now: number): void {
    this.stepWall(now - this.now());
  }

  /** The node is gone: its timers never fire, and none can be set until `reboot`. */
  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  /** The monotonic clock begins again; the wall clock has run on. */
  reboot(): void {
    this.stop();
    this.#rebase();
    this.#baseMonotonic = 0;
    this.#stopped = false;
  }

  #elapsed(): number {
    return ((this.#timeline.nowUs - this.#baseUs) / US_PER_MS) * this.#rate;
  }

  #rebase(): void {
    const elapsed = this.#elapsed();
    this.#baseWall += elapsed;
    this.#baseMonotonic += elapsed;
    this.#baseUs = this.#timeline.nowUs;
  }
}
