/**
 * Agrees with a terminal on its day: gathers the parts of its list, sets it beside what was taken and posted, and keeps the
 * last list and report of each terminal and day, so that the comparison can be made again.
 */
import { z } from "zod";
import type { Clock } from "../../../base/clock.ts";
import type { Epoch, PaymentId, TerminalId } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
import type { UpOf } from "../../../wire/envelope.ts";
import { EntryBodySchema } from "../../../wire/journal-entry.ts";
import {
  type DayReport,
  DayReportSchema,
  DIFFERENCES_MAX,
  type Difference,
  SUMMARY_ENTRIES_MAX,
  SUMMARY_PARTS_MAX,
  SummaryEntrySchema,
} from "../../../wire/reconciliation.ts";
import { parseJson } from "../../../wire/signing.ts";
import type { DayEntries, Stretch, TakenEntry } from "../ingest/index.ts";
import { compareDay, type HubEntry } from "./compare.ts";

export interface ReconciliationOptions {
  readonly database: Sqlite;
  readonly clock: Clock;
  readonly log: Log;
  readonly entries: DayEntries;
  /** What the ledger moved for a payment; negative for a refund. */
  postedMinor(terminalId: TerminalId, paymentId: PaymentId): bigint | undefined;
  /** Runs within the hub's next commit. */
  commit(apply: () => void): Promise<void>;
}

/** A terminal's day as the operator sees it. */
export interface DayView {
  readonly from: string;
  readonly to: string;
  /** What this hub took; at most `ENTRIES_SHOWN_MAX`, the newest. */
  readonly entries: readonly HubEntry[];
  readonly moreEntries: number;
  /** Absent where the terminal has sent no list of the day. */
  readonly compared?: {
    readonly listedAt: number;
    readonly epoch: string;
    readonly listed: number;
    readonly report: DayReport;
  };
}

export interface Reconciliation {
  /** The report, once all parts of a list are here. */
  take(envelope: UpOf<"day.summary">): Promise<DayReport | undefined>;
  /** Compares the terminal's last list of the day with what is held now. */
  look(terminalId: TerminalId, businessDate: string): Promise<DayView>;
}

/** Lists that are being gathered at one time; the oldest makes room, and its terminal sends it again. */
const GATHERING_MAX = 64;
const ENTRIES_SHOWN_MAX = 1_000;
const DAY_MS = 86_400_000;
/** An entry that was written after its terminal's list may have come in before it, by so much at most. */
const OVERTAKING_MS = 60_000;

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
type Summary = z.infer<typeof SummarySchema>;

interface Gathering {
  readonly summaryId: string;
  readonly since: number;
  readonly parts: Map<number, UpOf<"day.summary">["body"]>;
}

export function createReconciliation(options: ReconciliationOptions): Reconciliation {
  const { clock, log } = options;
  const store = createReportStore(options.database);
  const gathering = new Map<TerminalId, Gathering>();

  /** The whole list, when this part was the last that was missing. */
  function gather({ terminalId, sequence, body }: UpOf<"day.summary">): Summary | undefined {
    let open = gathering.get(terminalId);
    if (open?.summaryId !== body.summaryId) {
      const [oldest] = gathering.keys();
      if (gathering.size >= GATHERING_MAX && oldest !== undefined) gathering.delete(oldest);
      open = { summaryId: body.summaryId, since: clock.now(), parts: new Map() };
      gathering.set(terminalId, open);
    }
    open.parts.set(body.part, body);
    if (open.parts.size < body.parts) return undefined;
    gathering.delete(terminalId);
    const { summaryId, from, to, epoch, archivedThrough = 0 } = body;
    const entries = [...open.parts.values()].flatMap((part) => part.entries);
    return { summaryId, from, to, epoch, archivedThrough, head: sequence, listedAt: open.since, entries };
  }

  async function compare(terminalId: TerminalId, businessDate: string, summary: Summary) {
    const { from, to, epoch, archivedThrough } = summary;
    const taken = await readStretch(options.entries, { terminalId, from, to });
    const newer = (entry: TakenEntry): boolean =>
      entry.epoch === epoch && entry.sequence > summary.head && entry.receivedAt >= summary.listedAt - OVERTAKING_MS;
    const hub = hubEntries(taken.filter((entry) => !newer(entry)));
    const { agreed, differences } = compareDay({
      epoch,
      archivedThrough,
      terminal: summary.entries,
      hub,
      postedMinor: (paymentId) => options.postedMinor(terminalId, paymentId),
    });
    const report: DayReport = {
      summaryId: summary.summaryId,
      businessDate,
      epoch: epoch as Epoch,
      at: new Date(clock.now()).toISOString(),
      agreed,
      ...bounded(differences),
    };
    return { hub, report };
  }

  return {
    async take(envelope) {
      const { terminalId, body } = envelope;
      const summary = gather(envelope);
      if (!summary) return undefined;
      const { report } = await compare(terminalId, body.businessDate, summary);
      await options.commit(() =>
        store.put({ terminalId, businessDate: body.businessDate, at: clock.now(), summary, report }),
      );
      const { businessDate, agreed, unexplained } = report;
      const fields = { terminalId, businessDate, agreed, differences: report.differences.length + report.more };
      if (unexplained > 0) log.error("a terminal's day does not agree with this hub's", { ...fields, unexplained });
      else log.info("a terminal's day was compared", fields);
      return report;
    },

    async look(terminalId, businessDate) {
      const kept = store.get(terminalId, businessDate);
      if (!kept) {
        // Without the terminal's word nobody knows its time zone: the day of UTC is as good as any.
        const start = Date.parse(`${businessDate}T00:00:00Z`);
        const from = new Date(start).toISOString();
        const to = new Date(start + DAY_MS).toISOString();
        return { from, to, ...shown(hubEntries(await readStretch(options.entries, { terminalId, from, to }))) };
      }
      const { hub, report } = await compare(terminalId, businessDate, kept);
      const { from, to, listedAt, epoch, entries } = kept;
      return { from, to, ...shown(hub), compared: { listedAt, epoch, listed: entries.length, report } };
    },
  };
}

