/** Reconciliation as the rest of the hub sees it. */
export { registerReconciliationRoutes } from "./routes.ts";
export { reconciliationMigrations } from "./schema.ts";
export { createReconciliation, type Reconciliation } from "./service.ts";
