/** Reads back what a terminal told of one stretch of time, for the comparison with what the terminal says it told. */
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { Sqlite } from "../../../base/sqlite.ts";
import type { EntryReceipt } from "../../../wire/advice.ts";
import type { ReasonCode } from "../../../wire/common.ts";

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

export interface DayEntries {
  /** Those taken of a stretch, in slices of bounded work: between two, others have their turn. */
  slices(stretch: Stretch): Generator<readonly TakenEntry[]>;
}

/** Entries looked at in one slice: some 10 ms. */
const SLICE = 2_000;
/** Entries set aside of one stretch that are read; more than these no person works through. */
const SET_ASIDE_MAX = 1_000;

export function createDayEntries(database: Sqlite): DayEntries {
  const journals = database.prepare<[string], { readonly epoch: Epoch; readonly newest: number }>(
    "SELECT epoch, max(sequence) AS newest FROM ingest__entry WHERE terminal_id = ? GROUP BY epoch",
  );
  const taken = database.prepare<[Record<string, unknown>], TakenEntry>(
    `SELECT epoch, sequence, hash, status, reason, detail, text, received_at AS receivedAt, NULL AS closedWhy
     FROM ingest__entry
     WHERE terminal_id = @terminalId AND epoch = @epoch AND sequence > @after AND sequence <= @through
       AND json_extract(text, '$.at') >= @from AND json_extract(text, '$.at') < @to
     ORDER BY sequence`,
  );
  const setAside = database.prepare<[Record<string, unknown>], TakenEntry>(
    `SELECT epoch, sequence, hash, coalesce(result, 'quarantined') AS status, coalesce(result_reason, reason) AS reason,
       coalesce(result_detail, detail) AS detail, text, received_at AS receivedAt, closed_why AS closedWhy
     FROM ingest__quarantine
     WHERE terminal_id = @terminalId AND json_valid(text)
       AND json_extract(text, '$.at') >= @from AND json_extract(text, '$.at') < @to
     ORDER BY number DESC LIMIT ${SET_ASIDE_MAX}`,
  );
  return {
    *slices({ terminalId, from, to }) {
      yield setAside.all({ terminalId, from, to });
      for (const { epoch, newest } of journals.all(terminalId)) {
        for (let after = 0; after < newest; after += SLICE)
          yield taken.all({ terminalId, epoch, after, through: after + SLICE, from, to });
      }
    },
  };
}
