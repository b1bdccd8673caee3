/** Compares each day with the hub once it has ended, so that a difference is found when nobody asks for it. */
import type { Clock } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Journal } from "../journal/journal.ts";
import { businessDate } from "../payment/business-date.ts";
import type { Hub } from "../uplink/hub.ts";
import { dayRange } from "./day-range.ts";
import type { Reconciler } from "./reconciler.ts";

export const LOOK_EVERY_MS = 600_000;
/** Terminals of one hub end their days together: each waits for up to so long, by chance. */
export const SPREAD_MS = 3_600_000;
/** What waits for the hub is waited for, so long after the day's end. */
export const PATIENCE_MS = 6 * 3_600_000;
/** After a comparison that failed. */
export const TRY_AGAIN_MS = 3_600_000;
/** Older days, missed while there was no link, are left to a person. */
export const DAYS_BACK_MAX = 31;
const DAY_MS = 86_400_000;

export interface DailyComparisonOptions {
  readonly reconciler: Reconciler;
  readonly journal: Pick<Journal, "recall" | "keep" | "backlog">;
  readonly hub: Pick<Hub, "state">;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly timeZone: string;
  /** Milliseconds since 1970, as the terminal believes them. */
  readonly now: () => number;
  readonly log: Log;
}

/** Runs until it is disposed of. */
export function startDailyComparison(options: DailyComparisonOptions): Disposable {
  const { reconciler, journal, hub, clock, random, timeZone, now, log } = options;
  const ending = new AbortController();
  const [chance = 0] = random(1);
  const waitMs = (chance / 256) * SPREAD_MS;
  let cancel = clock.after(LOOK_EVERY_MS, look);

  function look(): void {
    void compareNext().then((nextMs) => {
      if (!ending.signal.aborted) cancel = clock.after(nextMs, look);
    });
  }

  /** When to look again. */
  async function compareNext(): Promise<number> {
    try {
      const day = hub.state === "up" ? dueDay() : undefined;
      if (day === undefined) return LOOK_EVERY_MS;
      const { agreed, unexplained, differences, more } = await reconciler.reconcile(day, ending.signal);
      const fields = { day, agreed, differences: differences.length + more };
      if (unexplained > 0)
        log.error("the hub does not agree with a day", {
          ...fields,
          unexplained,
          whatToDo: `tillway reconcile --day ${day}`,
        });
      else log.info("a day was compared with the hub", fields);
      await journal.keep("day-compared", day);
      return LOOK_EVERY_MS;
    } catch (error) {
      if (!isFault(error, "aborted"))
        log.warn("a day could not be compared with the hub; it is tried again", { reason: reasonOf(error) });
      return TRY_AGAIN_MS;
    }
  }

  function dueDay(): string | undefined {
    const day = nextDay();
    if (day >= businessDate(now(), timeZone)) return undefined;
    const sinceMs = now() - dayRange(day, timeZone).toMs;
    if (sinceMs < waitMs) return undefined;
    return journal.backlog().depth > 0 && sinceMs < PATIENCE_MS ? undefined : day;
  }

  function nextDay(): string {
    const today = businessDate(now(), timeZone);
    const compared = journal.recall("day-compared");
    if (compared === undefined || Number.isNaN(Date.parse(compared))) return shifted(today, -1);
    const oldest = shifted(today, -DAYS_BACK_MAX);
    return compared < oldest ? oldest : shifted(compared, 1);
  }

  return {
    [Symbol.dispose]() {
      cancel();
      ending.abort();
    },
  };
}

/** A day of the calendar, whatever a time zone does to its length. */
const shifted = (day: string, byDays: number): string =>
  new Date(Date.parse(day) + byDays * DAY_MS).toISOString().slice(0, 10);
