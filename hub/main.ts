/** The hub's composition root: one process with ledger, MQTT and HTTPS, from a checked configuration to ready. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import type { RunningDaemon } from "../base/daemon.ts";
import { Fault, isFault, reasonOf } from "../base/fault.ts";
import { type RandomBytes, systemRandom, type TerminalId } from "../base/ids.ts";
import { takeLock } from "../base/lock-file.ts";
import { createLog, type Log } from "../base/log.ts";
import { publicKeyText, type Signed } from "../wire/signing.ts";
import { TILLWAY_VERSION } from "../wire/version.ts";
import { type HubConfig, policyOf } from "./config.ts";
import type { Operators } from "./core/operators/index.ts";
import type { TerminalRouteParts } from "./core/terminals/index.ts";
import type { DeviceGateway } from "./device-gateway.ts";
import { openHttpGateway } from "./http-gateway.ts";
import { createHubCore, type HubCore } from "./hub-core.ts";
import { loadCardRanges } from "./issuing-keys.ts";
import { type HubKeys, loadHubKeys, loadOperatorToken } from "./keys.ts";
import { createLeaseRenewal, type LeaseRenewal } from "./lease-renewal.ts";
import { loadIssuers } from "./load-issuers.ts";
import { loadBrokerAuthority } from "./nats/broker-authority.ts";
import { openDeviceGateway } from "./open-gateway.ts";
import { openOperators } from "./open-operators.ts";
import { openHubStore } from "./open-store.ts";
import { createOpenings } from "./openings.ts";
import { keepCertificate } from "./server-certificate.ts";
import type { HubStore, Reading } from "./store/store.ts";
import { openTerminalAuthority } from "./terminal-authority.ts";
import { createTerminalDoor } from "./terminal-door.ts";
import { loadHubTls } from "./tls.ts";

export interface Endpoints {
  readonly httpsUrl: string;
  readonly mqttUrl: string;
  readonly httpsPort: number;
  readonly mqttPort: number;
}

export interface RunningHub extends RunningDaemon {
  readonly core: HubCore;
  readonly endpoints: Endpoints;
}

/** Where things lie under the data folder. */
export const hubPaths = (dataDir: string) => ({
  database: join(dataDir, "hub.db"),
  keys: join(dataDir, "keys"),
  tls: join(dataDir, "tls"),
  caCertificate: join(dataDir, "tls", "ca-certificate.pem"),
  operatorToken: join(dataDir, "operator-token"),
  endpoints: join(dataDir, "endpoints.json"),
});

export interface StartOptions {
  readonly config: HubConfig;
  readonly clock?: Clock;
  readonly random?: RandomBytes;
  readonly log?: Log;
}

/** One opens seals as fast as the rest of a drain goes on two cores. */
const OPENING_THREADS_MAX = 2;
const SWEEP_EVERY_MS = 60_000;

export async function startHub(options: StartOptions): Promise<RunningHub> {
  const { config, clock = systemClock, random = systemRandom } = options;
  const log = options.log ?? createLog(config.logLevel);
  const dataDir = resolve(config.dataDir);
  const lock = takeLock({ folder: dataDir, what: "hub" });
  try {
    return await bringUp({ config, clock, random, log, dataDir, lock });
  } catch (error) {
    lock[Symbol.dispose]();
    throw isFileTrouble(error)
      ? new Fault("store.failed", `${dataDir}: ${reasonOf(error)}; check the folder's owner and free space`)
      : error;
  }
}

/** A system call that failed: a full disk, a missing right, a file where a folder should be. */
const isFileTrouble = (error: unknown): boolean => error instanceof Error && !isFault(error) && "syscall" in error;

interface BringUp {
  readonly config: HubConfig;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly dataDir: string;
  readonly lock: Disposable;
}

