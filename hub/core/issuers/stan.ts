/** Numbers for what is sent to an issuer: DE 11, six digits that begin again after 999999 (RM14). */
import { assert } from "../../../base/assert.ts";
import type { RandomBytes } from "../../../base/ids.ts";

export const STAN_MAX = 999_999;
const STAN_DIGITS = 6;

export class StanCounter {
  #last: number;

  /** `last` is the number before the first that it gives. */
  constructor(last: number) {
    assert(Number.isInteger(last) && last >= 0 && last <= STAN_MAX, "a STAN has six digits");
    this.#last = last;
  }

  /** The next one that is not `taken`, of which there are fewer than there are numbers. Never 000000. */
  next(taken: (stan: string) => boolean): string {
    for (let tried = 0; tried < STAN_MAX; tried += 1) {
      this.#last = this.#last === STAN_MAX ? 1 : this.#last + 1;
      const stan = String(this.#last).padStart(STAN_DIGITS, "0");
      if (!taken(stan)) return stan;
    }
    throw new Error("broken invariant: every STAN is in flight");
  }
}

/**
 * Where a counter begins: anywhere, so that two processes, or one before and after a restart, do not give one number within
 * the second that DE 7 counts.
 */
export function randomStan(random: RandomBytes): number {
  const [a = 0, b = 0, c = 0] = random(3);
  return (a * 0x10000 + b * 0x100 + c) % (STAN_MAX + 1);
}
