/** Terminals as the rest of the hub sees them. */
export type { DeniedSubject } from "./deny-list.ts";
export type { LeasePolicy } from "./leases.ts";
export { registerEnrolRoute, registerTerminalRoutes, type TerminalRouteParts } from "./routes.ts";
export { terminalMigrations } from "./schema.ts";
export { createTerminals, type Terminals } from "./service.ts";