async function bringUp({ config, clock, random, log, dataDir, lock }: BringUp): Promise<RunningHub> {
  const paths = hubPaths(dataDir);
  const issuing = loadCardRanges({ ...config, dataDir });
  const issuers = loadIssuers({ ...config, dataDir });
  const keys = loadHubKeys(paths.keys, random);
  const names = [config.public.host, ...config.public.names];
  const loadTls = () => loadHubTls({ folder: paths.tls, names, now: clock.now(), random });
  const tls = await loadTls();
  const authority = await openTerminalAuthority({ folder: paths.tls, days: config.certificates.days, random });
  await using stack = new AsyncDisposableStack();
  stack.use(lock);
  const store = stack.use(await openHubStore(config, paths.database));
  const policy = { ...policyOf(config), issuing };
  const threads = Math.min(availableParallelism() - 1, OPENING_THREADS_MAX);
  const openings = stack.use(createOpenings({ threads, keys: keys.sealing, clock, log: log.for("openings") }));
  const core = await createHubCore({
    ...{ store, keys, policy, clock, random, log, openings },
    ...(issuers && { issuers }),
  });
  // Disposed after the gateways and before the database: what they took is committed.
  stack.defer(() => core.idle());
  stack.use(core.switch);
  await store.read((reading) => core.switch.mustKnowAll(reading));
  const operators = await operatorsOf({ config, store, keys, clock, random, tokenPath: paths.operatorToken });
  stack.defer(() => operators.refused.flush());
  stack.defer(sweep({ core, operators, clock, log }));
  const { terminals } = core;
  const onCopy = (terminalId: TerminalId) => core.nameClone(terminalId, "certificates");
  const broker = config.ingest.kind === "nats" ? loadBrokerAuthority(paths.keys) : undefined;
  const logins = broker ? { loginOf: broker.loginOf } : {};
  const door = createTerminalDoor({ store, terminals, authority, clock, onCopy, ...logins });
  const mqtt = stack.use(await openDeviceGateway({ config, broker, hub: core, door, tls, clock, random, log }));
  const ports = { httpsPort: config.listen.httpsPort, mqttPort: mqtt.port };
  const renewal = stack.use(createLeaseRenewal({ core, terminals: mqtt, log: log.for("leases") }));
  const parts = terminalParts({
    config,
    keys,
    core,
    mqtt,
    renewal,
    address: () => ({ ...tls, ...urlsOf(config, ports) }),
  });
  const http = stack.use(
    await openHttpGateway({
      hub: core,
      door,
      tls,
      host: config.listen.host,
      port: config.listen.httpsPort,
      operators,
      version: TILLWAY_VERSION,
      terminalParts: parts,
      payerParts: { ...payerParts({ config, keys, core }), store, renewal, clock, address: parts.address },
      clock,
      log,
    }),
  );
  ports.httpsPort = http.port;
  stack.defer(keepCertificate({ gateways: [mqtt, http], first: tls, loadTls, clock, log }));
  const endpoints: Endpoints = { ...urlsOf(config, ports), ...ports };
  writeEndpoints(paths.endpoints, endpoints);
  core.switch.start();
  const running = stack.move();
  const where = config.operators.bootstrapToken ? `operator token in ${paths.operatorToken}` : "operators log in";
  const status = `hub ready: ${endpoints.httpsUrl} and ${endpoints.mqttUrl}; ${where}`;
  log.info("ready", { ...endpoints, hubEpoch: core.hubEpoch });
  return {
    core,
    endpoints,
    log,
    status,
    lanes: () => [{ name: "commits", lastProgressMs: core.lastCommitMs, idle: core.waiting === 0 }],
    drain: () => running.disposeAsync(),
  };
}

const bracketed = (host: string): string => (host.includes(":") ? `[${host}]` : host);
const urlsOf = (config: HubConfig, ports: { readonly httpsPort: number; readonly mqttPort: number }) => ({
  httpsUrl: `https://${bracketed(config.public.host)}:${config.public.httpsPort ?? ports.httpsPort}`,
  mqttUrl: `mqtts://${bracketed(config.public.host)}:${config.public.mqttPort ?? ports.mqttPort}`,
});

interface OperatorsInput extends Pick<BringUp, "config" | "clock" | "random"> {
  readonly store: HubStore;
  readonly keys: HubKeys;
  readonly tokenPath: string;
}

