/** The site's own time: what stands on receipts, what cards are told, and which day the books count. */

/** Formatters by zone: making one costs a thousand times what using it does. A site has one zone. */
const FORMATTERS_MAX = 16;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known) return known;
  if (formatters.size >= FORMATTERS_MAX) formatters.clear();
  // Swedish writes ISO 8601: the same digits in every language, so that tills can read them.
  const made = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" });
  formatters.set(timeZone, made);
  return made;
}

/** `2026-01-05 10:00:00`. */
export const localTime = (atMs: number, timeZone: string): string => formatterOf(timeZone).format(atMs);

/** The day that the site's books count, YYYY-MM-DD (RM17). */
export const businessDate = (atMs: number, timeZone: string): string => localTime(atMs, timeZone).slice(0, 10);
