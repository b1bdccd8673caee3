/** What may become a transfer: repeats first, then form, then what the accounts allow. */
import type { Draft } from "./books.ts";
import {
  type Account,
  AMOUNT_MAX,
  isResolution,
  isWellFormed,
  type MoveTransfer,
  type NewTransfer,
  TIMESTAMP_MAX,
  type Transfer,
} from "./model.ts";
import { isCode } from "./plan-account.ts";
import { compareTransfers, flagsOf } from "./plan-repeat.ts";
import { resolvePending } from "./plan-resolution.ts";
import type { TransferStatus } from "./statuses.ts";

export function createTransfer(draft: Draft, transfer: NewTransfer, timestampUs: number): TransferStatus {
  if (transfer.id === "") return "id-must-not-be-empty";
  if (!isWellFormed(transfer.id)) return "id-malformed";
  const known = draft.transfer(transfer.id);
  if (known) return compareTransfers(known, transfer, draft);
  if (draft.hasFailed(transfer.id)) return "id-already-failed";
  if (isOutOfRange(transfer)) return "field-out-of-range";
  if (isResolution(transfer)) return resolvePending(draft, transfer, timestampUs);
  return malformed(transfer) ?? move(draft, transfer, timestampUs);
}

const isOutOfRange = ({ amount = 0n, code = 0, timeoutMs = 0, reference = "", currency }: NewTransfer): boolean =>
  amount < 0n ||
  amount > AMOUNT_MAX ||
  !isCode(code) ||
  !(Number.isSafeInteger(timeoutMs) && timeoutMs >= 0) ||
  !isWellFormed(reference) ||
  !isWellFormed(currency ?? "");

function malformed(transfer: MoveTransfer): TransferStatus | undefined {
  const { debitAccount, creditAccount, timeoutMs = 0, closingDebit, closingCredit } = transfer;
  if (debitAccount === "") return "debit-account-must-not-be-empty";
  if (!isWellFormed(debitAccount)) return "debit-account-malformed";
  if (creditAccount === "") return "credit-account-must-not-be-empty";
  if (!isWellFormed(creditAccount)) return "credit-account-malformed";
  if (debitAccount === creditAccount) return "accounts-must-be-different";
  if (transfer.pendingId !== undefined) return "pending-id-must-be-absent";
  if (transfer.kind === "single") {
    if (timeoutMs !== 0) return "timeout-reserved-for-pending";
    if (closingDebit === true || closingCredit === true) return "closing-transfer-must-be-pending";
  }
  if (transfer.currency === "") return "currency-must-not-be-empty";
  if (transfer.code === 0) return "code-must-not-be-zero";
  return undefined;
}

function move(draft: Draft, transfer: MoveTransfer, timestampUs: number): TransferStatus {
  const debit = draft.account(transfer.debitAccount);
  if (!debit) return "debit-account-not-found";
  const credit = draft.account(transfer.creditAccount);
  if (!credit) return "credit-account-not-found";
  if (debit.currency !== credit.currency) return "accounts-must-have-the-same-currency";
  if (transfer.currency !== undefined && transfer.currency !== debit.currency)
    return "transfer-must-have-the-same-currency-as-accounts";
  const amount = balanced(transfer, debit, credit);
  const refusal =
    (transfer.imported === true ? misdated(draft, transfer, { debit, credit, timestampUs }) : undefined) ??
    refuse(transfer, { debit, credit, amount, timestampUs });
  if (refusal) return refusal;

  const moved = made(transfer, { debit, credit, amount, timestampUs });
  draft.addTransfer(moved, debited(debit, moved), credited(credit, moved));
  if (transfer.kind === "pending") draft.addPending(pendingOf(transfer, timestampUs));
  return "created";
}

const debited = (account: Account, { kind, amount, timestampUs, closingDebit }: Transfer): Account => ({
  ...account,
  debitsPending: kind === "pending" ? account.debitsPending + amount : account.debitsPending,
  debitsPosted: kind === "pending" ? account.debitsPosted : account.debitsPosted + amount,
  lastTransferUs: timestampUs,
  ...(closingDebit === true ? CLOSED : undefined),
});

const credited = (account: Account, { kind, amount, timestampUs, closingCredit }: Transfer): Account => ({
  ...account,
  creditsPending: kind === "pending" ? account.creditsPending + amount : account.creditsPending,
  creditsPosted: kind === "pending" ? account.creditsPosted : account.creditsPosted + amount,
  lastTransferUs: timestampUs,
  ...(closingCredit === true ? CLOSED : undefined),
});
const CLOSED = { closed: true };

