/** Which day a sale counts on in the site's books. */
import { localTime } from "../../base/clock.ts";

/** The day that the site's books count, YYYY-MM-DD (RM17). */
export const businessDate = (atMs: number, timeZone: string): string => localTime(atMs, timeZone).slice(0, 10);
