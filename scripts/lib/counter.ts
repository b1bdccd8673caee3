/**
 * A whole shop counter of real processes: pcscd with a virtual reader, a card, a printer on a pty, a scanner on hidraw, a hub
 * and an agent. Several counters may sell to one hub.
 */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SaleTimings } from "../../agent/payment/payments.ts";
import type { HubSide } from "./cluster.ts";
import { agentYaml, type CounterDevice, type CounterLease, type HubPorts, hubYaml } from "./counter-config.ts";
import { CounterPrograms } from "./counter-programs.ts";
import { operatorCall } from "./operator-call.ts";
import { Phone } from "./phone.ts";
import { runTillway, until } from "./processes.ts";
import { openTill, type TillLine } from "./till-line.ts";

export type { Slot } from "./counter-programs.ts";

export const TERMINAL = "till-1";
/** The `standard` card of the simulator. */
export const TEST_CARD = { pan: "4761739001010010", expiry: "3112" } as const;

/** Made with `stage` or `stage:paymentId`: the agent kills itself with SIGKILL there. */
export type KillPoint = string;

export interface CounterOptions {
  /** Short, because Unix sockets live in it. */
  readonly folder: string;
  readonly lease?: CounterLease;
  /** A reader and a printer when absent. */
  readonly devices?: readonly CounterDevice[];
  /** `till-1` when absent. */
  readonly terminal?: string;
  /** Sells to the hub of this counter, in the place of one of its own. */
  readonly joins?: Counter;
  readonly agent?: {
    /** `agent` in the folder when absent. */
    readonly dataDir?: string;
    /** Further settings of cards. */
    readonly emv?: Readonly<Record<string, number>>;
    /** A program that becomes the agent. */
    readonly through?: readonly string[];
    /** Free space that its offline sales must leave. */
    readonly reserveMb?: number;
    /** Cash in one sale at most; none when absent. */
    readonly cashbackMaxMinor?: number;
  };
  readonly hub?: {
    /** Where it listens; 127.0.0.1 when absent. */
    readonly host: string;
    /** A program that becomes the hub. */
    readonly through: readonly string[];
  };
  /** The hub that it sells to, in the place of a process of its own. */
  readonly hubSide?: HubSide;
  /** The test customer's; 1000.00 when absent. */
  readonly balance?: string;
  /** Its terminal is a copy of that counter's, data folder and all, in the place of an enrolment. */
  readonly copyOf?: Counter;
  /** Further lines of the hub's configuration. */
  readonly hubLines?: readonly string[];
  /** Puts something between agent and hub: given the hub's ports, names those that the agent connects to. */
  readonly between?: (hub: HubPorts) => Promise<HubPorts>;
  readonly onStep?: (step: string) => void;
}

export interface Payment {
  readonly id: string;
  readonly status: string;
  readonly stage?: string;
  readonly mode?: string;
  readonly ticket: string;
  readonly queue?: string;
  readonly reason?: string;
  readonly detail?: string;
  readonly approvalCode?: string;
  readonly maskedAccount?: string;
  readonly payingDevice?: string;
  /** What a phone answers with a note, while one is awaited. */
  readonly challenge?: string;
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

export interface TimedSale {
  readonly payment: Payment;
  readonly elapsedMs: number;
  readonly timings: SaleTimings;
}

export class Counter extends CounterPrograms implements AsyncDisposable {
  readonly #options: CounterOptions;
  #hubPorts: HubPorts = { https: 0, mqtts: 0 };
  #apiPort = 0;
  readonly #phones: Phone[] = [];
  /** Open from the first timed sale on, as a till keeps it. */
  #till: TillLine | undefined;

  constructor(options: CounterOptions) {
    super(options.folder);
    this.#options = options;
  }

