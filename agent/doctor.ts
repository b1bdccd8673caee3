/** Looks at everything that a terminal needs to sell and says, one line each, what is wrong and what to do. */
import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import type { Environment } from "../base/config-file.ts";
import { reasonOf } from "../base/fault.ts";
import type { OpenDevice } from "../drivers/capability.ts";
import { type AgentConfig, loadAgentConfig } from "./config.ts";
import { agentFinding, askAgent } from "./doctor/agent-checks.ts";
import { examineDevice, toldDevice } from "./doctor/device-checks.ts";
import type { Finding } from "./doctor/finding.ts";
import { examineHub } from "./doctor/hub-checks.ts";
import { examineJournal, examineKeys } from "./doctor/store-checks.ts";
import type { Status } from "./health/health.ts";
import { type Identity, identityPath, loadIdentity, ownerMend } from "./identity.ts";

export interface DoctorOptions {
  readonly configPath: string;
  readonly env: Environment;
  readonly clock: Clock;
  readonly open: OpenDevice;
}

const OTHERS_MASK = 0o077;
const BYTES_PER_MB = 1_048_576;

/** `ok|warn|FAIL name: what; mend` */
export const findingText = ({ level, name, what }: Finding): string => `${level.padEnd(4)} ${name}: ${what}`;

export async function* examine(options: DoctorOptions): AsyncGenerator<Finding, void> {
  const { configPath, env, clock, open } = options;
  let config: AgentConfig;
  try {
    config = loadAgentConfig(configPath, env);
  } catch (error) {
    yield { level: "FAIL", name: "config", what: reasonOf(error) };
    return;
  }
  yield { level: "ok", name: "config", what: configPath };
  yield examineFolder(config.dataDir);
  yield examineDisk(config);
  const { identity, finding } = examineIdentity(config.dataDir);
  yield finding;
  if (identity) yield examineCertificate(identity, clock.now());
  yield await examineKeys(config.emv);
  const answer = await askAgent({ ...options, dataDir: config.dataDir });
  const journal = identity && answer.at === "away" ? await examineJournal(config.dataDir, identity) : undefined;
  yield agentFinding(answer, { configPath, hasRun: journal !== undefined });
  if (journal) yield journal;
  const status = answer.at === "running" ? answer.status : undefined;
  if (answer.at === "unclear") {
    yield { level: "warn", name: "devices", what: "are not looked at, for the agent may hold them" };
  } else yield* examineDevices(config, { status, open, clock });
  if (status?.hub.silent) yield silentFinding(status.hub.via);
  if (status?.hub.advicesOnly) yield ENDED;
  if (status?.hub.state === "up") yield { level: "ok", name: "hub", what: `linked by ${status.hub.via}` };
  else if (identity) {
    const unlinked = answer.at === "away" || status?.hub.silent === false;
    yield* examineHub({ identity, urls: config.uplink, clock, unlinked });
  }
}

interface Looking extends Pick<DoctorOptions, "open" | "clock"> {
  /** Of the agent that holds them; absent when none runs. */
  readonly status: Status | undefined;
}

async function* examineDevices(
  { devices }: AgentConfig,
  { status, open, clock }: Looking,
): AsyncGenerator<Finding, void> {
  if (devices.length === 0) {
    yield { level: "FAIL", name: "devices", what: "none are configured; add a card reader such as pcsc:* to devices" };
  }
  for (const spec of devices) {
    const told = status?.devices.find(({ id }) => id === spec.id);
    yield told ? toldDevice(told) : await examineDevice(spec, { open, clock });
  }
}

const silentFinding = (via: string): Finding => ({
  level: "FAIL",
  name: "hub",
  what: `connected by ${via}, but the hub does not answer, so sales go offline; see whether a replica of it runs and reaches its brokers`,
});

const ENDED: Finding = {
  level: "FAIL",
  name: "hub",
  what: "takes only what is stored, as this terminal's certificate has ended, so sales go offline; see in the agent's log why it is not renewed, or enrol this terminal again",
};

function examineFolder(dataDir: string): Finding {
  const name = "data";
  if (!existsSync(dataDir)) {
    return { level: "warn", name, what: `${dataDir} is not there yet; the agent makes it at its first start` };
  }
  try {
    accessSync(dataDir, constants.W_OK | constants.R_OK | constants.X_OK);
  } catch {
    return { level: "FAIL", name, what: `${dataDir} cannot be written by this user; run: chown -R USER ${dataDir}` };
  }
  const mode = statSync(dataDir).mode & 0o777;
  if ((mode & OTHERS_MASK) === 0) return { level: "ok", name, what: dataDir };
  return {
    level: "warn",
    name,
    what: `${dataDir} is open to others (mode ${mode.toString(8)}); run: chmod 700 ${dataDir}`,
  };
}

function examineDisk({ dataDir, reserve }: AgentConfig): Finding {
  const name = "disk";
  try {
    const { bavail, bsize } = statfsSync(existsSync(dataDir) ? dataDir : "/");
    const freeMb = Math.floor((bavail * bsize) / BYTES_PER_MB);
    if (freeMb >= reserve.diskMb) return { level: "ok", name, what: `${freeMb} MB free` };
    const what = `${freeMb} MB free, under the reserve of ${reserve.diskMb} MB, so nothing is sold offline; free some`;
    return { level: "FAIL", name, what };
  } catch (error) {
    return { level: "warn", name, what: `free space is not known: ${reasonOf(error)}` };
  }
}

function examineIdentity(dataDir: string): { readonly identity?: Identity; readonly finding: Finding } {
  const name = "identity";
  try {
    const identity = loadIdentity(dataDir);
    const path = identityPath(dataDir);
    if (statSync(path).uid !== statSync(dataDir).uid) {
      const what = `${path} is another user's than its folder, so the agent may not read it; ${ownerMend(path)}`;
      return { identity, finding: { level: "FAIL", name, what } };
    }
    return { identity, finding: { level: "ok", name, what: `enrolled as ${identity.terminalId}` } };
  } catch (error) {
    return { finding: { level: "FAIL", name, what: reasonOf(error) } };
  }
}

/** By this box's clock, which the check of the hub compares with the hub's. */
function examineCertificate({ tls }: Identity, now: number): Finding {
  const name = "certificate";
  if (!tls) {
    const what = "there is none yet; the running agent gets one as soon as it reaches its hub";
    return { level: "warn", name, what };
  }
  const until = new Date(tls.endsAt).toISOString();
  if (now >= tls.endsAt) {
    const what = `has ended (${until}), so the hub lets this terminal sell nothing online; the running agent renews it as soon as it reaches its hub`;
    return { level: "FAIL", name, what };
  }
  const renewed = new Date(tls.renewAfter).toISOString();
  if (now < tls.renewAfter) return { level: "ok", name, what: `good until ${until}, renewed from ${renewed} on` };
  return {
    level: "warn",
    name,
    what: `to be renewed since ${renewed}, good until ${until}; let the agent reach its hub`,
  };
}
