/** Time, injected: the product uses `systemClock`, tests advance a `ManualClock`. And what the clocks of a place show then. */
import { Fault } from "./fault.ts";

export interface Clock {
  /** Wall clock in milliseconds since 1970, as wrong as the box's clock is. */
  now(): number;
  /** Milliseconds since some fixed instant; never goes back, says nothing across a reboot. */
  monotonic(): number;
  /** Calls back once after `delayMs`; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** A clock that moves only when told; timers fire in order of their due time. */
export class ManualClock implements Clock {
  #now: number;
  #monotonic = 0;
  #timers: { due: number; callback: () => void }[] = [];

  constructor(now = Date.UTC(2026, 0, 5, 9, 0, 0)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { due: this.#monotonic + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves both clocks and fires what falls due, letting promises settle between timers. */
  async advance(byMs: number): Promise<void> {
    const end = this.#monotonic + byMs;
    for (;;) {
      const next = this.#timers.filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#move(Math.max(next.due - this.#monotonic, 0));
      next.callback();
      await settle();
    }
    this.#move(end - this.#monotonic);
    await settle();
  }

  /** Steps the wall clock alone, as a person or an NTP client would. */
  setWall(now: number): void {
    this.#now = now;
  }

  #move(byMs: number): void {
    this.#monotonic += byMs;
    this.#now += byMs;
  }
}

const SETTLE_TURNS = 5;
async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Waits; an abort ends the wait with a Fault `aborted`. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortFault(signal));
    const onAbort = () => {
      cancel();
      reject(abortFault(signal));
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** A signal that aborts after `delayMs` on this clock, or with `parent`. `dispose` frees its timer. */
export function deadline(clock: Clock, delayMs: number, parent?: AbortSignal): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const cancel = clock.after(delayMs, () =>
    controller.abort(new Fault("transport.timeout", `no answer within ${delayMs} ms`)),
  );
  const onAbort = () => controller.abort(parent?.reason);
  if (parent?.aborted) onAbort();
  parent?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      cancel();
      parent?.removeEventListener("abort", onAbort);
    },
  };
}

/**
 * A signal that aborts with the first of these, until it is disposed of. In place of AbortSignal.any, which Node keeps for
 * as long as somebody listens, even when nobody can abort it any more.
 */
export function eitherOf(...parents: readonly AbortSignal[]): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const stops = parents.map((parent) => {
    const onAbort = () => controller.abort(parent.reason);
    if (parent.aborted) onAbort();
    parent.addEventListener("abort", onAbort, { once: true });
    return () => parent.removeEventListener("abort", onAbort);
  });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const stop of stops) stop();
    },
  };
}

/** Races a promise that cannot be cancelled against a signal; the loser's rejection is swallowed. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortFault(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

export function abortFault(signal: AbortSignal): Fault {
  return signal.reason instanceof Fault ? signal.reason : new Fault("aborted", "stopped before it ended");
}

/** Formatters by zone: making one costs a thousand times what using it does. */
const FORMATTERS_MAX = 512;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known) return known;
  if (formatters.size >= FORMATTERS_MAX) formatters.clear();
  // Swedish writes ISO 8601: the same digits in every language, so that tills can read them.
  const made = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" });
  formatters.set(timeZone, made);
  return made;
}

/** How far a zone's clocks are ahead of UTC, all through one quarter of an hour. */
interface Ahead {
  readonly quarter: number;
  /** Undefined where they are set within it. */
  readonly ms: number | undefined;
}
const aheads = new Map<string, Ahead>();
const QUARTER_MS = 900_000;

/** Clocks are set where a quarter of an hour begins, but for a few in history: so what both its ends show holds throughout. */
function aheadOf(timeZone: string, quarter: number): number | undefined {
  const known = aheads.get(timeZone);
  if (known?.quarter === quarter) return known.ms;
  const formatter = formatterOf(timeZone);
  const [first, last] = [quarter * QUARTER_MS, (quarter + 1) * QUARTER_MS - 1_000].map(
    (at) => Date.parse(`${formatter.format(at).replace(" ", "T")}Z`) - at,
  );
  const ms = first === last ? first : undefined;
  if (aheads.size >= FORMATTERS_MAX) aheads.clear();
  aheads.set(timeZone, { quarter, ms });
  return ms;
}

/**
 * `2026-01-05 10:00:00`, by the clocks of that zone. Throws RangeError for a zone that is not known. Asking again within the
 * same quarter of an hour costs no work with calendars, which a sale would have to wait for.
 */
export function localTime(atMs: number, timeZone: string): string {
  const ahead = aheadOf(timeZone, Math.floor(atMs / QUARTER_MS));
  if (ahead === undefined || Number.isNaN(ahead)) return formatterOf(timeZone).format(atMs);
  return new Date(atMs + ahead).toISOString().slice(0, LOCAL_TIME_CHARACTERS).replace("T", " ");
}
const LOCAL_TIME_CHARACTERS = "2026-01-05 10:00:00".length;
