/** Terminals as the rest of the hub sees them. */
export type { LeasePolicy } from "./leases.ts";
export { registerTerminalOperatorRoutes } from "./operator-routes.ts";
export { registerEnrolRoute, registerTerminalRoutes, type TerminalRouteParts } from "./routes.ts";
export { terminalMigrations } from "./schema.ts";
export { createTerminals, type Terminals } from "./service.ts";
