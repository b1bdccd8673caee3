/** What the queue held in a stretch of time, for the comparison with the hub: read in slices, so that no sale waits for it. */
import { toHex } from "../../base/bytes.ts";
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import { amountOf, readBody } from "./entry-rows.ts";
import type { DayEntry, DayStretch, QueueState } from "./journal.ts";

interface Row {
  readonly sequence: number;
  readonly forward: number;
  readonly hash: Uint8Array;
  readonly paymentId: PaymentId;
  readonly kind: EntryBody["kind"];
  readonly state: QueueState;
  readonly text: string;
}

export type DayList = ReturnType<typeof createDayList>;

export function createDayList(database: Sqlite) {
  const between = database.prepare<[number, number, string, string], Row>(
    `SELECT e.sequence, e.forward, e.hash, e.payment_id AS paymentId, e.kind, coalesce(q.state, 'eligible') AS state, e.text
     FROM journal__entry e LEFT JOIN queue__state q ON q.sequence = e.sequence
     WHERE e.sequence > ? AND e.sequence <= ? AND e.forward IS NOT NULL
       AND json_extract(e.text, '$.at') >= ? AND json_extract(e.text, '$.at') < ?
     ORDER BY e.sequence`,
  );
  const oldest = database.prepare<[], number>("SELECT sequence FROM journal__entry ORDER BY sequence LIMIT 1").pluck();
  return {
    between({ fromMs, toMs, after, through }: DayStretch): readonly DayEntry[] {
      const [from, to] = [new Date(fromMs).toISOString(), new Date(toMs).toISOString()];
      return between.all(after, through, from, to).map(({ hash, text, ...row }) => {
        const amount = amountOf(readBody({ sequence: row.sequence, text }));
        return { ...row, hash: toHex(hash), ...(amount === undefined ? {} : { amount }) };
      });
    },
    /** Of the entries that lie in this file; undefined in an empty one. */
    oldest: (): number | undefined => oldest.get(),
  };
}
