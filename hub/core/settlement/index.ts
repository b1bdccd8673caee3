/** Settlement as the rest of the hub sees it. */
export { registerSettlementRoutes } from "./routes.ts";
export { settlementMigrations } from "./schema.ts";
export { createSettlement, type Settlement } from "./service.ts";
