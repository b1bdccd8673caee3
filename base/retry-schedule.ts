/** Backoff as data: an endless sequence of delays, testable without a timer. */
export interface RetryPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Each delay is the last times this. */
  readonly factor: number;
  /** Share of each delay that chance may take away, 0 to 1, so that a fleet does not return in step. */
  readonly jitter: number;
}

export const RECONNECT_POLICY: RetryPolicy = { firstMs: 200, maxMs: 5_000, factor: 2, jitter: 0.3 };

/** `chance` gives numbers from 0 to below 1. */
export function* retrySchedule(policy: RetryPolicy, chance: () => number): Generator<number, never> {
  let delayMs = policy.firstMs;
  for (;;) {
    yield Math.round(delayMs * (1 - policy.jitter * chance()));
    delayMs = Math.min(delayMs * policy.factor, policy.maxMs);
  }
}
