/** When a day of the site's books begins and ends, as instants: 23, 24 or 25 hours, whatever its time zone does. */
import { Fault } from "../../base/fault.ts";
import { businessDate } from "../payment/business-date.ts";

export interface DayRange {
  /** Milliseconds since 1970; `toMs` is excluded. */
  readonly fromMs: number;
  readonly toMs: number;
}

const HOUR_MS = 3_600_000;
/** No zone is further from UTC, and no clock change is longer. */
const OFFSET_MAX_MS = 18 * HOUR_MS;

/** Throws Fault `config.invalid` for a day that the calendar does not have. */
export function dayRange(day: string, timeZone: string): DayRange {
  const noon = Date.parse(`${day}T12:00:00Z`);
  if (Number.isNaN(noon) || new Date(noon).toISOString().slice(0, 10) !== day)
    throw new Fault("config.invalid", `"${day}" is not a day; write it as 2026-01-31`);
  const start = (from: number) => firstInstant(from, (atMs) => businessDate(atMs, timeZone) >= day);
  const end = (from: number) => firstInstant(from, (atMs) => businessDate(atMs, timeZone) > day);
  return { fromMs: start(noon), toMs: end(noon) };
}

/** The first millisecond from which on `reached` holds: days follow each other, so halving finds it. */
function firstInstant(around: number, reached: (atMs: number) => boolean): number {
  let [before, after] = [around - 2 * OFFSET_MAX_MS, around + 2 * OFFSET_MAX_MS];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (reached(middle)) after = middle;
    else before = middle;
  }
  return after;
}
