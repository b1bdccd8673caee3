/**
 * Once a day, moves what is old enough from the journal into archives. How old it is, the hub's time alone says: a box whose
 * clock is a year ahead would part with all that its hub has taken.
 */
import type { Clock } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import type { HubClock } from "../uplink/hub.ts";
import type { Journal } from "./journal.ts";

/** After a start a terminal has other things to do. */
export const FIRST_RUN_MS = 600_000;
const HELD = "an old entry that has not ended keeps all after it from being archived, and the journal grows";
const DAY_MS = 86_400_000;
/** While no time is proven it is looked again this much later, so that a box which is switched off each night gets to it. */
const UNPROVEN_GAP_MS = 600_000;
/** Files of one day; a first run over years takes more than one. */
const FILES_A_DAY_MAX = 50;

export interface RetentionOptions {
  readonly journal: Pick<Journal, "archive">;
  readonly days: number;
  readonly clock: Clock;
  readonly hubClock: HubClock;
  readonly log: Log;
}

/** Runs until it is disposed of. */
export function startRetention(options: RetentionOptions): Disposable {
  const { journal, days, clock, hubClock, log } = options;
  const ending = new AbortController();
  let cancel = clock.after(FIRST_RUN_MS, run);

  function run(): void {
    const { at, proven } = hubClock.now();
    cancel = clock.after(proven ? DAY_MS : UNPROVEN_GAP_MS, run);
    if (!proven) return;
    archive(at - days * DAY_MS).catch((error: unknown) => {
      if (isFault(error, "aborted")) return;
      log.warn("old entries could not be archived; they stay in the journal", { reason: reasonOf(error) });
    });
  }

  async function archive(beforeMs: number): Promise<void> {
    for (let files = 0; files < FILES_A_DAY_MAX; files += 1) {
      const { entries, file, heldBy } = await journal.archive(beforeMs, ending.signal);
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