interface Sides {
  readonly debit: Account;
  readonly credit: Account;
  readonly timestampUs: number;
}
type Movement = Sides & { readonly amount: bigint };

/** Imports keep an order of their own: after every other transfer, and after the accounts that they move between. */
function misdated(draft: Draft, transfer: MoveTransfer, { debit, credit, timestampUs }: Sides) {
  if (timestampUs <= draft.times.transferUs || draft.isTaken(timestampUs))
    return "imported-event-timestamp-must-not-regress";
  if (timestampUs <= debit.timestampUs) return "imported-event-timestamp-must-postdate-debit-account";
  if (timestampUs <= credit.timestampUs) return "imported-event-timestamp-must-postdate-credit-account";
  // Nothing but the hub's own clock ends a pending transfer.
  return (transfer.timeoutMs ?? 0) !== 0 ? "imported-event-timeout-must-be-absent" : undefined;
}

/** Less than was asked for, where the transfer says so: what the one has on its other side. */
function balanced(transfer: MoveTransfer, debit: Account, credit: Account): bigint {
  let amount = transfer.amount;
  if (transfer.balancingDebit === true)
    amount = smaller(amount, debit.creditsPosted - debit.debitsPosted - debit.debitsPending);
  if (transfer.balancingCredit === true)
    amount = smaller(amount, credit.debitsPosted - credit.creditsPosted - credit.creditsPending);
  return amount;
}

function smaller(amount: bigint, room: bigint): bigint {
  if (room < 0n) return 0n;
  return room < amount ? room : amount;
}

function refuse({ kind, timeoutMs = 0 }: MoveTransfer, { debit, credit, amount, timestampUs }: Movement) {
  if (debit.closed === true) return "debit-account-already-closed";
  if (credit.closed === true) return "credit-account-already-closed";
  const debits = debit.debitsPending + debit.debitsPosted + amount;
  const credits = credit.creditsPending + credit.creditsPosted + amount;
  if (debits > AMOUNT_MAX || credits > AMOUNT_MAX) return overflow(kind, { debit, credit, amount, timestampUs });
  if (Math.floor(timestampUs / 1_000) + timeoutMs > TIMESTAMP_MAX) return "overflows-timeout";
  if (debit.limit === "debits-must-not-exceed-credits" && debits > debit.creditsPosted) return "exceeds-credits";
  if (credit.limit === "credits-must-not-exceed-debits" && credits > credit.debitsPosted) return "exceeds-debits";
  return undefined;
}

/** Which sum it is that no longer fits. */
function overflow(kind: MoveTransfer["kind"], { debit, credit, amount }: Movement): TransferStatus {
  const room = AMOUNT_MAX - amount;
  if (kind === "pending") {
    if (debit.debitsPending > room) return "overflows-debits-pending";
    if (credit.creditsPending > room) return "overflows-credits-pending";
  }
  if (debit.debitsPosted > room) return "overflows-debits-posted";
  if (credit.creditsPosted > room) return "overflows-credits-posted";
  return debit.debitsPending + debit.debitsPosted > room ? "overflows-debits" : "overflows-credits";
}

function made(transfer: MoveTransfer, { debit, credit, amount, timestampUs }: Movement): Transfer {
  const { id, kind, debitAccount, creditAccount, code, reference = "", timeoutMs = 0 } = transfer;
  return {
    id,
    kind,
    debitAccount,
    creditAccount,
    amount,
    ...(amount === transfer.amount ? {} : { requested: transfer.amount }),
    currency: debit.currency,
    code,
    ...(reference === "" ? {} : { reference }),
    ...(timeoutMs === 0 ? {} : { timeoutMs }),
    ...flagsOf(transfer),
    timestampUs,
    ...(debit.lastTransferUs === undefined ? {} : { debitPreviousUs: debit.lastTransferUs }),
    ...(credit.lastTransferUs === undefined ? {} : { creditPreviousUs: credit.lastTransferUs }),
  };
}

const pendingOf = ({ id, timeoutMs = 0 }: MoveTransfer, timestampUs: number) => ({
  transferId: id,
  state: "pending" as const,
  ...(timeoutMs === 0 ? {} : { expiresAtMs: Math.floor(timestampUs / 1_000) + timeoutMs }),
});
