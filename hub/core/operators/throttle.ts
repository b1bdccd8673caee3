/** Slows down whoever guesses: after some wrong log-ins each further one has to wait, twice as long each time. */
import type { Clock } from "../../../base/clock.ts";

export interface Throttle {
  /** Seconds until this one may try again; 0: now. */
  waitSec(source: string): number;
  /** Before a try, so that many at once do not go uncounted. */
  charge(source: string): void;
  /** It was right. */
  forgive(source: string): void;
}

export interface ThrottleOptions {
  readonly clock: Clock;
  /** Wrong tries in a row after which the waiting begins. */
  readonly free: number;
}

const WAIT_MAX_SEC = 900;
const MS_PER_SEC = 1_000;
/** Sources remembered; the one not heard for longest is forgotten at the limit. */
const SOURCES_MAX = 10_000;

interface Tries {
  readonly wrong: number;
  /** Of `clock.monotonic()`. */
  readonly notBefore: number;
}

export function createThrottle({ clock, free }: ThrottleOptions): Throttle {
  const known = new Map<string, Tries>();
  return {
    waitSec: (source) => Math.max(0, Math.ceil(((known.get(source)?.notBefore ?? 0) - clock.monotonic()) / MS_PER_SEC)),
    charge(source) {
      const wrong = (known.get(source)?.wrong ?? 0) + 1;
      const waitSec = wrong < free ? 0 : Math.min(WAIT_MAX_SEC, 2 ** (wrong - free));
      known.delete(source);
      const [oldest] = known.keys();
      if (known.size >= SOURCES_MAX && oldest !== undefined) known.delete(oldest);
      known.set(source, { wrong, notBefore: clock.monotonic() + waitSec * MS_PER_SEC });
    },
    forgive: (source) => void known.delete(source),
  };
}
