/**
 * A grown hub on loopback: three NATS servers, a PostgreSQL primary with a synchronous standby, two replicas of the hub, and a
 * balancer before HTTPS and MQTT. Each part is a process of its own that can be killed; all end with their owner.
 */
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Balancer, startBalancer } from "./balancer.ts";
import { type CounterLease, type HubPorts, hubYaml } from "./counter-config.ts";
import { type NatsServer, startNats } from "./nats.ts";
import { freePort, type PostgresServer, startPostgres } from "./postgres.ts";
import { type Program, runTillway, startReady } from "./processes.ts";

/** The hub as a counter sees it, whatever it consists of. */
export interface HubSide {
  /** Where its authority and the operator's token lie. */
  readonly dataDir: string;
  readonly config: string;
  readonly ports: HubPorts;
  /** Whatever of it does not run. */
  start(): Promise<void>;
  /** As a power cut would. */
  kill(): Promise<void>;
}

export interface ClusterOptions {
  readonly folder: string;
  readonly lease?: CounterLease;
  readonly onStep?: (step: string) => void;
}

interface Replica {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  program?: Program;
}

const REPLICAS = ["hub-1", "hub-2"] as const;
const HOST = "127.0.0.1";
const READY_WITHIN_MS = 120_000;

export class Cluster implements HubSide, AsyncDisposable {
  readonly #options: ClusterOptions;
  readonly #stack = new AsyncDisposableStack();
  readonly #replicas: Replica[] = [];
  #primary: PostgresServer | undefined;
  #standby: PostgresServer | undefined;
  #nats: readonly NatsServer[] = [];
  #ports: HubPorts = { https: 0, mqtts: 0 };

  private constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Everything, from nothing to two replicas that are ready. */
  static async open(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    try {
      await cluster.#open();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  get dataDir(): string {
    return join(this.#first.folder, "hub");
  }
  get config(): string {
    return join(this.#first.folder, "hub.yaml");
  }
  get ports(): HubPorts {
    return this.#ports;
  }
  get nats(): readonly NatsServer[] {
    return this.#nats;
  }
  async start(): Promise<void> {
    // Together: they choose a leader, and the hub waits for one.
    await Promise.all(this.#nats.filter(({ hasEnded }) => hasEnded).map((server) => server.restart()));
    for (const replica of this.#replicas) if (replica.program?.hasEnded !== false) await this.#startReplica(replica);
  }
  /** All that a terminal reaches. */
  async kill(): Promise<void> {
    await Promise.all(this.#replicas.map(async ({ program }) => program?.stop("SIGKILL")));
    await Promise.all(this.#nats.map((server) => server.kill()));
  }
  async killReplica(): Promise<void> {
    await this.#first.program?.stop("SIGKILL");
  }
  /** With promotion of the standby. */
  async killPrimary(): Promise<void> {
    await this.#primary?.kill();
    this.#standby?.sql("SELECT pg_promote(true, 30)");
  }

  async #open(): Promise<void> {
    const { folder } = this.#options;
    this.#step("PostgreSQL: a primary and a synchronous standby");
    const urls = await this.#openStores();
    for (const name of REPLICAS) {
      this.#replicas.push({ name, folder: join(folder, name), port: await freePort() });
      mkdirSync(join(folder, name), { recursive: true });
    }
    this.#step("three NATS servers");
    this.#writeConfig(this.#first, []);
    const files = join(folder, "broker");
    await tillway("hub", "broker", "--out", files, "--config", this.config);
    const brokers = this.#stack.use(await startNats({ files, count: 3 }));
    this.#nats = brokers.servers;
    this.#step("a balancer before HTTPS and MQTT");
    const https: Balancer = this.#stack.use(await startBalancer(this.#replicas.map(({ port }) => port)));
    const mqtts: Balancer = this.#stack.use(await startBalancer(this.#nats.map(({ mqttPort }) => mqttPort)));
    this.#ports = { https: https.port, mqtts: mqtts.port };
    const servers = this.#nats.map(({ url }) => url);
    const lines = [
      `store: ${JSON.stringify({ kind: "postgres", urls })}`,
      `ingest: ${JSON.stringify({ kind: "nats", servers, replicas: 3 })}`,
    ];
    this.#step("two replicas of the hub");
    for (const replica of this.#replicas) {
      this.#writeConfig(replica, lines);
      if (replica !== this.#first) this.#shareKeys(replica);
      await this.#startReplica(replica);
    }
  }

  async #openStores(): Promise<readonly string[]> {
    const primary = this.#stack.use(await startPostgres());
    const url = primary.newDatabase();
    const standby = this.#stack.use(await startPostgres({}, { port: primary.port }));
    // Only now: a primary that waits for a standby takes nothing before it has one.
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("SELECT pg_reload_conf()");
    this.#primary = primary;
    this.#standby = standby;
    return [url, url.replace(`:${primary.port}/`, `:${standby.port}/`)];
  }

  #writeConfig({ folder, port, name }: Replica, lines: readonly string[]): void {
    const { lease } = this.#options;
    const front = this.#ports.https === 0 ? {} : { front: this.#ports };
    const ports = { https: port, mqtts: 0 };
    const text = hubYaml({ folder, host: HOST, ports, lease, lines, ...front });
    writeFileSync(join(this.#options.folder, name, "hub.yaml"), text);
  }

  /** What a terminal was given by one replica is good at every other. */
  #shareKeys({ folder }: Replica): void {
    const own = join(folder, "hub");
    mkdirSync(own, { recursive: true });
    for (const name of ["keys", "tls"]) symlinkSync(join(this.dataDir, name), join(own, name));
    copyFileSync(join(this.dataDir, "operator-token"), join(own, "operator-token"));
  }

  async #startReplica(replica: Replica): Promise<void> {
    const { name, folder } = replica;
    const args = ["hub", "run", "--config", join(folder, "hub.yaml")];
    const logFile = join(this.#options.folder, `${name}.log`);
    const { program } = await startReady({ name, args, logFile }, READY_WITHIN_MS);
    replica.program = program;
  }

  get #first(): Replica {
    const [first] = this.#replicas;
    if (!first) throw new Error("the cluster has no replicas yet");
    return first;
  }
  #step(step: string): void {
    this.#options.onStep?.(step);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#replicas.map(async ({ program }) => program?.stop()));
    await this.#stack.disposeAsync();
  }
}

async function tillway(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runTillway(args);
  if (code !== 0) throw new Error(`tillway ${args.join(" ")} ended with ${code}: ${stderr}`);
}
