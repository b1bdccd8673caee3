/** Bounds how often a source may ask: so many at once, and then as they come back with time. */
import type { Clock } from "../base/clock.ts";

export interface RateLimitOptions {
  readonly clock: Clock;
  readonly burst: number;
  readonly perMinute: number;
}

/** Asks and counts: how many seconds the source has to wait, 0 where it may go on. */
export type RateLimit = (source: string) => number;

/** Sources remembered; the one not heard for longest is forgotten at the limit. */
const SOURCES_MAX = 10_000;
const MINUTE_MS = 60_000;
const MS_PER_SEC = 1_000;

interface Bucket {
  readonly left: number;
  readonly at: number;
}

export function createRateLimit({ clock, burst, perMinute }: RateLimitOptions): RateLimit {
  const buckets = new Map<string, Bucket>();
  return (source) => {
    const now = clock.monotonic();
    const known = buckets.get(source);
    const regained = known ? ((now - known.at) * perMinute) / MINUTE_MS : 0;
    const left = known ? Math.min(burst, known.left + regained) : burst;
    // Put last again, so that the first is the one not heard for longest.
    buckets.delete(source);
    const [oldest] = buckets.keys();
    if (buckets.size >= SOURCES_MAX && oldest !== undefined) buckets.delete(oldest);
    const allowed = left >= 1;
    buckets.set(source, { left: allowed ? left - 1 : left, at: now });
    const waitMs = Math.round(((1 - left) * MINUTE_MS) / perMinute);
    return allowed ? 0 : Math.max(1, Math.ceil(waitMs / MS_PER_SEC));
  };
}
