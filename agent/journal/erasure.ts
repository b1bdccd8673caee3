/**
 * Makes erasure reach the disk. Overwritten pages stay readable in the write-ahead log until a checkpoint empties it,
 * and a checkpoint on every receipt would cost the drain its rate: so one follows the first erasure within a bound (RM5).
 */
import type { Clock } from "../../base/clock.ts";
import { reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import type { Sqlite } from "../../base/sqlite.ts";

/** Sealed card data are gone from every file of the journal this long after their receipt, at the latest. */
export const ERASED_WITHIN_MS = 30_000;

/** Empties the write-ahead log. Throws when that could not be done. */
export function emptyLog(database: Sqlite): void {
  const busy: unknown = database.pragma("wal_checkpoint(TRUNCATE)", { simple: true });
  if (busy !== 0) throw new Error("another connection reads the journal");
}

export class Erasure implements Disposable {
  readonly #options: { readonly database: Sqlite; readonly clock: Clock; readonly log: Log };
  #cancel: (() => void) | undefined;

  constructor(options: { readonly database: Sqlite; readonly clock: Clock; readonly log: Log }) {
    this.#options = options;
  }

  /** Something was overwritten just now. */
  due(): void {
    this.#cancel ??= this.#options.clock.after(ERASED_WITHIN_MS, () => {
      this.#cancel = undefined;
      this.#empty();
    });
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #empty(): void {
    try {
      emptyLog(this.#options.database);
    } catch (error) {
      this.#options.log.warn("erased card data are still in the log of the journal", { reason: reasonOf(error) });
      this.due();
    }
  }
}
