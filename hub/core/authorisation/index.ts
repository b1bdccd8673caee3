/** Authorisation as the rest of the hub sees it. */
export type { EntryOutcome } from "./entries.ts";
export { type Answer, type Presented, STALE_ANSWER } from "./request.ts";
export { authorisationMigrations } from "./schema.ts";
export { type AccountView, type Authorisation, createAuthorisation } from "./service.ts";
export type { TransactionView } from "./view.ts";
