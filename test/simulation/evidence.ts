/** What the oracles look at: the hub's tables, each terminal's journal, and what every till knows. */
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import type { EntryBody, EntryOf } from "../../wire/journal-entry.ts";
import type { SaleRecord } from "./cashier.ts";
import type { Shop, Terminal } from "./shop.ts";

interface PaymentRow {
  readonly terminal_id: string;
  readonly payment_id: string;
  readonly state: string;
  readonly operation: string | null;
  readonly minor: bigint | null;
}

export interface Evidence {
  readonly shop: Shop;
  readonly records: ReadonlyMap<string, SaleRecord>;
  readonly database: Sqlite;
  /** By terminal and payment. */
  readonly payments: ReadonlyMap<string, PaymentRow>;
  readonly posted: ReadonlyMap<string, bigint>;
}

/** Amounts stand as text, after the number of their digits; no seed's are longer than an integer. */
export const minorOf = (column: string): string => `CAST(substr(${column}, 3) AS INTEGER)`;

export const keyOf = (terminalId: string, paymentId: string): string => `${terminalId}/${paymentId}`;

export function gather(shop: Shop, records: ReadonlyMap<string, SaleRecord>, database: Sqlite): Evidence {
  const payments = database
    .prepare<[], PaymentRow>("SELECT terminal_id, payment_id, state, operation, minor FROM authorisation__payment")
    .safeIntegers()
    .all();
  const moved = database
    .prepare<[], { id: string; amount: bigint }>(
      `SELECT id, ${minorOf("amount")} AS amount FROM ledger__transfer WHERE kind IN ('single', 'post-pending')`,
    )
    .safeIntegers()
    .all();
  const posted = new Map<string, bigint>();
  for (const { id, amount } of moved) {
    const key = id.split("/").slice(0, 2).join("/");
    posted.set(key, (posted.get(key) ?? 0n) + amount);
  }
  return {
    shop,
    records,
    database,
    payments: new Map(payments.map((row) => [keyOf(row.terminal_id, row.payment_id), row])),
    posted,
  };
}

export const entriesOf = (terminal: Terminal, id: PaymentId): readonly EntryBody[] =>
  terminal.core?.journal.entriesOf(id).map(({ body }) => body) ?? [];
export const find = <K extends EntryBody["kind"]>(entries: readonly EntryBody[], kind: K): EntryOf<K> | undefined =>
  entries.find((entry): entry is EntryOf<K> => entry.kind === kind);
