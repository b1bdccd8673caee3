/** Terminals as the rest of the hub sees them. */
export type { TerminalCertificate } from "./certificate-store.ts";
export type { Standing } from "./certificates.ts";
export { holdToKeys } from "./key-marks.ts";
export type { LeasePolicy } from "./leases.ts";
export { registerTerminalOperatorRoutes } from "./operator-routes.ts";
export {
  type EnrolDesk,
  registerEnrolRoute,
  registerTerminalRoutes,
  type TerminalRouteParts,
} from "./routes.ts";
export { terminalMigrations } from "./schema.ts";
export { createTerminals, type Speaker, type Terminals, type TerminalsOptions } from "./service.ts";