/** Throws Fault `config.invalid` where nobody could log in. */
async function operatorsOf({ tokenPath, ...parts }: OperatorsInput): Promise<Operators> {
  const { bootstrapToken } = parts.config.operators;
  const token = bootstrapToken ? { bootstrapToken: loadOperatorToken(tokenPath, parts.random) } : {};
  const operators = openOperators({ ...parts, ...token });
  if (bootstrapToken || (await operators.store.read((reading) => operators.accounts.hasAdmin(reading))))
    return operators;
  throw new Fault(
    "config.invalid",
    "operators.bootstrapToken is false and no admin has an account; set it to true and run: tillway hub users add NAME --role admin",
  );
}

interface PartsInput {
  readonly config: HubConfig;
  readonly keys: HubKeys;
  readonly core: HubCore;
  readonly mqtt: DeviceGateway;
  readonly renewal: LeaseRenewal;
  readonly address: TerminalRouteParts["address"];
}

/** Findings shown of one terminal. */
const FINDINGS_SHOWN_MAX = 100;

const terminalParts = ({ config, keys, core, mqtt, renewal, address }: PartsInput): TerminalRouteParts => ({
  store: core.store,
  terminals: core.terminals,
  keys: {
    hubSigningKey: publicKeyText(keys.signing.publicKey),
    get sealingKey() {
      return { keyId: keys.sealing.keyId, publicKey: publicKeyText(keys.sealing.publicKey) };
    },
  },
  claimHours: config.claims.hours,
  sealing: keys.sealing,
  renewal,
  address,
  endSessions: (terminalId) => mqtt.end(terminalId),
  takenOf: (reading, terminalId, epoch) => core.ingest.taken(reading, { terminalId, epoch }),
  factsOf: async (reading, terminalId) => ({
    connected: mqtt.isConnected(terminalId),
    epochs: await core.ingest.epochs(reading, terminalId),
    findings: await core.ingest.findings.list(reading, {
      terminalId,
      only: "open",
      afterNumber: 0,
      limit: FINDINGS_SHOWN_MAX,
    }),
  }),
});

const payerParts = ({ config, keys, core }: Pick<PartsInput, "config" | "keys" | "core">) => ({
  payers: core.payers,
  hubSigningKey: publicKeyText(keys.signing.publicKey),
  claimHours: config.claims.hours,
  isCustomer: (reading: Reading, accountId: string) => core.authorisation.isCustomer(reading, accountId),
  receive: (signed: Signed, admit: (deviceId: string) => void) => core.receivePhone(signed, admit),
});

interface Swept {
  readonly core: HubCore;
  readonly operators: Operators;
  readonly clock: Clock;
  readonly log: Log;
}

/** Returns what is held for longer than it may be, at the start and every minute. Returns how to stop. */
function sweep({ core, operators, clock, log }: Swept): () => Promise<void> {
  let cancel = () => {};
  let running: Promise<void> = Promise.resolve();
  let ended = false;
  async function run(): Promise<void> {
    const failed = (what: string) => (error: unknown) =>
      log.error(`the sweep of ${what} failed; it runs again in a minute`, { reason: reasonOf(error) });
    await operators.refused.sweep().catch(failed("refusals"));
    await core.expireHolds().then((expired) => {
      if (expired > 0) log.info("what was held longer than it may be went back", { expired });
    }, failed("what is due"));
    if (!ended) cancel = clock.after(SWEEP_EVERY_MS, start);
  }
  function start(): void {
    running = run();
  }
  start();
  return async () => {
    ended = true;
    cancel();
    await running;
  };
}

function writeEndpoints(path: string, endpoints: Endpoints): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(endpoints, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** What a running hub left of itself. Throws Fault `uplink.down` when there is none. */
export function readEndpoints(dataDir: string): Endpoints {
  const path = hubPaths(resolve(dataDir)).endpoints;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Endpoints;
  } catch (error) {
    throw new Fault("uplink.down", `${path}: ${reasonOf(error)}; start the hub first, or name its configuration`);
  }
}
