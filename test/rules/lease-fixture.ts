/** A hub's signatures and a journal's kept facts, ten lines each, for the tests of lease, hub clock and uplink. */
import { generateKeyPairSync } from "node:crypto";
import type { KeptFact, Outstanding } from "../../agent/journal/journal.ts";
import type { OfflineSale } from "../../agent/lease/lease-keeper.ts";
import type { Epoch, PaymentId, TerminalId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { denyListHash, type Lease } from "../../wire/lease.ts";
import { newSigningKeys, publicKeyText, type Signed, signText } from "../../wire/signing.ts";

export const TERMINAL = "till-1" as TerminalId;
export const EPOCH = "00112233aabbccdd" as Epoch;
/** 2026-01-05T09:00:00Z: where ManualClock starts. */
export const NINE = Date.UTC(2026, 0, 5, 9, 0, 0);
export const HOUR = 3_600_000;

export const hubKeys = newSigningKeys();
export const sealingKeys = generateKeyPairSync("x25519");
export const strangerKeys = newSigningKeys();

export const signedTime = (at: number, terminalId = TERMINAL, keys = hubKeys): Signed =>
  signText("time", JSON.stringify({ terminalId, at: new Date(at).toISOString() }), keys.privateKey);

/** What the hub says to whoever asked with this nonce. */
export const answeredTime = (at: number, nonce: string | undefined): Signed =>
  signText("time", JSON.stringify({ terminalId: TERMINAL, at: new Date(at).toISOString(), nonce }), hubKeys.privateKey);

export const denyList = (...tokens: string[]): Lease["denyList"] => ({
  version: tokens.length,
  hash: denyListHash(tokens),
  tokens,
});

export function leaseOf(changes: Partial<Lease> = {}): Lease {
  return {
    leaseId: `lease-${changes.counter ?? 1}`,
    terminalId: TERMINAL,
    epoch: EPOCH,
    counter: 1,
    issuedAt: new Date(NINE).toISOString(),
    expiresAt: new Date(NINE + 8 * HOUR).toISOString(),
    currency: money(0n, "EUR").currency,
    perSaleMinor: "5000",
    sumMinor: "10000",
    countMax: 5,
    means: ["chip"],
    deferredAuthorisation: false,
    ageMaxSec: 7_776_000,
    denyList: denyList(),
    sealingKey: { keyId: "k1", publicKey: publicKeyText(sealingKeys.publicKey) },
    ...changes,
  };
}
export const signedLease = (changes: Partial<Lease> = {}, keys = hubKeys): Signed =>
  signText("lease", JSON.stringify(leaseOf(changes)), keys.privateKey);

export class MemoryJournal {
  readonly epoch = EPOCH;
  head = { sequence: 0, forward: 0, hash: "0".repeat(64) };
  readonly kept = new Map<KeptFact, string>();
  /** Amounts of approved offline sales without a receipt. */
  readonly unreceipted: bigint[] = [];
  /** When the oldest of them was made. */
  oldestAt: string | undefined;
  /** What of them this or that payer bought. */
  readonly byPayer = new Map<string, bigint[]>();
  keeps = 0;

  recall(fact: KeptFact): string | undefined {
    return this.kept.get(fact);
  }
  keep(fact: KeptFact, text: string): Promise<void> {
    this.keeps += 1;
    this.kept.set(fact, text);
    return Promise.resolve();
  }
  outstanding(): Outstanding {
    return { ...summed(this.unreceipted), ...(this.oldestAt === undefined ? {} : { oldestAt: this.oldestAt }) };
  }
  outstandingOf(payer: string): Pick<Outstanding, "count" | "minor"> {
    return summed(this.byPayer.get(payer) ?? []);
  }
}

const summed = (amounts: readonly bigint[]) => ({
  count: amounts.length,
  minor: amounts.reduce((sum, minor) => sum + minor, 0n),
});

/** A machine's boots: time passes by hand, `reboot` starts another. */
export class HandBoot {
  id = "boot-1";
  uptime = 60_000;
  uptimeMs(): number {
    return this.uptime;
  }
  reboot(): void {
    this.id = `${this.id}+`;
    this.uptime = 5_000;
  }
}

let payments = 0;
export function saleOf(minor: bigint, changes: Partial<OfflineSale> = {}): OfflineSale {
  payments += 1;
  return {
    paymentId: `p-${payments}` as PaymentId,
    amount: money(minor, "EUR"),
    means: "chip",
    payerToken: "a".repeat(64),
    ...changes,
  };
}
