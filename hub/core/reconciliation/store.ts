/** All SQL of reconciliation: the parts of a list that is on its way, and each terminal's last list and report of a day. */
import { z } from "zod";
import type { TerminalId } from "../../../base/ids.ts";
import {
  type DayReport,
  DayReportSchema,
  SUMMARY_ENTRIES_MAX,
  SUMMARY_PARTS_MAX,
  type SummaryEntry,
  SummaryEntrySchema,
} from "../../../wire/reconciliation.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

const SummarySchema = z.strictObject({
  summaryId: z.string(),
  from: z.string(),
  to: z.string(),
  epoch: z.string(),
  archivedThrough: z.int(),
  /** The newest entry of the journal when the list was made. */
  head: z.int(),
  listedAt: z.number(),
  entries: z.array(SummaryEntrySchema).max(SUMMARY_ENTRIES_MAX * SUMMARY_PARTS_MAX),
});
export type Summary = z.infer<typeof SummarySchema>;

export interface Part {
  readonly terminalId: TerminalId;
  readonly summaryId: string;
  readonly part: number;
  readonly at: number;
  readonly entries: readonly SummaryEntry[];
}

const FORGET_OTHERS = sql<[string, string]>(
  "DELETE FROM reconciliation__part WHERE terminal_id = ? AND summary_id <> ?",
);
const PUT_PART = sql<[string, string, number, number, string]>(
  `INSERT INTO reconciliation__part (terminal_id, summary_id, part, at, entries) VALUES (?, ?, ?, ?, ?)
   ON CONFLICT DO NOTHING`,
);
const COUNT_PARTS = sql<[string], { parts: number }>(
  "SELECT count(*) AS parts FROM reconciliation__part WHERE terminal_id = ?",
);
const PARTS = sql<[string], { at: number; entries: string }>(
  "SELECT at, entries FROM reconciliation__part WHERE terminal_id = ? ORDER BY part",
);
const FORGET_PARTS = sql<[string]>("DELETE FROM reconciliation__part WHERE terminal_id = ?");

const PartEntriesSchema = z.array(SummaryEntrySchema);

export const partStore = {
  /** A terminal has one list on its way: a newer one takes the place of one that never became whole. */
  async put(within: Within, { terminalId, summaryId, part, at, entries }: Part): Promise<void> {
    await within.run(FORGET_OTHERS, [terminalId, summaryId]);
    await within.run(PUT_PART, [terminalId, summaryId, part, at, JSON.stringify(entries)]);
  },
  count: async (reading: Reading, terminalId: TerminalId) => (await reading.get(COUNT_PARTS, [terminalId]))?.parts ?? 0,
  async takeAll(within: Within, terminalId: TerminalId): Promise<Pick<Summary, "listedAt" | "entries">> {
    const parts = await within.all(PARTS, [terminalId]);
    await within.run(FORGET_PARTS, [terminalId]);
    return {
      listedAt: Math.min(...parts.map(({ at }) => at)),
      entries: parts.flatMap(({ entries }) => PartEntriesSchema.parse(JSON.parse(entries))),
    };
  },
};

export interface Kept {
  readonly terminalId: TerminalId;
  readonly businessDate: string;
  readonly at: number;
  readonly summary: Summary;
  readonly report: DayReport;
}

/** A year of books, and the time to close them. */
const REPORTS_KEPT_MS = 400 * 24 * 3_600_000;

const PUT = sql<[string, string, number, string, string]>(
  `INSERT INTO reconciliation__report (terminal_id, business_date, at, summary, report) VALUES (?, ?, ?, ?, ?)
   ON CONFLICT (terminal_id, business_date) DO UPDATE
   SET at = excluded.at, summary = excluded.summary, report = excluded.report`,
);
const FORGET = sql<[string, string]>("DELETE FROM reconciliation__report WHERE terminal_id = ? AND business_date < ?");
const REPORT = sql<[string, string], { report: string }>(
  "SELECT report FROM reconciliation__report WHERE terminal_id = ? AND business_date = ?",
);
const GET = sql<[string, string], { summary: string }>(
  "SELECT summary FROM reconciliation__report WHERE terminal_id = ? AND business_date = ?",
);

export const reportStore = {
  /** Forgets at the same time what this terminal compared more than a year ago. */
  async put(within: Within, { terminalId, businessDate, at, summary, report }: Kept): Promise<void> {
    const [summaryText, reportText] = [JSON.stringify(summary), JSON.stringify(DayReportSchema.parse(report))];
    await within.run(PUT, [terminalId, businessDate, at, summaryText, reportText]);
    await within.run(FORGET, [terminalId, new Date(at - REPORTS_KEPT_MS).toISOString().slice(0, 10)]);
  },
  /** As it was answered to the terminal. */
  async report(reading: Reading, terminalId: string, businessDate: string): Promise<DayReport | undefined> {
    const row = await reading.get(REPORT, [terminalId, businessDate]);
    return row && DayReportSchema.parse(JSON.parse(row.report));
  },
  async get(reading: Reading, terminalId: string, businessDate: string): Promise<Summary | undefined> {
    const row = await reading.get(GET, [terminalId, businessDate]);
    return row && SummarySchema.parse(JSON.parse(row.summary));
  },
};
