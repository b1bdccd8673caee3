/** How the model states its rules, and what it says of a transfer that comes again under its id. */
import type { NewTransfer, Transfer } from "../../hub/core/ledger/model.ts";
import type { TransferStatus } from "../../hub/core/ledger/statuses.ts";

export const MAX = (1n << 128n) - 1n;

export type Rules<Status> = readonly (readonly [Status, () => boolean])[];
export const firstOf = <Status>(rules: Rules<Status>): Status | undefined =>
  rules.find(([, applies]) => applies())?.[0];

/** The documented transient errors. */
export const TRANSIENT: readonly TransferStatus[] = [
  "debit-account-not-found",
  "credit-account-not-found",
  "pending-transfer-not-found",
  "exceeds-credits",
  "exceeds-debits",
  "debit-account-already-closed",
  "credit-account-already-closed",
];

export const malformed = (text: string) => text.length > 512 || text.includes("\0") || !text.isWellFormed();
export const badCode = (code: number) => !(Number.isInteger(code) && code >= 0 && code <= 65_535);

export function existing(known: Transfer, again: NewTransfer, p: Transfer | undefined): TransferStatus | undefined {
  const flags = (t: NewTransfer | Transfer) =>
    JSON.stringify([
      t.kind,
      !!t.linked,
      !!t.balancingDebit,
      !!t.balancingCredit,
      !!t.closingDebit,
      !!t.closingCredit,
      !!t.imported,
    ]);
  const resolves = again.kind === "post-pending" || again.kind === "void-pending";
  const held = resolves ? p : undefined;
  // A resolution takes what it leaves open from the pending transfer.
  const meant = (asked: string | undefined, otherwise: string) => (resolves && asked === undefined ? otherwise : asked);
  const wantsAll =
    again.kind === "void-pending"
      ? (again.amount ?? 0n) === 0n
      : again.kind === "post-pending" && (again.amount ?? MAX) === MAX;
  const balances = again.balancingDebit === true || again.balancingCredit === true;
  return firstOf<TransferStatus>([
    ["exists-with-different-flags", () => flags(known) !== flags(again)],
    ["exists-with-different-pending-id", () => known.pendingId !== again.pendingId],
    ["exists-with-different-timeout", () => (known.timeoutMs ?? 0) !== (again.timeoutMs ?? 0)],
    ["exists-with-different-debit-account", () => known.debitAccount !== meant(again.debitAccount, known.debitAccount)],
    [
      "exists-with-different-credit-account",
      () => known.creditAccount !== meant(again.creditAccount, known.creditAccount),
    ],
    [
      "exists-with-different-amount",
      () => {
        if (wantsAll) return known.amount !== held?.amount;
        return balances && !resolves ? (again.amount ?? 0n) < known.amount : again.amount !== known.amount;
      },
    ],
    [
      "exists-with-different-reference",
      () => (known.reference ?? "") !== (again.reference || (resolves ? (held?.reference ?? "") : "")),
    ],
    ["exists-with-different-currency", () => again.currency !== undefined && again.currency !== known.currency],
    ["exists-with-different-code", () => (resolves && (again.code ?? 0) === 0 ? false : again.code !== known.code)],
    ["exists", () => true],
  ]);
}
