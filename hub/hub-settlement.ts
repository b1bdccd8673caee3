/** Composes settlement: whose terminals are the hub's own, from which account is paid, and what it asks of authorisation. */
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
