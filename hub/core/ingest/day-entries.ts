/** Reads back what a terminal told of one stretch of time, for the comparison with what the terminal says it told. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import { type HubStore, sql } from "../../store/store.ts";
import { timeOf } from "./entry-time.ts";

export interface TakenEntry {
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly hash: string;
  readonly status: EntryReceipt["status"];
  readonly reason: ReasonCode | null;
  readonly detail: string | null;
  readonly text: string;
  readonly receivedAt: number;
  /** An entry that was set aside, and why a person closed it; null while nobody did. */
  readonly closedWhy: string | null;
}

export interface Stretch {
  readonly terminalId: TerminalId;
  /** ISO 8601 UTC, as entries have them; `to` is excluded. */
  readonly from: string;
  readonly to: string;
}

/** Entries looked at in one slice: some 10 ms. */
const SLICE = 2_000;
/** Entries set aside of one stretch that are read; more than these no person works through. */
const SET_ASIDE_MAX = 1_000;

interface Row extends TakenEntry {
  /** Null where an earlier version of the hub took it. */
  readonly at: string | null;
}

const JOURNALS = sql<[string], { epoch: Epoch; newest: number }>(
  "SELECT epoch, max(sequence) AS newest FROM ingest__entry WHERE terminal_id = ? GROUP BY epoch ORDER BY epoch",
);
const TAKEN = sql<Stretched<{ epoch: string; after: number; through: number }>, Row>(
  `SELECT epoch, sequence, hash, status, reason, detail, text, at, received_at AS receivedAt, NULL AS closedWhy
   FROM ingest__entry
   WHERE terminal_id = @terminalId AND epoch = @epoch AND sequence > @after AND sequence <= @through
     AND (at IS NULL OR (at >= @from AND at < @to))
   ORDER BY sequence`,
);
const SET_ASIDE = sql<Stretched<{ most: number }>, Row>(
  `SELECT epoch, sequence, hash, coalesce(result, 'quarantined') AS status, coalesce(result_reason, reason) AS reason,
     coalesce(result_detail, detail) AS detail, text, at, received_at AS receivedAt, closed_why AS closedWhy
   FROM ingest__quarantine
   WHERE terminal_id = @terminalId AND (at IS NULL OR (at >= @from AND at < @to))
   ORDER BY number DESC LIMIT @most`,
);
type Stretched<More> = { terminalId: string; from: string; to: string } & More;

/** Those taken of a stretch, in slices of bounded work: between two, others have their turn. */
export async function* dayEntries(store: HubStore, stretch: Stretch): AsyncGenerator<readonly TakenEntry[]> {
  const { terminalId, from, to } = stretch;
  const inStretch = (rows: readonly Row[]) => rows.filter(({ at, text }) => at !== null || isWithin(stretch, text));
  const setAside = { terminalId, from, to, most: SET_ASIDE_MAX };
  yield inStretch(await store.read((reading) => reading.all(SET_ASIDE, setAside)));
  for (const { epoch, newest } of await store.read((reading) => reading.all(JOURNALS, [terminalId]))) {
    for (let after = 0; after < newest; after += SLICE) {
      const slice = { terminalId, from, to, epoch, after, through: after + SLICE };
      yield inStretch(await store.read((reading) => reading.all(TAKEN, slice)));
    }
  }
}

function isWithin({ from, to }: Pick<Stretch, "from" | "to">, text: string): boolean {
  const at = timeOf(text);
  return from <= at && at < to;
}
