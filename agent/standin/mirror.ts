/**
 * Stand-in with no hub in reach (system 3): the hub's own checks, over the smaller parameters that came with the lease. They
 * bind within the lease, never beyond it.
 */
import type { PaymentId, TerminalId } from "../../base/ids.ts";
import type { Money } from "../../base/money.ts";
import type { EntryMode } from "../../wire/common.ts";
import type { Lease, MirroredSet } from "../../wire/lease.ts";
import { ACCOUNT_PREFIX_DIGITS_MAX } from "../../wire/stand-in.ts";
import { decideStandIn, type StandInCheck } from "../../wire/stand-in-checks.ts";

export interface MirroredSale {
  readonly paymentId: PaymentId;
  readonly terminalId: TerminalId;
  readonly amount: Money;
  readonly entryMode: EntryMode;
  /** Of the card's number: `ACCOUNT_PREFIX_DIGITS_MAX` of them. */
  readonly leadingDigits: string;
  /** Hub time as far as it is proven, in milliseconds since 1970. */
  readonly at: number;
  /** What this card bought, and what all cards bought, that the hub has not receipted: no less than institutions have yet to hear. */
  readonly ofCard: Sold;
  readonly ofAll: Sold;
}
interface Sold {
  readonly count: number;
  readonly minor: bigint;
}

/** The check that refuses; undefined where the sale may be, and for a card of whose institution the lease says nothing. */
export function mirrorRefusal(sale: MirroredSale, mirror: Lease["standIn"]): StandInCheck | undefined {
  const set = mirror && setFor(sale.leadingDigits, mirror.sets);
  if (!mirror || !set) return undefined;
  const { parameters } = set;
  const decision = decideStandIn({
    parameters,
    request: {
      account: { leadingDigits: sale.leadingDigits },
      institutionId: parameters?.institution.id ?? "",
      acquirerId: mirror.acquirerId,
      mcc: mirror.mcc,
      type: "purchase",
      ...{ amount: sale.amount, paymentId: sale.paymentId, terminalId: sale.terminalId },
      ...{ at: sale.at, entryMode: sale.entryMode },
    },
    counters: {
      accountCount: sale.ofCard.count,
      accountSumMinor: sale.ofCard.minor,
      institutionSumMinor: sale.ofAll.minor,
      latestAt: 0,
    },
    now: sale.at,
  });
  return decision.decision === "approve" ? undefined : decision.decidedBy;
}

/** Of several that fit, the one with the longest range. A range of more digits than are known here fits by those. */
function setFor(leadingDigits: string, sets: readonly MirroredSet[]): MirroredSet | undefined {
  let found: { readonly set: MirroredSet; readonly digits: number } | undefined;
  for (const set of sets)
    for (const range of set.ranges) {
      const fits = leadingDigits.startsWith(range.slice(0, ACCOUNT_PREFIX_DIGITS_MAX));
      if (fits && range.length > (found?.digits ?? 0)) found = { set, digits: range.length };
    }
  return found?.set;
}
