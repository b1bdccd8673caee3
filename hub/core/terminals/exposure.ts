/**
 * What can be sold at most while terminals cannot reach this hub (RM8). Counters are per terminal, so one account can be
 * used at all of them: the bound of the fleet is the sum of all leases in force. A disk that was copied holds a lease of
 * its own in each copy, so such a lease counts once per copy that is known; one more copy, not known yet, adds its cap again.
 */
import type { TerminalId } from "../../../base/ids.ts";
import type { LeaseRun } from "./leases.ts";

export interface LeaseExposure {
  readonly terminalId: TerminalId;
  readonly epoch: string;
  readonly currency: string;
  readonly capMinor: bigint;
  readonly payerMinor: bigint;
  /** Journals known to hold this lease: 1, and one more for each copy that was found. */
  readonly copies: number;
  readonly boundMinor: bigint;
  readonly expiresAt: number;
}

export interface CurrencyExposure {
  readonly currency: string;
  readonly leases: number;
  /** All that can be sold. */
  readonly boundMinor: bigint;
  /** All that one card or device can buy, going from terminal to terminal. */
  readonly payerBoundMinor: bigint;
}

export interface Exposure {
  readonly currencies: readonly CurrencyExposure[];
  readonly leases: readonly LeaseExposure[];
}

/** `copiesOf`: how many journals of this terminal and epoch are known to be written, at least 1. */
export function exposureOf(
  runs: readonly LeaseRun[],
  copiesOf: (terminalId: TerminalId, epoch: string) => number,
): Exposure {
  const byJournal = new Map<string, LeaseExposure>();
  for (const run of runs) {
    const key = `${run.terminalId}\n${run.epoch}\n${run.currency}`;
    const known = byJournal.get(key);
    const capMinor = larger(known?.capMinor ?? 0n, run.sumMinor);
    const copies = Math.max(1, copiesOf(run.terminalId, run.epoch));
    byJournal.set(key, {
      terminalId: run.terminalId,
      epoch: run.epoch,
      currency: run.currency,
      capMinor,
      payerMinor: larger(known?.payerMinor ?? 0n, run.payerMinor),
      copies,
      boundMinor: capMinor * BigInt(copies),
      expiresAt: Math.max(known?.expiresAt ?? 0, run.expiresAt),
    });
  }
  const leases = [...byJournal.values()];
  const currencies = [...new Set(leases.map(({ currency }) => currency))].toSorted().map((currency) => {
    const own = leases.filter((lease) => lease.currency === currency);
    return {
      currency,
      leases: own.length,
      boundMinor: own.reduce((sum, { boundMinor }) => sum + boundMinor, 0n),
      payerBoundMinor: own.reduce((sum, { payerMinor, copies }) => sum + payerMinor * BigInt(copies), 0n),
    };
  });
  return { currencies, leases };
}

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
