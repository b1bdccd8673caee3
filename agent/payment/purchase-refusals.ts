/** What the card, the reader or the lease said no to, in the machine's terms and in one sentence for the cashier. */
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { LeaseRefusal } from "../uplink/hub.ts";
import { CardRefusal } from "./emv-session.ts";
import type { PurchaseRequest } from "./payments.ts";
import type { CardFailure, Refusal } from "./purchase-machine.ts";

/** As long as the journal takes; drivers report what others wrote, which may be pages. */
const DETAIL_CHARACTERS_MAX = 200;

export function cardFailure(error: unknown): { why: CardFailure; detail: string } {
  const { why, detail } = causeOf(error);
  return { why, detail: detail.slice(0, DETAIL_CHARACTERS_MAX) };
}

function causeOf(error: unknown): { why: CardFailure; detail: string } {
  if (error instanceof CardRefusal) return { why: error.why, detail: error.message };
  if (isFault(error, "card.removed")) return { why: "removed", detail: "the card was taken out too early" };
  if (isFault(error, "card.mute", "transport.timeout")) return { why: "mute", detail: "the card does not answer" };
  if (isFault(error, "codec.invalid", "codec.truncated", "codec.too-long")) {
    return { why: "refused-command", detail: `the card's answer makes no sense: ${error.message}` };
  }
  if (error instanceof Fault) return { why: "removed", detail: `the reader failed: ${error.message}` };
  throw new Error(`unexpected: ${reasonOf(error)}`, { cause: error });
}

/** What the hub alone may approve: always asked, never by a lease, and paid by nothing but a card. */
export interface HubOnly {
  /** While it cannot be reached. */
  readonly refusal: Refusal;
  /** To whom presents a code. */
  readonly needsCard: string;
}

/** What a pre-authorisation holds the hub holds: no lease and no card can. */
const HELD_BY_HUB: HubOnly = {
  refusal: {
    reason: "E_UNAVAILABLE",
    detail: "a pre-authorisation needs the hub, which cannot be reached; try again later",
  },
  needsCard: "a pre-authorisation needs a card",
};

/** Cash is gone once it is counted out, so nobody but the card's issuer may say yes to it. */
const CASH_BY_HUB: HubOnly = {
  refusal: {
    reason: "E_UNAVAILABLE",
    detail: "cash is given only where the hub says so, and it cannot be reached; sell without cashback",
  },
  needsCard: "cash is given on a card only; present a card",
};

export function hubOnly({ operation, cashback }: PurchaseRequest): HubOnly | undefined {
  if (operation === "pre-authorisation") return HELD_BY_HUB;
  return cashback && CASH_BY_HUB;
}

type OwnRefusal = Exclude<LeaseRefusal, `stand-in ${string}`>;

const LEASE_REFUSALS: Readonly<Record<OwnRefusal, Refusal>> = {
  "no-lease": { reason: "E_UNAVAILABLE", detail: "the hub cannot be reached and this terminal holds no offline lease" },
  expired: { reason: "E_EXPIRED", detail: "the hub cannot be reached and the offline lease has expired" },
  "time-unproven": {
    reason: "E_EXPIRED",
    detail: "the hub must be seen once after a restart of the machine before selling offline",
  },
  "per-sale": { reason: "E_LIMIT", detail: "above the offline limit for one sale" },
  sum: { reason: "E_LIMIT", detail: "above what may still be sold offline" },
  count: { reason: "E_LIMIT", detail: "as many offline sales as the lease allows are waiting to be sent" },
  age: {
    reason: "E_LIMIT",
    detail: "the oldest offline sale has waited too long for the hub; bring the link back first",
  },
  velocity: { reason: "E_LIMIT", detail: "this card or device has bought as much offline as one payer may" },
  currency: { reason: "E_LIMIT", detail: "the offline lease is for another currency" },
  means: { reason: "E_LIMIT", detail: "the offline lease does not allow this way of reading a card" },
  "denied-card": { reason: "E_DENIED", detail: "this card is on the deny list" },
  "disk-reserve": { reason: "E_UNAVAILABLE", detail: "the disk is nearly full; no offline sales until space is free" },
};

/** Why a sale may not be made with no hub in reach. */
export const leaseRefusal = (refusal: LeaseRefusal): Refusal =>
  isOwn(refusal) ? LEASE_REFUSALS[refusal] : { reason: "E_LIMIT", detail: `the card's institution: ${refusal}` };

const isOwn = (refusal: LeaseRefusal): refusal is OwnRefusal => Object.hasOwn(LEASE_REFUSALS, refusal);
