/** Imports a journal while no hub runs: opens the hub's own files, under its lock, and closes them again. */
import { existsSync } from "node:fs";
import { userInfo } from "node:os";
import { basename, resolve } from "node:path";
import { systemClock } from "../base/clock.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import { systemRandom } from "../base/ids.ts";
import { takeLock } from "../base/lock-file.ts";
import { createLog } from "../base/log.ts";
import { type HubConfig, policyOf } from "./config.ts";
import type { AuditInput, Operators } from "./core/operators/index.ts";
import { createHubCore } from "./hub-core.ts";
import { type ImportReport, importFile } from "./import-file.ts";
import { loadCardRanges } from "./issuing-keys.ts";
import { loadHubKeys } from "./keys.ts";
import { loadIssuers } from "./load-issuers.ts";
import { hubPaths } from "./main.ts";
import { openOperators } from "./open-operators.ts";
import { openHubStore } from "./open-store.ts";

/** Throws Fault `lock.held` where a hub runs, `config.missing` where none ever did, as `loadIssuers`, and as `importFile`. */
export async function importStopped(path: string, config: HubConfig): Promise<ImportReport> {
  const dataDir = resolve(config.dataDir);
  const paths = hubPaths(dataDir);
  if (config.store.kind === "sqlite" && !existsSync(paths.database))
    throw new Fault("config.missing", `${paths.database}: there is no hub yet; name its configuration with --config`);
  using _lock = takeLock({ folder: dataDir, what: "hub" });
  const [clock, random] = [systemClock, systemRandom];
  const issuers = loadIssuers({ ...config, dataDir });
  const keys = loadHubKeys(paths.keys, random);
  await using store = await openHubStore(config, paths.database);
  const policy = { ...policyOf(config), issuing: loadCardRanges({ ...config, dataDir }) };
  const core = await createHubCore({
    ...{ store, keys, policy, clock, random, log: createLog(config.logLevel) },
    ...(issuers && { issuers }),
  });
  // Its links are not begun: what issuers have yet to hear is noted, and told by the hub's next start.
  await using issuerSwitch = core.switch;
  await store.read((reading) => issuerSwitch.mustKnowAll(reading));
  const operators = openOperators({ config, store, keys, clock, random });
  return await audited(operators, path, () => importFile(path, core.imports));
}

/** By whoever may use the hub's files: no operator asked, so the log names the machine's user. */
async function audited(
  { store, audit }: Operators,
  path: string,
  work: () => Promise<ImportReport>,
): Promise<ImportReport> {
  const append = (input: Omit<AuditInput, "action" | "who" | "by">) =>
    store.transaction((within) =>
      audit.append(within, { action: "hub import", who: userInfo().username, by: "machine", ...input }),
    );
  const of = await append({ named: { file: basename(path) }, outcome: "begun" });
  try {
    const report = await work();
    const { terminalId, epoch, entries } = report;
    await append({ named: { terminalId, epoch, entries: String(entries) }, outcome: "done", of });
    return report;
  } catch (error) {
    await append({ outcome: "failed", reason: reasonOf(error), of });
    throw error;
  }
}
