/** Ingest as the rest of the hub sees it. */
export { ingestMigrations } from "./schema.ts";
export { createIngest, type Ingest } from "./service.ts";
