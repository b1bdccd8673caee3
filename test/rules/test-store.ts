/** The store that a test of the hub runs over: SQLite, and in the lane of that name PostgreSQL. */
import { inject, onTestFinished } from "vitest";
import type { Sqlite } from "../../base/sqlite.ts";
import { HUB_MIGRATIONS, openHubDatabase } from "../../hub/hub-core.ts";
import { openPostgresStore } from "../../hub/store/postgres-store.ts";
import { sqliteStore } from "../../hub/store/sqlite-store.ts";
import { type HubStore, type Reading, sql } from "../../hub/store/store.ts";
import { newDatabase } from "../../scripts/lib/postgres.ts";
import "./postgres-setup.ts";

export interface TestStore {
  readonly store: HubStore;
  /** Throws over PostgreSQL: a test that looks into the file belongs to SQLite alone. */
  readonly database: Sqlite;
  /** Every row of every table, as text. */
  dump(): Promise<string>;
  /** The store of another replica over the same database; SQLite has but one. */
  another(): Promise<HubStore>;
}

/** `path`: of a file, where the test wants one; in memory when not said. */
export async function openTestStore(path = ":memory:"): Promise<TestStore> {
  const postgres = inject("postgres");
  if (postgres === undefined) {
    const database = openHubDatabase(path);
    const store = sqliteStore(database);
    return { store, database, dump: () => dumpOf(store, SQLITE_TABLES), another: async () => store };
  }
  const urls = [newDatabase(postgres.port, postgres.template)];
  const another = async () => {
    const opened = await openPostgresStore({ urls, migrations: HUB_MIGRATIONS });
    onTestFinished(() => opened[Symbol.asyncDispose]());
    return opened;
  };
  const store = await another();
  return {
    store,
    get database(): Sqlite {
      throw new Error("this test looks into an SQLite file");
    },
    dump: () => dumpOf(store, POSTGRES_TABLES),
    another,
  };
}

interface Named {
  readonly name: string;
}
const SQLITE_TABLES = sql<[], Named>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
const POSTGRES_TABLES = sql<[], Named>(
  "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name",
);

const dumpOf = (store: HubStore, tables: typeof SQLITE_TABLES): Promise<string> =>
  store.read(async (reading) => {
    const rows: unknown[] = [];
    for (const { name } of await reading.all(tables, [])) rows.push(await rowsOf(reading, name));
    return JSON.stringify(rows, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  });

const rowsOf = (reading: Reading, table: string) => reading.all(sql<[], object>(`SELECT * FROM ${table}`), []);
