/** What an operator does about merchants, batches, chargebacks and payouts, over HTTPS. */
import type { FastifyInstance } from "fastify";
import type { HubStore } from "../../store/store.ts";
import type { Reconciliation } from "../reconciliation/index.ts";
import { batchRoutes } from "./batch-routes.ts";
import { chargebackRoutes } from "./chargeback-routes.ts";
import { merchantRoutes } from "./merchant-routes.ts";
import { payoutRoutes } from "./payout-routes.ts";
import type { Settlement } from "./service.ts";

export interface SettlementRouteParts {
  readonly store: HubStore;
  readonly settlement: Settlement;
  readonly reconciliation: Reconciliation;
}

export function registerSettlementRoutes(app: FastifyInstance, parts: SettlementRouteParts): void {
  merchantRoutes(app, parts);
  batchRoutes(app, parts);
  chargebackRoutes(app, parts);
  payoutRoutes(app, parts);
}
