/**
 * Agrees with the hub on a day, entry by entry: lists what the queue held, brings back every difference, and sends again what
 * counts as receipted here and is not at the hub.
 */
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import { newMessageId, type RandomBytes } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { toWireMoney } from "../../wire/common.ts";
import {
  type DayReport,
  type DaySummary,
  type Difference,
  SUMMARY_ENTRIES_MAX,
  SUMMARY_PARTS_MAX,
  type SummaryEntry,
} from "../../wire/reconciliation.ts";
import type { DayEntry, Journal } from "../journal/journal.ts";
import { businessDate } from "../payment/business-date.ts";
import type { DayHub } from "./day-hub.ts";
import { dayRange } from "./day-range.ts";

export interface ReconcilerOptions {
  readonly journal: Pick<Journal, "epoch" | "head" | "queuedBetween" | "oldestSequence" | "resendOne">;
  readonly hub: DayHub;
  readonly random: RandomBytes;
  readonly timeZone: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Log;
}

export interface Reconciler {
  /**
   * Of today when no day is named, YYYY-MM-DD in the site's time zone. Throws Fault `config.invalid` for what is no day, and
   * what `DayHub.compare` throws.
   */
  reconcile(day: string | undefined, signal: AbortSignal): Promise<DayReport>;
}

/** Entries looked at before others have their turn: a millisecond or two. */
const SLICE = 500;

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { journal, hub, random, timeZone, now, log } = options;

  async function list(day: string, through: number): Promise<readonly DayEntry[]> {
    const range = dayRange(day, timeZone);
    const found: DayEntry[] = [];
    for (let after = journal.oldestSequence - 1; after < through; after += SLICE) {
      found.push(...journal.queuedBetween({ ...range, after, through: Math.min(after + SLICE, through) }));
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return found;
  }

  /**
   * As when a hub was restored while two copies of a disk were in use: it holds the other's entries under these numbers. The
   * report is told all the same when this cannot be stored: the next comparison finds them again.
   */
  async function tellAgain(differences: readonly Difference[], entries: readonly SummaryEntry[]): Promise<void> {
    const missing = new Set(differences.flatMap(({ what, sequence }) => (what === "missing-at-hub" ? [sequence] : [])));
    try {
      for (const { sequence, forward, paymentId } of entries) {
        if (missing.has(sequence) && (await journal.resendOne(forward)))
          log.error("the hub does not hold an entry that counts as receipted here; it is sent again", {
            ...{ sequence, forward, paymentId },
          });
      }
    } catch (error) {
      if (!isFault(error)) throw error;
      log.warn("what the hub lacks could not be put back into the queue", { reason: reasonOf(error) });
    }
  }

  return {
    async reconcile(day = businessDate(now(), timeZone), signal) {
      const { fromMs, toMs } = dayRange(day, timeZone);
      const { sequence } = journal.head;
      const archivedThrough = journal.oldestSequence - 1;
      const entries = (await list(day, sequence)).map(toSummaryEntry);
      const parts = Math.max(1, Math.ceil(entries.length / SUMMARY_ENTRIES_MAX));
      if (parts > SUMMARY_PARTS_MAX)
        throw new Fault("message.invalid", `${day} has ${entries.length} entries, more than a list can hold`);
      const whole = {
        summaryId: newMessageId(random),
        businessDate: day,
        from: new Date(fromMs).toISOString(),
        to: new Date(toMs).toISOString(),
        epoch: journal.epoch,
        ...(archivedThrough > 0 ? { archivedThrough } : {}),
        parts,
      };
      const summaries = Array.from({ length: parts }, (_, index): DaySummary => {
        const own = entries.slice(index * SUMMARY_ENTRIES_MAX, (index + 1) * SUMMARY_ENTRIES_MAX);
        return { ...whole, part: index + 1, entries: own };
      });
      const report = await hub.compare(summaries, sequence, signal);
      await tellAgain(report.differences, entries);
      return report;
    },
  };
}

function toSummaryEntry({ amount, ...entry }: DayEntry): SummaryEntry {
  return amount === undefined ? entry : { ...entry, ...toWireMoney(amount) };
}
