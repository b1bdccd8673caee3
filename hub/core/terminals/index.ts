/** Terminals as the rest of the hub sees them. */
export { terminalMigrations } from "./schema.ts";
export { createTerminals, type LeasePolicy, type Terminals, type TerminalView } from "./service.ts";
