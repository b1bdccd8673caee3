/** How a pending transfer ends by a transfer: posted, in all or in part, or voided. */
import { present } from "../../../base/assert.ts";
import type { Draft } from "./books.ts";
import { type Account, isWellFormed, type Pending, type Resolution, type Transfer } from "./model.ts";
import { amountOf, flagsOf } from "./plan-repeat.ts";
import type { TransferStatus } from "./statuses.ts";

export function resolvePending(draft: Draft, transfer: Resolution, timestampUs: number): TransferStatus {
  const wrong = malformed(transfer);
  if (wrong) return wrong;
  const held = draft.transfer(transfer.pendingId);
  if (!held) return "pending-transfer-not-found";
  if (held.kind !== "pending") return "pending-transfer-not-pending";
  const pending = present(draft.pending(held.id), "how a pending transfer stands");
  const refusal = differs(transfer, held) ?? ended(pending, timestampUs);
  if (refusal) return refusal;
  if (transfer.imported === true && (timestampUs <= draft.times.transferUs || draft.isTaken(timestampUs)))
    return "imported-event-timestamp-must-not-regress";
  const debit = present(draft.account(held.debitAccount), "the debit account of a pending transfer");
  const credit = present(draft.account(held.creditAccount), "the credit account of a pending transfer");
  // In a closed account nothing moves, but what is held can be given back.
  if (transfer.kind === "post-pending") {
    if (debit.closed === true) return "debit-account-already-closed";
    if (credit.closed === true) return "credit-account-already-closed";
  }

  const amount = amountOf(transfer, held);
  const resolving = { transfer, held, amount, debit, credit, timestampUs };
  draft.addTransfer(made(resolving), ...balancesAfter(resolving));
  draft.resolvePending({ ...pending, state: transfer.kind === "post-pending" ? "posted" : "voided" });
  return "created";
}

function malformed(transfer: Resolution): TransferStatus | undefined {
  const { balancingDebit, balancingCredit, closingDebit, closingCredit } = flagsOf(transfer);
  if (balancingDebit || balancingCredit || closingDebit || closingCredit) return "flags-are-mutually-exclusive";
  if (transfer.pendingId === "") return "pending-id-must-not-be-empty";
  if (!isWellFormed(transfer.pendingId)) return "pending-id-malformed";
  if (transfer.pendingId === transfer.id) return "pending-id-must-be-different";
  return (transfer.timeoutMs ?? 0) !== 0 ? "timeout-reserved-for-pending" : undefined;
}

function differs(transfer: Resolution, held: Transfer): TransferStatus | undefined {
  const { debitAccount, creditAccount, currency, code = 0 } = transfer;
  if (debitAccount !== undefined && debitAccount !== held.debitAccount)
    return "pending-transfer-has-different-debit-account";
  if (creditAccount !== undefined && creditAccount !== held.creditAccount)
    return "pending-transfer-has-different-credit-account";
  if (currency !== undefined && currency !== held.currency) return "pending-transfer-has-different-currency";
  if (code !== 0 && code !== held.code) return "pending-transfer-has-different-code";
  const amount = amountOf(transfer, held);
  if (amount > held.amount) return "exceeds-pending-transfer-amount";
  if (transfer.kind === "void-pending" && amount < held.amount) return "pending-transfer-has-different-amount";
  return undefined;
}

/** One that is due counts as expired, although the sweep has not come yet. */
function ended({ state, expiresAtMs }: Pending, timestampUs: number): TransferStatus | undefined {
  if (state === "posted") return "pending-transfer-already-posted";
  if (state === "voided") return "pending-transfer-already-voided";
  if (state === "expired") return "pending-transfer-expired";
  return expiresAtMs !== undefined && expiresAtMs * 1_000 <= timestampUs ? "pending-transfer-expired" : undefined;
}

interface Resolving {
  readonly transfer: Resolution;
  readonly held: Transfer;
  readonly amount: bigint;
  readonly debit: Account;
  readonly credit: Account;
  readonly timestampUs: number;
}

function balancesAfter({ transfer, held, amount, debit, credit, timestampUs }: Resolving): readonly [Account, Account] {
  const posted = transfer.kind === "post-pending" ? amount : 0n;
  const debited: Account = {
    ...debit,
    debitsPending: debit.debitsPending - held.amount,
    debitsPosted: debit.debitsPosted + posted,
    lastTransferUs: timestampUs,
  };
  const credited: Account = {
    ...credit,
    creditsPending: credit.creditsPending - held.amount,
    creditsPosted: credit.creditsPosted + posted,
    lastTransferUs: timestampUs,
  };
  return [released(debited, held.closingDebit), released(credited, held.closingCredit)];
}

/** Opens the account again where the pending transfer that ends had closed it. */
export function released({ closed, ...account }: Account, closing: boolean | undefined): Account {
  return closed !== true || closing === true ? account : { ...account, closed };
}

function made({ transfer, held, amount, timestampUs, debit, credit }: Resolving): Transfer {
  const reference = transfer.reference || held.reference;
  return {
    id: transfer.id,
    kind: transfer.kind,
    debitAccount: held.debitAccount,
    creditAccount: held.creditAccount,
    amount,
    pendingId: held.id,
    currency: held.currency,
    code: held.code,
    ...(reference === undefined ? {} : { reference }),
    ...flagsOf(transfer),
    timestampUs,
    ...(debit.lastTransferUs === undefined ? {} : { debitPreviousUs: debit.lastTransferUs }),
    ...(credit.lastTransferUs === undefined ? {} : { creditPreviousUs: credit.lastTransferUs }),
  };
}
