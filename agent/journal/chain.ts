/** Reads entries back in order and checks that each fits the one before it. */
import { toHex } from "../../base/bytes.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import { GENESIS_HASH, hashEntry } from "../../wire/journal-entry.ts";
import type { EntryRow } from "./entry-rows.ts";

export interface ChainError {
  readonly sequence: number;
  readonly why: string;
}

export interface ChainStart {
  readonly terminalId: string;
  readonly epoch: string;
  /** What comes before the first row: its sequence and its hash; neither is known where the walk starts in the middle. */
  readonly before?: { readonly sequence: number; readonly hash: string; readonly forward: number };
}

export const FROM_GENESIS = { sequence: 0, hash: GENESIS_HASH, forward: 0 };

/** The count of rows, or the first that does not fit. */
export function walkChain(
  rows: Iterable<EntryRow>,
  start: ChainStart,
): Result<{ readonly entries: number }, ChainError> {
  let before = start.before;
  let entries = 0;
  for (const row of rows) {
    const why = misfit(row, before, start);
    if (why !== undefined) return fail({ sequence: row.sequence, why });
    before = { sequence: row.sequence, hash: toHex(row.hash), forward: row.forward ?? before?.forward ?? -1 };
    entries += 1;
  }
  return ok({ entries });
}

function misfit(row: EntryRow, before: ChainStart["before"], { terminalId, epoch }: ChainStart): string | undefined {
  const previousHash = toHex(row.previous_hash);
  if (before && row.sequence !== before.sequence + 1) return `follows entry ${before.sequence}: some are missing`;
  if (before && previousHash !== before.hash) return "does not follow from the entry before it";
  if (before && before.forward >= 0 && row.forward !== null && row.forward !== before.forward + 1) {
    return `has forward number ${row.forward} after ${before.forward}`;
  }
  const hash = hashEntry({
    terminalId,
    epoch,
    sequence: row.sequence,
    forward: row.forward ?? undefined,
    previousHash,
    sealedDigest: row.sealed_digest === null ? undefined : toHex(row.sealed_digest),
    text: row.text,
  });
  return hash === toHex(row.hash) ? undefined : "was changed after it was written";
}
