/** What a transfer is that comes again under its id: the same, or another and in what. */
import { present } from "../../../base/assert.ts";
import type { Facts } from "./books.ts";
import {
  AMOUNT_MAX,
  isResolution,
  type MoveTransfer,
  type NewTransfer,
  type Resolution,
  type Transfer,
} from "./model.ts";
import type { TransferStatus } from "./statuses.ts";

const FLAGS = ["linked", "balancingDebit", "balancingCredit", "closingDebit", "closingCredit", "imported"] as const;
type Flags = { readonly [Flag in (typeof FLAGS)[number]]?: true };

/** Those that are set. */
export function flagsOf(transfer: NewTransfer | Transfer): Flags {
  const flags: { -readonly [Flag in keyof Flags]: true } = {};
  for (const flag of FLAGS) if (transfer[flag] === true) flags[flag] = true;
  return flags;
}

export function compareTransfers(known: Transfer, again: NewTransfer, facts: Facts): TransferStatus {
  if (known.kind !== again.kind || FLAGS.some((flag) => (known[flag] === true) !== (again[flag] === true)))
    return "exists-with-different-flags";
  if (known.pendingId !== again.pendingId) return "exists-with-different-pending-id";
  if ((known.timeoutMs ?? 0) !== (again.timeoutMs ?? 0)) return "exists-with-different-timeout";
  if (!isResolution(again)) return compareMoves(known, again);
  const held = present(facts.transfer(again.pendingId), "the pending transfer of one that resolved it");
  return compareResolutions(known, again, held);
}

function compareMoves(known: Transfer, again: MoveTransfer): TransferStatus {
  if (known.debitAccount !== again.debitAccount) return "exists-with-different-debit-account";
  if (known.creditAccount !== again.creditAccount) return "exists-with-different-credit-account";
  // How much a balancing one moves depends on its moment, so each amount that covers what moved is the same.
  const isBalancing = again.balancingDebit === true || again.balancingCredit === true;
  if (isBalancing ? again.amount < known.amount : again.amount !== known.amount) return "exists-with-different-amount";
  if ((known.reference ?? "") !== (again.reference ?? "")) return "exists-with-different-reference";
  if (again.currency !== undefined && again.currency !== known.currency) return "exists-with-different-currency";
  return again.code === known.code ? "exists" : "exists-with-different-code";
}

/** What a resolution leaves open is as in the pending transfer. */
function compareResolutions(known: Transfer, again: Resolution, held: Transfer): TransferStatus {
  const differs = (theirs: string | undefined, ours: string) => theirs !== undefined && theirs !== ours;
  if (differs(again.debitAccount, known.debitAccount)) return "exists-with-different-debit-account";
  if (differs(again.creditAccount, known.creditAccount)) return "exists-with-different-credit-account";
  if (known.amount !== amountOf(again, held)) return "exists-with-different-amount";
  if ((known.reference ?? "") !== (again.reference || (held.reference ?? ""))) return "exists-with-different-reference";
  if (differs(again.currency, known.currency)) return "exists-with-different-currency";
  return (again.code ?? 0) === 0 || again.code === known.code ? "exists" : "exists-with-different-code";
}

/** All that is held, where the resolution does not name another amount. */
export function amountOf({ kind, amount }: Resolution, held: Transfer): bigint {
  if (amount === undefined) return held.amount;
  if (kind === "post-pending") return amount === AMOUNT_MAX ? held.amount : amount;
  return amount === 0n ? held.amount : amount;
}
