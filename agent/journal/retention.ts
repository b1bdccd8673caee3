/** Once a day, moves what is old enough from the journal into archives. */
import type { Clock } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import type { Journal } from "./journal.ts";

/** After a start a terminal has other things to do. */
export const FIRST_RUN_MS = 600_000;
const HELD = "an old entry that has not ended keeps all after it from being archived, and the journal grows";
const DAY_MS = 86_400_000;
/** Files of one day; a first run over years takes more than one. */
const FILES_A_DAY_MAX = 50;

export interface RetentionOptions {
  readonly journal: Pick<Journal, "archive">;
  readonly days: number;
  readonly clock: Clock;
  /** Milliseconds since 1970, as the terminal believes them. */
  readonly now: () => number;
  readonly log: Log;
}

/** Runs until it is disposed of. */
export function startRetention(options: RetentionOptions): Disposable {
  const { journal, days, clock, now, log } = options;
  const ending = new AbortController();
  let cancel = clock.after(FIRST_RUN_MS, run);

  function run(): void {
    cancel = clock.after(DAY_MS, run);
    archive().catch((error: unknown) => {
      if (isFault(error, "aborted")) return;
      log.warn("old entries could not be archived; they stay in the journal", { reason: reasonOf(error) });
    });
  }

  async function archive(): Promise<void> {
    for (let files = 0; files < FILES_A_DAY_MAX; files += 1) {
      const { entries, file, heldBy } = await journal.archive(now() - days * DAY_MS, ending.signal);
      if (heldBy) log.error(HELD, { ...heldBy, whatToDo: `tillway queue show ${heldBy.sequence}` });
      if (entries === 0) return;
      log.info("old entries were archived", { entries, file });
    }
  }

  return {
    [Symbol.dispose]() {
      cancel();
      ending.abort();
    },
  };
}
