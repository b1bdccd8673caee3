/** NATS servers of one's own on loopback, from the system's package: one, or a cluster, ended and removed with their owner. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Fault } from "../../base/fault.ts";
import { freePort } from "./postgres.ts";

export interface NatsServer {
  readonly name: string;
  readonly pid: number;
  /** `nats://…` of its client side. */
  readonly url: string;
  readonly mqttPort: number;
  readonly log: string;
  readonly hasEnded: boolean;
  /** As a power cut would. */
  kill(): Promise<void>;
  /** On what a kill left, at the same ports. */
  restart(): Promise<void>;
}

export interface NatsServers extends AsyncDisposable {
  readonly servers: readonly NatsServer[];
}

export interface NatsOptions {
  /** What `tillway hub broker` wrote. */
  readonly files: string;
  readonly count: 1 | 3;
}

const PROGRAM = "/usr/sbin/nats-server";
const READY_WITHIN_MS = 30_000;
const POLL_MS = 50;

/** Why there can be none, or undefined. */
export const natsMissing = (): string | undefined =>
  existsSync(PROGRAM) ? undefined : "nats-server is not installed: apt-get install nats-server, or run scripts/setup";

/** Ready means that each listens; a cluster may still choose its leader. Throws Fault `package.missing`, `transport.failed`. */
export async function startNats({ files, count }: NatsOptions): Promise<NatsServers> {
  const missing = natsMissing();
  if (missing !== undefined) throw new Fault("package.missing", missing);
  const folder = mkdtempSync(join(tmpdir(), "tillway-nats-"));
  const places: Place[] = [];
  for (let number = 1; number <= count; number += 1)
    places.push({ name: `n${number}`, client: await freePort(), route: await freePort(), mqtt: await freePort() });
  const servers = await Promise.all(places.map((place) => startOne({ folder, files, place, places })));
  return {
    servers,
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server.kill()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Place {
  readonly name: string;
  readonly client: number;
  readonly route: number;
  readonly mqtt: number;
}

interface One {
  readonly folder: string;
  readonly files: string;
  readonly place: Place;
  readonly places: readonly Place[];
}

async function startOne(one: One): Promise<NatsServer> {
  const { name, client, mqtt } = one.place;
  const cwd = join(one.folder, name);
  mkdirSync(cwd);
  const config = join(cwd, "server.conf");
  writeFileSync(config, configOf(one), { mode: 0o600 });
  const log = join(cwd, "server.log");
  let child = await launch({ cwd, config, log, port: client });
  const ended = () => new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    name,
    url: `nats://127.0.0.1:${client}`,
    mqttPort: mqtt,
    log,
    get pid() {
      return child.pid ?? 0;
    },
    get hasEnded() {
      return hasEnded();
    },
    async kill() {
      if (hasEnded()) return;
      const gone = ended();
      child.kill("SIGKILL");
      await gone;
    },
    async restart() {
      child = await launch({ cwd, config, log, port: client });
    },
  };
}

function configOf({ folder, files, place, places }: One): string {
  const { name, client, route, mqtt } = place;
  const routes = places.map((other) => `nats://127.0.0.1:${other.route}`).join(", ");
  const tls = ["cert_file: server.pem", "key_file: server-key.pem", "ca_file: ca.pem"];
  return [
    // NATS takes it as a path from this file's folder, whatever it begins with.
    `include "${relative(join(folder, place.name), join(files, "authority.conf"))}"`,
    `server_name: ${name}`,
    `listen: "127.0.0.1:${client}"`,
    // Two seconds are little for a machine that also runs tests.
    "authorization { timeout: 15 }",
    'jetstream { store_dir: "./jetstream", max_mem: 256M, max_file: 8G }',
    ...(places.length > 1 ? [`cluster { name: tillway, listen: "127.0.0.1:${route}", routes: [${routes}] }`] : []),
    "mqtt {",
    `  listen: "127.0.0.1:${mqtt}"`,
    `  tls { ${tls.map((line) => line.replace(": ", `: "${files}/`).concat('"')).join(", ")}, verify: true, timeout: 15 }`,
    "}",
    "",
  ].join("\n");
}

interface Launch {
  readonly cwd: string;
  readonly config: string;
  readonly log: string;
  readonly port: number;
}

async function launch({ cwd, config, log, port }: Launch): Promise<ChildProcess> {
  const output = openSync(log, "a");
  const child = spawn(PROGRAM, ["-c", config], { cwd, stdio: ["ignore", output, output] });
  closeSync(output);
  const end = performance.now() + READY_WITHIN_MS;
  while (child.exitCode === null && performance.now() < end) {
    if (await listens(port)) return child;
    await delay(POLL_MS);
  }
  child.kill("SIGKILL");
  throw new Fault("transport.failed", `nats-server did not start; ${log} says why`);
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
