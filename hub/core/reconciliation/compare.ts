/**
 * Compares one day of a terminal, entry by entry: its own list with what the hub took, and what the hub took with what the
 * ledger moved for it. Pure: whoever else keeps a list of the same payments can be set beside the ledger's in the same way.
 */
import type { PaymentId } from "../../../base/ids.ts";
import type { ReasonCode } from "../../../wire/common.ts";
import type { Difference, SummaryEntry } from "../../../wire/reconciliation.ts";

/** An entry as this hub took it. */
export interface HubEntry {
  readonly epoch: string;
  readonly sequence: number;
  readonly hash: string;
  readonly state: "processed" | "declined" | "expired" | "quarantined";
  readonly kind?: string;
  readonly paymentId?: PaymentId;
  readonly reason?: ReasonCode;
  readonly detail?: string;
  /** Of an approved decision: what the merchant is to get; negative for a refund. */
  readonly decidedMinor?: bigint;
  /** It was set aside, and a person dealt with it. */
  readonly closedWhy?: string;
}

export interface CompareInput {
  readonly epoch: string;
  /** Entries up to this one lie in the terminal's archive and are not listed. */
  readonly archivedThrough: number;
  readonly terminal: readonly SummaryEntry[];
  readonly hub: readonly HubEntry[];
  /** What the ledger moved for a payment, signed as `decidedMinor`; undefined for one that it does not know. */
  postedMinor(paymentId: PaymentId): bigint | undefined;
}

export interface Comparison {
  readonly agreed: number;
  /** Those without an explanation come first. */
  readonly differences: readonly Difference[];
}

export function compareDay(input: CompareInput): Comparison {
  const byPlace = new Map<number, HubEntry[]>();
  for (const entry of input.hub) {
    if (entry.epoch !== input.epoch) continue;
    const here = byPlace.get(entry.sequence);
    if (here) here.push(entry);
    else byPlace.set(entry.sequence, [entry]);
  }
  const seen = new Set<HubEntry>();
  const differences: Difference[] = [];
  let agreed = 0;
  for (const own of input.terminal) {
    const here = byPlace.get(own.sequence) ?? [];
    const same = here.find(({ hash }) => hash === own.hash);
    for (const entry of same ? [same] : here) seen.add(entry);
    const found = same ? compareEntry(input, own, same) : missingAtHub(own, here[0]);
    if (found === "agree") agreed += 1;
    else differences.push({ paymentId: own.paymentId, sequence: own.sequence, ...found });
  }
  for (const entry of input.hub) if (!seen.has(entry)) differences.push(missingAtTerminal(input, entry));
  const rank = ({ explained }: Difference): number => (explained === undefined ? 0 : 1);
  return { agreed, differences: differences.toSorted((a, b) => rank(a) - rank(b)) };
}

type Found = Omit<Difference, "paymentId" | "sequence">;

function missingAtHub(own: SummaryEntry, other: HubEntry | undefined): Found | "agree" {
  if (other) return { what: "other-hash", agent: own.hash, hub: other.hash };
  switch (own.state) {
    // Taken back before it was sent; the hub is told of it by the void.
    case "voided":
      return "agree";
    case "eligible":
    case "forwarding":
      return { what: "not-sent", agent: own.state, explained: "it waits in the terminal's queue" };
    default:
      return { what: "missing-at-hub", agent: own.state };
  }
}

function compareEntry(input: CompareInput, own: SummaryEntry, entry: HubEntry): Found | "agree" {
  const states = {
    agent: own.state,
    hub: entry.state,
    ...(entry.reason === undefined ? {} : { reason: entry.reason }),
  };
  if (own.state === "eligible" || own.state === "forwarding")
    return { what: "other-state", ...states, explained: "its receipt has not come back to the terminal yet" };
  if (own.state === entry.state) {
    if (entry.state !== "quarantined") return compareMoney(input, entry);
    return { what: "quarantined", ...states, explained: entry.detail ?? entry.reason ?? "set aside" };
  }
  if (own.state === "quarantined" && entry.closedWhy !== undefined)
    return { what: "other-state", ...states, explained: `a person dealt with it: ${entry.closedWhy}`.slice(0, 200) };
  return { what: "other-state", ...states };
}

function compareMoney(input: CompareInput, entry: HubEntry): Found | "agree" {
  const { decidedMinor, paymentId, state } = entry;
  if (decidedMinor === undefined || paymentId === undefined) return "agree";
  const wanted = state === "processed" ? decidedMinor : 0n;
  const posted = input.postedMinor(paymentId) ?? 0n;
  if (posted === wanted) return "agree";
  const times = wanted === 0n ? 0n : posted / wanted;
  const twice = times >= 2n && times * wanted === posted;
  return { what: twice ? "posted-twice" : "other-amount", agent: wanted.toString(), hub: posted.toString() };
}

function missingAtTerminal({ epoch, archivedThrough }: CompareInput, entry: HubEntry): Difference {
  const explained = whyUnknown();
  return {
    ...(entry.paymentId === undefined ? {} : { paymentId: entry.paymentId }),
    sequence: entry.sequence,
    ...(entry.epoch === epoch ? {} : { epoch: entry.epoch as NonNullable<Difference["epoch"]> }),
    what: "missing-at-terminal",
    hub: entry.state,
    ...(entry.reason === undefined ? {} : { reason: entry.reason }),
    ...(explained === undefined ? {} : { explained: explained.slice(0, 200) }),
  };

  function whyUnknown(): string | undefined {
    if (entry.state === "quarantined") return `set aside here: ${entry.detail ?? entry.reason ?? "no reason kept"}`;
    if (entry.epoch !== epoch) return "it is of another journal of this terminal";
    return entry.sequence <= archivedThrough ? "it lies in the terminal's archive" : undefined;
  }
}
