/** Composes settlement: whose terminals are the hub's own, from which account is paid, and what it and authorisation ask of each other. */
import type { Authorisation } from "./core/authorisation/index.ts";
import type { Ledger } from "./core/ledger/index.ts";
import { createSettlement, type Settlement } from "./core/settlement/index.ts";
import type { HubCoreOptions } from "./hub-core.ts";

export const settlementOf = (
  { policy, clock, random }: HubCoreOptions,
  ledger: Ledger,
  authorisation: Authorisation,
): Settlement =>
  createSettlement({
    ...{ clock, random, ledger },
    merchant: { id: policy.merchantId, name: policy.merchantName ?? policy.merchantId },
    payer: policy.payer,
    riskParty: policy.riskParties.offline,
    purchase: (reading, key) => authorisation.purchase(reading, key),
    hasSold: (reading, terminalId) => authorisation.hasPayment(reading, terminalId),
  });

type Asked = Pick<Settlement, "merchantOf" | "confirmed" | "chargedBack" | "termsOf" | "inOpenBatch">;

/** What authorisation asks of settlement, which comes into being after it. */
export const askedOf = (settlement: () => Settlement): Asked => ({
  merchantOf: (reading, terminalId) => settlement().merchantOf(reading, terminalId),
  confirmed: (within, payment) => settlement().confirmed(within, payment),
  chargedBack: (reading, key) => settlement().chargedBack(reading, key),
  termsOf: (reading, terminalId) => settlement().termsOf(reading, terminalId),
  inOpenBatch: (reading, key, now) => settlement().inOpenBatch(reading, key, now),
});
