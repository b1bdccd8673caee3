/** Opens the hub's store as its configuration says, with the whole schema. */
import type { HubConfig } from "./config.ts";
import { HUB_MIGRATIONS, openHubDatabase } from "./hub-core.ts";
import { openPostgresStore } from "./store/postgres-store.ts";
import { sqliteStore } from "./store/sqlite-store.ts";
import type { HubStore } from "./store/store.ts";

/** `path`: of the SQLite file, where it is one. Throws Fault `store.failed`. */
export async function openHubStore({ store }: Pick<HubConfig, "store">, path: string): Promise<HubStore> {
  switch (store.kind) {
    case "sqlite":
      return sqliteStore(openHubDatabase(path));
    case "postgres":
      return await openPostgresStore({ urls: store.urls, migrations: HUB_MIGRATIONS });
  }
}