  get api(): string {
    return `http://127.0.0.1:${this.#apiPort}`;
  }
  get agentConfig(): string {
    return join(this.folder, "agent.yaml");
  }
  get hubConfig(): string {
    return this.#options.hubSide?.config ?? join(this.folder, "hub.yaml");
  }
  get terminal(): string {
    return this.#options.terminal ?? TERMINAL;
  }
  get agentFolder(): string {
    return this.#options.agent?.dataDir ?? join(this.folder, "agent");
  }
  get token(): string {
    return readFileSync(join(this.agentFolder, "api-token"), "utf8").trim();
  }
  get hubPorts(): HubPorts {
    return this.#hub.#hubPorts;
  }
  get #hubHost(): string {
    return this.#options.hub?.host ?? "127.0.0.1";
  }
  get #hub(): Counter {
    return this.#options.joins ?? this;
  }

  /** Everything, from nothing to an agent that is ready and online. */
  async start(agent: { readonly killAt?: KillPoint } = {}): Promise<void> {
    await this.prepare();
    this.#step("the agent");
    await this.startAgent(agent);
    await this.online();
  }

  /** Everything but the agent. */
  async prepare(): Promise<void> {
    await this.startDevices(this.#devices, (step) => this.#step(step));
    if (!this.#options.joins) {
      this.#step("the hub, with a test account");
      await this.startHub();
      await this.openAccount({ ...TEST_CARD, balance: this.#options.balance ?? "1000.00", name: "Test customer" });
    }
    await this.#becomeTerminal();
  }

  async #becomeTerminal(): Promise<void> {
    const { copyOf, between } = this.#options;
    writeFileSync(
      this.agentConfig,
      agentYaml({
        folder: this.folder,
        dataDir: this.agentFolder,
        emv: this.#options.agent?.emv ?? {},
        reserveMb: this.#options.agent?.reserveMb,
        cashbackMaxMinor: this.#options.agent?.cashbackMaxMinor,
        hubHost: this.#hub.#hubHost,
        pcscSocket: this.pcscSocket,
        scannerUri: this.scannerUri,
        devices: this.#devices,
        ...(between ? { hubPorts: await between(this.hubPorts) } : {}),
      }),
    );
    if (copyOf) {
      this.#step(`a copy of ${copyOf.terminal}`);
      cpSync(copyOf.agentFolder, this.agentFolder, { recursive: true, preserveTimestamps: true });
      return;
    }
    this.#step("enrolment of the terminal by a one-time claim");
    const claim = (await this.hubTool("claim", this.terminal)).trim().split("\n").at(-1) ?? "";
    await this.#run(["agent", "enrol", claim, "--config", this.agentConfig]);
  }

  /** Opens an account for a test card; its id. */
  async openAccount(card: { pan: string; expiry: string; balance: string; name: string }): Promise<string> {
    const { pan, expiry, balance, name } = card;
    await this.hubTool("accounts", "add", "--card", pan, "--expiry", expiry, "--balance", balance, "--name", name);
    return await this.accountOf(name);
  }

  async accountOf(name: string): Promise<string> {
    const { accounts } = await this.hubGet<{ accounts: { id: string; name?: string }[] }>("/v1/accounts?limit=100");
    const account = accounts.find((one) => one.name === name);
    if (!account) throw new Error(`there is no account ${name}`);
    return account.id;
  }

  /** A customer's phone that is enrolled with the hub, for the account of that name. */
  async startPhone(user: string, accountName = "Test customer"): Promise<Phone> {
    const account = await this.accountOf(accountName);
    const claim = await this.hubTool("phones", "add", "--user", user, "--account", account);
    const phone = await Phone.start({ folder: this.folder, name: user });
    this.#phones.push(phone);
    await phone.do("enrol", { claim: claim.trim() });
    return phone;
  }

  async killHub(): Promise<void> {
    await (this.#options.hubSide?.kill() ?? this.program("hub").stop("SIGKILL"));
  }

  async startHub(): Promise<void> {
    const { lease, hubLines = [], hub, hubSide } = this.#options;
    if (hubSide) {
      await hubSide.start();
      this.#hubPorts = hubSide.ports;
      return;
    }
    const { folder } = this;
    const host = this.#hubHost;
    writeFileSync(this.hubConfig, hubYaml({ folder, host, ports: this.#hubPorts, lease, lines: hubLines }));
    await this.startReady("hub", ["hub", "run", "--config", this.hubConfig], hub ? { through: hub.through } : {});
    const text = readFileSync(join(folder, "hub/endpoints.json"), "utf8");
    const endpoints = JSON.parse(text) as Record<string, number>;
    this.#hubPorts = { https: endpoints["httpsPort"] ?? 0, mqtts: endpoints["mqttPort"] ?? 0 };
  }

  async startAgent(options: { readonly killAt?: KillPoint } = {}): Promise<void> {
    const env = {
      ...this.agentEnv,
      ...(options.killAt === undefined ? {} : { TILLWAY_TEST_KILL_AT: options.killAt }),
    };
    const { through } = this.#options.agent ?? {};
    const how = { env, ...(through ? { through } : {}) };
    const ready = await this.startReady("agent", ["agent", "--config", this.agentConfig], how);
    this.#apiPort = Number(ready["api"]);
  }

  async call<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<Answer<T>> {
    const response = await fetch(`${this.api}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as T };
  }

  /** One sale with the card put in for it and taken out after; `undefined` when the agent died on the way. */
  async sale(id: string, minor: number): Promise<Answer<Payment> | undefined> {
    const posted = this.call<Payment>("POST", "/v1/payments", {
      id,
      amount: { minor: String(minor), currency: "EUR" },
    }).catch(() => undefined);
    await this.card({ do: "insert" });
    const answer = await posted;
    await this.card({ do: "pull" });
    return answer;
  }

  /**
   * One sale that is paid at the scanner: by `text`, or by what is made of the payment as the till sees it while it waits,
   * such as a phone's answer to its challenge.
   */
  async scannedSale(
    id: string,
    minor: number,
    text: string | ((payment: Payment) => Promise<string>),
  ): Promise<Payment> {
    await this.#deviceReady("scanner");
    const posted = this.call<Payment>("POST", "/v1/payments", {
      id,
      amount: { minor: String(minor), currency: "EUR" },
    });
    const waiting = await until(`${id} to wait for a means`, async () => {
      const answer = await this.payment(id);
      return answer.stage === "intent-stored" || (answer.status ?? "processing") !== "processing" ? answer : undefined;
    });
    const code = typeof text === "string" ? text : await text(waiting);
    await until(`the scanner to be read for ${id}`, async () => {
      const { read } = await this.scanner({ do: "scan", text: code });
      return read === true ? true : undefined;
    });
    return (await posted).body;
  }

  /** An agent that has just started is still opening its devices. */
  async #deviceReady(id: CounterDevice): Promise<void> {
    await until(`the ${id} to be ready`, async () => {
      const { devices } = (await this.call<{ devices: readonly { id: string; state: string }[] }>("GET", "/v1/devices"))
        .body;
      return devices.some((device) => device.id === id && device.state === "ready") ? true : undefined;
    });
  }

  /** A sale with the card left to the caller, its whole time, and what the agent says of where it went. */
  async timedSale(id: string, minor: number): Promise<TimedSale> {
    const body = JSON.stringify({ id, amount: { minor: String(minor), currency: "EUR" } });
    this.#till ??= await openTill(this.#apiPort, this.token);
    const began = performance.now();
    const text = await this.#till.post("/v1/payments", body);
    const elapsedMs = performance.now() - began;
    const timings = await this.call<SaleTimings>("GET", `/v1/payments/${id}/timings`);
    return { payment: JSON.parse(text) as Payment, elapsedMs, timings: timings.body };
  }

  async payment(id: string): Promise<Payment> {
    return (await this.call<Payment>("GET", `/v1/payments/${id}`)).body;
  }

  async ticketOf(id: string, state: string): Promise<Payment> {
    return await until(`the ticket of ${id} to be ${state}`, async () => {
      const payment = await this.payment(id);
      return payment.ticket === state ? payment : undefined;
    });
  }

  async linked(): Promise<void> {
    await until(
      "the link to the hub",
      async () => ((await this.#status()).hub?.state === "up" ? true : undefined),
      20_000,
    );
  }

  /** Until the agent sells online, and holds a lease for when it cannot. */
  async online(): Promise<void> {
    await this.linked();
    await until("an offline lease", async () => ((await this.#status()).lease ? true : undefined), 20_000);
  }

  async offline(): Promise<void> {
    await until(
      "the agent to notice that the hub is away",
      async () => ((await this.#status()).hub?.state === "down" ? true : undefined),
      30_000,
    );
  }
  async drained(): Promise<void> {
    await until(
      "the queue to drain",
      async () => ((await this.#status()).queue?.depth === 0 ? true : undefined),
      30_000,
    );
  }

  async #status(): Promise<{ hub?: { state: string }; lease?: unknown; queue?: { depth: number } }> {
    return (await this.call<Record<string, never>>("GET", "/v1/status")).body;
  }

  hubGet<T>(path: string): Promise<T> {
    return operatorCall<T>(this.#operator, { method: "GET", path });
  }
  hubPost<T>(path: string, body: unknown): Promise<T> {
    return operatorCall<T>(this.#operator, { method: "POST", path, body });
  }
  get #operator() {
    const { folder } = this.#hub;
    const dataDir = this.#options.hubSide?.dataDir ?? join(folder, "hub");
    return { dataDir, host: this.#hub.#hubHost, port: this.hubPorts.https };
  }

  /** `tillway hub …` at this counter's hub; what it printed. */
  hubTool(...args: readonly string[]): Promise<string> {
    return this.#run(["hub", ...args, "--config", this.#hub.hubConfig]);
  }
  /** `tillway …` for this counter's agent; what it printed. */
  agentTool(...args: readonly string[]): Promise<string> {
    return this.#run([...args, "--config", this.agentConfig]);
  }

  /** Of all that runs for it, in the order in which it should end. */
  get pids(): readonly number[] {
    return [...this.#phones.map((phone) => phone.pid), ...this.programPids];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#till?.close();
    for (const phone of this.#phones) await phone[Symbol.asyncDispose]();
    await this.stopPrograms();
  }

  async #run(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runTillway(args);
    if (code !== 0) throw new Error(`tillway ${args.join(" ")} ended with ${code}: ${stderr || stdout}`);
    return stdout;
  }

  get #devices(): readonly CounterDevice[] {
    return this.#options.devices ?? ["reader", "printer"];
  }
  #step(step: string): void {
    this.#options.onStep?.(step);
  }
}
