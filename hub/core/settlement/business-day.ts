/** The days that a site's books count: from one cutover to the next, in the site's own time zone (RM17). */
import { localTime } from "../../../base/clock.ts";

export interface DayTerms {
  /** IANA name. */
  readonly timeZone: string;
  /** HH:MM on the site's clocks: when one business day ends and the next begins. */
  readonly cutover: string;
}

/** `to` is excluded. */
export interface BusinessDay {
  /** YYYY-MM-DD: the date on which it begins. */
  readonly date: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const DAY_MS = 86_400_000;
const SECOND_MS = 1_000;

/** A name, and no offset: offsets know nothing of summer time. */
export function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    return localTime(0, text) !== "";
  } catch {
    return false;
  }
}

/** How far the zone's clocks are ahead of UTC at that instant. */
const aheadMs = (atMs: number, timeZone: string): number =>
  Date.parse(`${localTime(atMs, timeZone).replace(" ", "T")}Z`) - Math.floor(atMs / SECOND_MS) * SECOND_MS;

export const addDays = (date: string, days: number): string =>
  new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);

/**
 * When the site's clocks show the cutover of that date. Where they show it twice, the first time; where they leap over it,
 * as long after the leap as it lies in it.
 */
export function cutoverOf(date: string, { timeZone, cutover }: DayTerms): number {
  const asUtc = Date.parse(`${date}T${cutover}:00Z`);
  const [before, later] = [aheadMs(asUtc - DAY_MS, timeZone), aheadMs(asUtc + DAY_MS, timeZone)];
  const shown = [asUtc - Math.max(before, later), asUtc - Math.min(before, later)].find(
    (atMs) => localTime(atMs, timeZone) === `${date} ${cutover}:00`,
  );
  return shown ?? asUtc - before;
}

/** The day that an instant belongs to. */
export function businessDayAt(atMs: number, terms: DayTerms): BusinessDay {
  const localDate = localTime(atMs, terms.timeZone).slice(0, 10);
  const date = cutoverOf(localDate, terms) <= atMs ? localDate : addDays(localDate, -1);
  return { date, fromMs: cutoverOf(date, terms), toMs: cutoverOf(addDays(date, 1), terms) };
}