const shown = (entries: readonly HubEntry[]) => ({
  entries: entries.slice(-ENTRIES_SHOWN_MAX),
  moreEntries: Math.max(0, entries.length - ENTRIES_SHOWN_MAX),
});

const bounded = (differences: readonly Difference[]) => ({
  differences: differences.slice(0, DIFFERENCES_MAX),
  more: Math.max(0, differences.length - DIFFERENCES_MAX),
  unexplained: differences.filter(({ explained }) => explained === undefined).length,
});

async function readStretch(entries: DayEntries, stretch: Stretch): Promise<readonly TakenEntry[]> {
  const found: TakenEntry[] = [];
  for (const slice of entries.slices(stretch)) {
    found.push(...slice);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return found;
}

/** One for each place and hash: what was set aside and taken later is told by how it was taken. */
function hubEntries(taken: readonly TakenEntry[]): readonly HubEntry[] {
  const byName = new Map<string, HubEntry>();
  for (const entry of taken) {
    const name = `${entry.epoch}\n${entry.sequence}\n${entry.hash}`;
    const closedWhy = entry.closedWhy ?? byName.get(name)?.closedWhy;
    byName.set(name, { ...toHubEntry(entry), ...(closedWhy === undefined ? {} : { closedWhy }) });
  }
  return [...byName.values()].toSorted((a, b) => a.sequence - b.sequence);
}

function toHubEntry({ epoch, sequence, hash, status, reason, detail, text }: TakenEntry): HubEntry {
  const body = EntryBodySchema.safeParse(parseJson(text)).data;
  const approved = body?.kind === "decision" && body.outcome === "approved" ? body : undefined;
  const minor = approved && BigInt(approved.amount.minor);
  return {
    epoch,
    sequence,
    hash,
    state: status === "duplicate" ? "processed" : status,
    ...(body === undefined ? {} : { kind: body.kind, paymentId: body.paymentId }),
    ...(reason === null ? {} : { reason }),
    ...(detail === null ? {} : { detail }),
    ...(minor === undefined ? {} : { decidedMinor: approved?.operation === "refund" ? -minor : minor }),
  };
}

interface Kept {
  readonly terminalId: TerminalId;
  readonly businessDate: string;
  readonly at: number;
  readonly summary: Summary;
  readonly report: DayReport;
}

/** A year of books, and the time to close them. */
const REPORTS_KEPT_MS = 400 * 24 * 3_600_000;

function createReportStore(database: Sqlite) {
  const put = database.prepare(
    `INSERT INTO reconciliation__report (terminal_id, business_date, at, summary, report) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (terminal_id, business_date) DO UPDATE
     SET at = excluded.at, summary = excluded.summary, report = excluded.report`,
  );
  const forget = database.prepare<[string, string]>(
    "DELETE FROM reconciliation__report WHERE terminal_id = ? AND business_date < ?",
  );
  const get = database
    .prepare<[string, string], string>(
      "SELECT summary FROM reconciliation__report WHERE terminal_id = ? AND business_date = ?",
    )
    .pluck();
  return {
    /** Forgets at the same time what this terminal compared more than a year ago. */
    put({ terminalId, businessDate, at, summary, report }: Kept): void {
      const [summaryText, reportText] = [JSON.stringify(summary), JSON.stringify(DayReportSchema.parse(report))];
      put.run(terminalId, businessDate, at, summaryText, reportText);
      forget.run(terminalId, new Date(at - REPORTS_KEPT_MS).toISOString().slice(0, 10));
    },
    get(terminalId: string, businessDate: string): Summary | undefined {
      const text = get.get(terminalId, businessDate);
      return text === undefined ? undefined : SummarySchema.parse(JSON.parse(text));
    },
  };
}
