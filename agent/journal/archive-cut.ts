/**
 * Finds how many of the oldest entries may leave the file: all old enough and receipted, no payment torn in two, and none of
 * those that a restart must look at or that can still be completed.
 */
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import { readBody } from "./entry-rows.ts";
import type { QueueState } from "./journal.ts";

/** The most entries of one archive file. */
export const ARCHIVE_ENTRIES_MAX = 20_000;
/**
 * So many entries after the cut must hold no live card data: where rows go, SQLite moves those of the next pages, and copies
 * of what they hold were seen to stay behind (RM5).
 */
export const CUT_MARGIN = 200;

const ROWS_AT_ONCE = 100;

type Row = {
  readonly sequence: number;
  readonly payment_id: PaymentId;
  readonly text: string;
  readonly state: QueueState | null;
  readonly forward: number | null;
};

export interface CutOptions {
  readonly database: Sqlite;
  /** The newest sequence that is archived already. */
  readonly after: number;
  /** Entries of this time and later stay; milliseconds since 1970. */
  readonly beforeMs: number;
  /** Payments that a restart must look at. */
  readonly open: ReadonlySet<PaymentId>;
  /** Resolves when the next few rows may be read. */
  readonly pause: () => Promise<void>;
}

const ENDED: ReadonlySet<QueueState> = new Set<QueueState>(["processed", "declined", "expired", "voided"]);

export interface FoundCut {
  /** The newest sequence that may go; absent when none may. */
  readonly last?: number;
  /** An entry that is old enough to go and has not ended: nothing after it can go either. */
  readonly heldBy?: { readonly sequence: number; readonly state: QueueState };
}

export async function findCut({ database, after, beforeMs, open, pause }: CutOptions): Promise<FoundCut> {
  const rows = database.prepare<[number, number], Row>(
    `SELECT e.sequence, e.payment_id, e.text, e.forward, q.state
     FROM journal__entry e LEFT JOIN queue__state q ON q.sequence = e.sequence
     WHERE e.sequence > ? ORDER BY e.sequence LIMIT ?`,
  );
  const newestOf = database
    .prepare<[PaymentId], number>("SELECT max(sequence) FROM journal__entry WHERE payment_id = ?")
    .pluck();
  const ended = database
    .prepare<[PaymentId], number>("SELECT 1 FROM journal__entry WHERE payment_id = ? AND kind IN ('completed', 'void')")
    .pluck();
  /** From then on it grows old: an amount that is held can be completed and given back only while its entries are here. */
  const agesFrom = (body: EntryBody): string => {
    const heldUntil = body.kind === "decision" && body.outcome === "approved" ? body.heldUntil : undefined;
    return heldUntil === undefined || ended.get(body.paymentId) === 1 ? body.at : heldUntil;
  };
  const cuts: number[] = [];
  let [at, openUntil, fits] = [after, 0, true];
  const settled = (heldBy?: FoundCut["heldBy"]): FoundCut => {
    const last = cuts.findLast((cut) => cut + CUT_MARGIN <= at);
    return { ...(last !== undefined && { last }), ...(heldBy && { heldBy }) };
  };
  while (at - after < ARCHIVE_ENTRIES_MAX + CUT_MARGIN) {
    const some = rows.all(at, ROWS_AT_ONCE);
    for (const row of some) {
      if (row.forward !== null && (row.state === null || !ENDED.has(row.state))) {
        const isOld = Date.parse(readBody(row).at) < beforeMs;
        return settled(isOld ? { sequence: row.sequence, state: row.state ?? "eligible" } : undefined);
      }
      at = row.sequence;
      fits &&= at - after <= ARCHIVE_ENTRIES_MAX && !open.has(row.payment_id);
      fits &&= Date.parse(agesFrom(readBody(row))) < beforeMs;
      if (!fits) continue;
      openUntil = Math.max(openUntil, newestOf.get(row.payment_id) ?? at);
      if (openUntil === at) cuts.push(at);
    }
    const last = cuts.at(-1) ?? after;
    if (some.length < ROWS_AT_ONCE || (!fits && at >= last + CUT_MARGIN)) break;
    await pause();
  }
  return settled();
}
