/**
 * Agrees with a terminal on its day: gathers the parts of its list, sets it beside what was taken and posted, and keeps the
 * last list and report of each terminal and day, so that the comparison can be made again.
 */
import type { Clock } from "../../../base/clock.ts";
import type { Epoch, PaymentId, TerminalId } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import type { UpOf } from "../../../wire/envelope.ts";
import { EntryBodySchema, type EntryOf } from "../../../wire/journal-entry.ts";
import { type DayReport, DIFFERENCES_MAX, type Difference } from "../../../wire/reconciliation.ts";
import { parseJson } from "../../../wire/signing.ts";
import type { HubStore, Reading, Within } from "../../store/store.ts";
import { dayEntries, type Stretch, type TakenEntry } from "../ingest/index.ts";
import { compareDay, type HubEntry } from "./compare.ts";
import { partStore, reportStore, type Summary } from "./store.ts";

export interface ReconciliationOptions {
  readonly store: HubStore;
  readonly clock: Clock;
  readonly log: Log;
  /** What the ledger moved for a payment; negative for a refund. */
  postedMinor(reading: Reading, terminalId: TerminalId, paymentId: PaymentId): Promise<bigint | undefined>;
  /** Runs within the hub's next commit. */
  commit<T>(apply: (within: Within) => Promise<T>): Promise<T>;
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
  /** What came of comparing the terminal's last list of the day when it came; undefined where it sent none. */
  lastReport(reading: Reading, terminalId: string, businessDate: string): Promise<DayReport | undefined>;
}

const ENTRIES_SHOWN_MAX = 1_000;
const DAY_MS = 86_400_000;
/** An entry that was written after its terminal's list may have come in before it, by so much at most. */
const OVERTAKING_MS = 60_000;

export function createReconciliation(options: ReconciliationOptions): Reconciliation {
  const { store, clock, log } = options;

  async function compare(terminalId: TerminalId, businessDate: string, summary: Summary) {
    const { from, to, epoch, archivedThrough } = summary;
    const taken = await readStretch(store, { terminalId, from, to });
    const newer = (entry: TakenEntry): boolean =>
      entry.epoch === epoch && entry.sequence > summary.head && entry.receivedAt >= summary.listedAt - OVERTAKING_MS;
    const hub = hubEntries(taken.filter((entry) => !newer(entry)));
    const posted = await readPosted(options, terminalId, hub);
    const { agreed, differences } = compareDay({
      epoch,
      archivedThrough,
      terminal: summary.entries,
      hub,
      postedMinor: (paymentId) => posted.get(paymentId),
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
      const summary = await options.commit((within) => gather(within, envelope, clock.now()));
      if (!summary) return undefined;
      const { report } = await compare(terminalId, body.businessDate, summary);
      const kept = { terminalId, businessDate: body.businessDate, at: clock.now(), summary, report };
      await options.commit((within) => reportStore.put(within, kept));
      const { businessDate, agreed, unexplained } = report;
      const fields = { terminalId, businessDate, agreed, differences: report.differences.length + report.more };
      if (unexplained > 0) log.error("a terminal's day does not agree with this hub's", { ...fields, unexplained });
      else log.info("a terminal's day was compared", fields);
      return report;
    },

    lastReport: (reading, terminalId, businessDate) => reportStore.report(reading, terminalId, businessDate),

    async look(terminalId, businessDate) {
      const kept = await store.read((reading) => reportStore.get(reading, terminalId, businessDate));
      if (!kept) {
        // Without the terminal's word nobody knows its time zone: the day of UTC is as good as any.
        const start = Date.parse(`${businessDate}T00:00:00Z`);
        const from = new Date(start).toISOString();
        const to = new Date(start + DAY_MS).toISOString();
        return { from, to, ...shown(hubEntries(await readStretch(store, { terminalId, from, to }))) };
      }
      const { hub, report } = await compare(terminalId, businessDate, kept);
      const { from, to, listedAt, epoch, entries } = kept;
      return { from, to, ...shown(hub), compared: { listedAt, epoch, listed: entries.length, report } };
    },
  };
}

/** The whole list, when this part was the last that was missing. Each part may come to another replica of the hub. */
async function gather(
  within: Within,
  { terminalId, sequence, body }: UpOf<"day.summary">,
  now: number,
): Promise<Summary | undefined> {
  const { summaryId, part, parts, from, to, epoch, archivedThrough = 0 } = body;
  const whole = { summaryId, from, to, epoch, archivedThrough, head: sequence };
  if (parts === 1) return { ...whole, listedAt: now, entries: body.entries };
  await partStore.put(within, { terminalId, summaryId, part, at: now, entries: body.entries });
  if ((await partStore.count(within, terminalId)) < parts) return undefined;
  return { ...whole, ...(await partStore.takeAll(within, terminalId)) };
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

async function readStretch(store: HubStore, stretch: Stretch): Promise<readonly TakenEntry[]> {
  const found: TakenEntry[] = [];
  for await (const slice of dayEntries(store, stretch)) {
    found.push(...slice);
    await othersTurn();
  }
  return found;
}

/** Payments looked up in one slice: some 10 ms. */
const POSTED_SLICE = 200;

/** What the ledger moved for each payment of which the merchant is to get something. */
async function readPosted(
  { store, postedMinor }: ReconciliationOptions,
  terminalId: TerminalId,
  entries: readonly HubEntry[],
): Promise<ReadonlyMap<PaymentId, bigint>> {
  const ids = entries.flatMap(({ paymentId, decidedMinor }) => (decidedMinor === undefined ? [] : (paymentId ?? [])));
  const posted = new Map<PaymentId, bigint>();
  for (let start = 0; start < ids.length; start += POSTED_SLICE) {
    await store.read(async (reading) => {
      for (const paymentId of ids.slice(start, start + POSTED_SLICE)) {
        const minor = await postedMinor(reading, terminalId, paymentId);
        if (minor !== undefined) posted.set(paymentId, minor);
      }
    });
    await othersTurn();
  }
  return posted;
}

/** Where the database answers at once, only this lets in what has arrived meanwhile. */
const othersTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

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
  const minor = approved && decidedMinor(approved);
  return {
    epoch,
    sequence,
    hash,
    state: status === "duplicate" ? "processed" : status,
    ...(body === undefined ? {} : { kind: body.kind, paymentId: body.paymentId }),
    ...(reason === null ? {} : { reason }),
    ...(detail === null ? {} : { detail }),
    ...(minor === undefined ? {} : { decidedMinor: minor }),
  };
}

/** What the merchant gets by it: nothing by a pre-authorisation, which its completion may. */
function decidedMinor({ operation, amount }: EntryOf<"decision">): bigint | undefined {
  if (operation === "pre-authorisation") return undefined;
  return operation === "refund" ? -BigInt(amount.minor) : BigInt(amount.minor);
}
