/** Imports a journal while no hub runs: opens the hub's own files, under its lock, and closes them again. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { systemClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { systemRandom } from "../base/ids.ts";
import { takeLock } from "../base/lock-file.ts";
import { createLog } from "../base/log.ts";
import { type HubConfig, policyOf } from "./config.ts";
import { createHubCore } from "./hub-core.ts";
import { type ImportReport, importFile } from "./import-file.ts";
import { loadCardRanges } from "./issuing-keys.ts";
import { loadHubKeys } from "./keys.ts";
import { hubPaths } from "./main.ts";
import { openHubStore } from "./open-store.ts";

/** Throws Fault `lock.held` where a hub runs, `config.missing` where none ever did, and as `importFile`. */
export async function importStopped(path: string, config: HubConfig): Promise<ImportReport> {
  const dataDir = resolve(config.dataDir);
  const paths = hubPaths(dataDir);
  if (config.store.kind === "sqlite" && !existsSync(paths.database))
    throw new Fault("config.missing", `${paths.database}: there is no hub yet; name its configuration with --config`);
  using _lock = takeLock({ folder: dataDir, what: "hub" });
  const [clock, random] = [systemClock, systemRandom];
  const keys = loadHubKeys(paths.keys, random);
  await using store = await openHubStore(config, paths.database);
  const policy = { ...policyOf(config), issuing: loadCardRanges({ ...config, dataDir }) };
  const core = await createHubCore({ store, keys, policy, clock, random, log: createLog(config.logLevel) });
  return await importFile(path, core.imports);
}
