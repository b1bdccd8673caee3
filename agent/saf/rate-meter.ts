/** How many a second lately: what an estimate of the time that is left is made from. */

/** The time that "lately" spans. */
const SPAN_MS = 30_000;
const BUCKET_MS = 1_000;

export class RateMeter {
  /** One per second in which something happened, oldest first: at most as many as the span has. */
  readonly #buckets: { readonly startMs: number; count: number }[] = [];

  /** `nowMs` on the monotonic clock. */
  count(amount: number, nowMs: number): void {
    const newest = this.#buckets.at(-1);
    if (newest && nowMs - newest.startMs < BUCKET_MS) newest.count += amount;
    else this.#buckets.push({ startMs: nowMs, count: amount });
    this.#forget(nowMs);
  }

  /** Over the time since the first of them, which lies in the span; 0 when nothing happened in it. */
  perSec(nowMs: number): number {
    this.#forget(nowMs);
    const [first] = this.#buckets;
    if (first === undefined) return 0;
    const total = this.#buckets.reduce((sum, { count }) => sum + count, 0);
    return total / (Math.max(nowMs - first.startMs, BUCKET_MS) / 1_000);
  }

  #forget(nowMs: number): void {
    while (this.#buckets[0] && nowMs - this.#buckets[0].startMs > SPAN_MS) this.#buckets.shift();
  }
}
