/** The switch as the rest of the hub sees it. */
export type { Institution } from "./institution.ts";
export { registerIssuerRoutes } from "./routes.ts";
export { switchMigrations } from "./schema.ts";
export { createSwitch, NO_ISSUERS, type Switch, type SwitchOptions } from "./switch.ts";
