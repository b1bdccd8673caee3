/** SQL of reconciliation periods: the business days that messages to an issuer name, and when one can be closed. */
import { type Reading, sql, type Within } from "../../store/store.ts";
import { addDays } from "../settlement/business-day.ts";

const NEWEST = sql<[string], { day: string; closed: number }>(
  "SELECT day, closed FROM switch__period WHERE institution_id = ? ORDER BY day DESC LIMIT 1",
);
const ONE = sql<[string, string], { closed: number }>(
  "SELECT closed FROM switch__period WHERE institution_id = ? AND day = ?",
);
const OPEN = sql<[string, string]>(
  "INSERT INTO switch__period (institution_id, day, closed) VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
);
const CLOSE = sql<[string, string]>("UPDATE switch__period SET closed = 1 WHERE institution_id = ? AND day = ?");
const ENDED = sql<[string, string], { day: string }>(
  "SELECT day FROM switch__period WHERE institution_id = ? AND day < ? AND closed = 0 ORDER BY day LIMIT 1",
);
const ASKED = sql<[string, string], { day: string }>(
  "SELECT day FROM switch__exchange WHERE open = 1 AND institution_id = ? AND day <= ? LIMIT 1",
);
const TOLD = sql<[string, string, number], { day: string }>(
  `SELECT day FROM switch__advice WHERE institution_id = ? AND state IN ('waiting', 'sent') AND day <= ? AND sends < ?
   LIMIT 1`,
);

/** An entry that was sent so often without an answer keeps no day open any more. */
const DOUBT_SENDS_MAX = 10;

export interface Wanted {
  readonly institutionId: string;
  /** By the clock. */
  readonly today: string;
  /** That of an earlier message about the same. */
  readonly earlier?: string | undefined;
}

export const periodStore = {
  /** The open day that a message names: the earlier one; today; or a later one where that is closed, because the clock was set back. */
  async open(within: Within, { institutionId, today, earlier }: Wanted): Promise<string> {
    if (earlier !== undefined && (await within.get(ONE, [institutionId, earlier]))?.closed === 0) return earlier;
    const newest = await within.get(NEWEST, [institutionId]);
    if (newest && newest.day >= today && newest.closed === 0) return newest.day;
    const day = newest && newest.day >= today ? addDays(newest.day, 1) : today;
    await within.run(OPEN, [institutionId, day]);
    return day;
  },
  /** The oldest day before this one that is not closed. */
  ended: async (reading: Reading, institutionId: string, today: string): Promise<string | undefined> =>
    (await reading.get(ENDED, [institutionId, today]))?.day,
  /** The issuer may have posted something on that day of which the hub does not know it. */
  async inDoubt(reading: Reading, institutionId: string, day: string): Promise<boolean> {
    const asked = await reading.get(ASKED, [institutionId, day]);
    return asked !== undefined || (await reading.get(TOLD, [institutionId, day, DOUBT_SENDS_MAX])) !== undefined;
  },
  close: async (within: Within, institutionId: string, day: string): Promise<void> =>
    void (await within.run(CLOSE, [institutionId, day])),
};
