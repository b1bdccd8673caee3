/** Operators: accounts, roles, sessions, API tokens, and the audit log. */
export type { AuditInput } from "./audit.ts";
export { registerAuditRoutes } from "./audit-routes.ts";
export { guardRoutes } from "./guarded-routes.ts";
export type { Role } from "./roles.ts";
export { registerLogInRoute, registerOperatorRoutes } from "./routes.ts";
export { operatorMigrations } from "./schema.ts";
export { createOperators, type Operators } from "./service.ts";
