/** Terminals as the rest of the hub sees them. */
export { registerEnrolRoute, registerTerminalRoutes, type TerminalRouteParts } from "./routes.ts";
export { terminalMigrations } from "./schema.ts";
export { createTerminals, type LeasePolicy, type Terminals } from "./service.ts";
