/** Settlement as the rest of the hub sees it. */
export { settlementMigrations } from "./schema.ts";
export { createSettlement, type Settlement } from "./service.ts";
