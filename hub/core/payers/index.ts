/** Payers as the rest of the hub sees them. */
export { type PayerRouteParts, registerPayerRoutes, registerPhoneRoutes } from "./routes.ts";
export { payerMigrations } from "./schema.ts";
export { createPayers, type PayerDevice, type PayerDirectory, type Payers } from "./service.ts";
