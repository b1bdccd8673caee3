/**
 * Checks, while the terminal sells, what opening did not read: the years before the newest checkpoint. Slices are short and
 * far enough apart that a sale between them does not notice.
 */
import type { Clock } from "../../base/clock.ts";
import type { ChainError } from "./chain.ts";
import type { FullCheck } from "./full-check.ts";

/** Rows of one slice: about half a millisecond of work. */
export const SLICE_ROWS = 100;
/** Work that one slice may do before it ends early, as on a slow disk. */
const SLICE_MS = 2;
/** From one slice to the next: a million entries are through within a minute, also on a busy box. */
const SLICE_GAP_MS = 2;
const ROWS_AT_ONCE = 25;

export interface BackgroundCheckOptions {
  readonly check: FullCheck;
  readonly clock: Clock;
  readonly onDone: () => void;
  readonly onError: (error: ChainError) => void;
}

export class BackgroundCheck implements Disposable {
  readonly #options: BackgroundCheckOptions;
  #cancel: (() => void) | undefined;

  constructor(options: BackgroundCheckOptions) {
    this.#options = options;
    this.#next();
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #next(): void {
    this.#cancel = this.#options.clock.after(SLICE_GAP_MS, () => this.#slice());
  }

  #slice(): void {
    const { check, clock, onDone, onError } = this.#options;
    this.#cancel = undefined;
    const end = clock.monotonic() + SLICE_MS;
    for (let rows = 0; rows < SLICE_ROWS && clock.monotonic() < end; rows += ROWS_AT_ONCE) {
      const outcome = check.step(ROWS_AT_ONCE);
      if (outcome === "more") continue;
      if (outcome === "done") onDone();
      else onError(outcome);
      return;
    }
    this.#next();
  }
}
