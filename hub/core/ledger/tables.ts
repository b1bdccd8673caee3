/** What a batch reads and writes, in as few statements as each database allows; decided by nobody here. */
import type { Reading, Within } from "../../store/store.ts";
import type { Draft, Loaded, Times } from "./books.ts";
import { type AccountRow, accountIn, type PendingRow, pendingIn, type TransferRow, transferIn } from "./rows.ts";

export interface Wanted {
  readonly accounts: readonly string[];
  /** With how they stand if they are pending, whether their ids have failed, and their accounts. */
  readonly transfers: readonly string[];
  /** Whether anything has them. */
  readonly timestamps: readonly number[];
  /** Whether the newest timestamps are wanted. */
  readonly times: boolean;
}

export interface Tables {
  load(reading: Reading, wanted: Wanted, into: Loaded): Promise<void>;
  save(within: Within, draft: Draft): Promise<void>;
}

export interface TimesRow {
  readonly accountUs: number | null;
  readonly transferUs: number | null;
  readonly expiryUs: number | null;
}

export const TIMES = `(SELECT max(at_us) FROM ledger__account) AS accountUs,
  (SELECT max(at_us) FROM ledger__transfer) AS transferUs,
  (SELECT max(expired_us) FROM ledger__pending WHERE expired_us IS NOT NULL) AS expiryUs`;

export const timesIn = ({ accountUs, transferUs, expiryUs }: TimesRow): Times => ({
  accountUs: accountUs ?? 0,
  transferUs: transferUs ?? 0,
  expiryUs: expiryUs ?? 0,
});

export type LoadedTransferRow = TransferRow & PendingRow;

export function putAccounts(into: Loaded, asked: readonly string[], rows: readonly AccountRow[]): void {
  for (const id of asked) into.accounts.set(id, undefined);
  for (const row of rows) into.accounts.set(row.id, accountIn(row));
}

export function putTransfers(into: Loaded, asked: readonly string[], rows: readonly LoadedTransferRow[]): void {
  for (const id of asked) into.transfers.set(id, undefined);
  for (const row of rows) {
    into.transfers.set(row.id, transferIn(row));
    const pending = pendingIn(row.id, row);
    if (pending) into.pendings.set(row.id, pending);
  }
}
