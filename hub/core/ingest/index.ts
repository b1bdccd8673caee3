/** Ingest as the rest of the hub sees it. */

export { dayEntries, type Stretch, type TakenEntry } from "./day-entries.ts";
export { type CloneShown, FINDING_AFTER_MS } from "./findings.ts";
export { registerIngestRoutes } from "./routes.ts";
export { ingestMigrations } from "./schema.ts";
export { createIngest, type Ingest } from "./service.ts";
export type { Source as JournalSource } from "./store.ts";
