/** One PostgreSQL for the rules of money over that store, with a database that has the hub's whole schema. */
import type { TestProject } from "vitest/node";
import { HUB_MIGRATIONS } from "../../hub/hub-core.ts";
import { openPostgresStore } from "../../hub/store/postgres-store.ts";
import { startPostgres } from "../../scripts/lib/postgres.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // What is proven here does not hang on the disk; the kills of whole servers have a lane of their own.
  const server = await startPostgres({ fsync: "off" });
  const template = server.newDatabase();
  const store = await openPostgresStore({ urls: [template], migrations: HUB_MIGRATIONS });
  await store[Symbol.asyncDispose]();
  project.provide("postgres", { port: server.port, template });
  return async () => await server[Symbol.asyncDispose]();
}

declare module "vitest" {
  export interface ProvidedContext {
    readonly postgres: { readonly port: number; readonly template: string } | undefined;
  }
}
