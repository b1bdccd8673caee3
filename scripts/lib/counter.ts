/** A whole shop counter of real processes: pcscd with a virtual reader, a card, a printer on a pty, a hub and an agent. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import type { SaleTimings } from "../../agent/payment/payments.ts";
import type { ControlAnswer, ControlCommand } from "../../sim/control.ts";
import { control } from "../../sim/control.ts";
import { type Program, runTillway, startReady, tail, until } from "./processes.ts";
import { testIssuing, testKeyLines } from "./test-issuing.ts";
import { openTill, type TillLine } from "./till-line.ts";

export const TERMINAL = "till-1";
/** The `standard` card of the simulator. */
export const TEST_CARD = { pan: "4761739001010010", expiry: "3112" } as const;

/** Made with `stage` or `stage:paymentId`: the agent kills itself with SIGKILL there. */
export type KillPoint = string;

export interface CounterOptions {
  /** Short, because Unix sockets live in it. */
  readonly folder: string;
  readonly lease?: {
    readonly perSaleMinor: number;
    readonly sumMinor: number;
    readonly countMax: number;
    readonly deferredAuthorisation?: boolean;
  };
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

export class Counter implements AsyncDisposable {
  readonly folder: string;
  readonly #options: CounterOptions;
  readonly #programs = new Map<string, Program>();
  #pcsc = { socket: "", port: 0 };
  #hubPorts = { https: 0, mqtts: 0 };
  #apiPort = 0;
  /** Open from the first timed sale on, as a till keeps it. */
  #till: TillLine | undefined;

  constructor(options: CounterOptions) {
    this.#options = options;
    this.folder = options.folder;
    mkdirSync(join(options.folder, "tickets"), { recursive: true });
  }

  get api(): string {
    return `http://127.0.0.1:${this.#apiPort}`;
  }
  get agentConfig(): string {
    return join(this.folder, "agent.yaml");
  }
  get hubConfig(): string {
    return join(this.folder, "hub.yaml");
  }
  get token(): string {
    return readFileSync(join(this.folder, "agent/api-token"), "utf8").trim();
  }

  /** Everything, from nothing to an agent that is ready and online. */
  async start(agent: { readonly killAt?: KillPoint } = {}): Promise<void> {
    this.#step("a private pcscd with a virtual reader");
    await this.startPcscd();
    this.#step("a simulated chip card");
    await this.startCard();
    this.#step("a receipt printer on a pseudo terminal");
    await this.startPrinter();
    this.#step("the hub, with a test account");
    await this.startHub();
    await this.#hubTool([
      "hub",
      "accounts",
      "add",
      "--card",
      TEST_CARD.pan,
      "--expiry",
      TEST_CARD.expiry,
      "--balance",
      "1000.00",
      "--name",
      "Test customer",
    ]);
    this.#step("enrolment of the terminal by a one-time claim");
    this.#writeAgentConfig();
    const claim = (await this.#hubTool(["hub", "claim", TERMINAL])).trim().split("\n").at(-1) ?? "";
    await this.#run(["agent", "enrol", claim, "--config", this.agentConfig]);
    this.#step("the agent");
    await this.startAgent(agent);
    await this.online();
  }

  async startPcscd(): Promise<void> {
    const folder = join(this.folder, "pcscd");
    mkdirSync(folder, { recursive: true });
    const port = this.#pcsc.port ? ["--port", String(this.#pcsc.port)] : [];
    const ready = await this.#startReady("pcscd", ["sim", "pcscd", "--folder", folder, ...port]);
    this.#pcsc = { socket: String(ready["socket"]), port: Number(ready["port"]) };
  }

  async startCard(): Promise<void> {
    await this.#startReady("card", [
      "sim",
      "card",
      "--port",
      String(this.#pcsc.port),
      "--control",
      this.#socket("card"),
      "--state",
      join(this.folder, "card-state.json"),
    ]);
  }

  async startPrinter(): Promise<void> {
    await this.#startReady("printer", [
      "sim",
      "printer",
      "--link",
      join(this.folder, "printer"),
      "--control",
      this.#socket("printer"),
      "--out",
      join(this.folder, "tickets"),
    ]);
  }

  async startHub(): Promise<void> {
    const lease = this.#options.lease ?? { perSaleMinor: 5_000, sumMinor: 20_000, countMax: 50 };
    const { https, mqtts } = this.#hubPorts;
    writeFileSync(
      this.hubConfig,
      [
        `dataDir: ${join(this.folder, "hub")}`,
        `listen: { httpsPort: ${https}, mqttPort: ${mqtts} }`,
        `lease: { perSaleMinor: ${lease.perSaleMinor}, sumMinor: ${lease.sumMinor}, countMax: ${lease.countMax}, deferredAuthorisation: ${lease.deferredAuthorisation ?? false}, hours: 24, currency: EUR }`,
        testIssuing(this.folder),
        "",
      ].join("\n"),
    );
    await this.#startReady("hub", ["hub", "run", "--config", this.hubConfig]);
    const endpoints = JSON.parse(readFileSync(join(this.folder, "hub/endpoints.json"), "utf8")) as Record<
      string,
      number
    >;
    this.#hubPorts = { https: endpoints["httpsPort"] ?? 0, mqtts: endpoints["mqttPort"] ?? 0 };
  }

  async startAgent(options: { readonly killAt?: KillPoint } = {}): Promise<void> {
    const env: Record<string, string> = options.killAt === undefined ? {} : { TILLWAY_TEST_KILL_AT: options.killAt };
    const ready = await this.#startReady("agent", ["agent", "--config", this.agentConfig], env);
    this.#apiPort = Number(ready["api"]);
  }

  program(name: "pcscd" | "card" | "printer" | "hub" | "agent"): Program {
    const program = this.#programs.get(name);
    if (!program) throw new Error(`${name} was not started`);
    return program;
  }

  card(command: ControlCommand): Promise<ControlAnswer> {
    return control(this.#socket("card"), command);
  }
  printer(command: ControlCommand): Promise<ControlAnswer> {
    return control(this.#socket("printer"), command);
  }

  /** The text of every ticket cut so far, in order. */
  async tickets(): Promise<readonly string[]> {
    const answer = await this.printer({ do: "tickets" });
    return (answer["tickets"] as { text: string }[]).map((ticket) => ticket.text);
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

  /** The hub's operator API, over TLS checked against the hub's own authority. */
  hubGet<T>(path: string): Promise<T> {
    const ca = readFileSync(join(this.folder, "hub/tls/ca-certificate.pem"));
    const token = readFileSync(join(this.folder, "hub/operator-token"), "utf8").trim();
    return new Promise((resolve, reject) => {
      const options = {
        host: "127.0.0.1",
        port: this.#hubPorts.https,
        path,
        ca,
        headers: { authorization: `Bearer ${token}` },
      };
      const asking = request(options, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString("utf8");
        });
        response.on("end", () => resolve(JSON.parse(text) as T));
      });
      asking.on("error", reject);
      asking.end();
    });
  }

  log(name: string): string {
    return tail(join(this.folder, `${name}.log`), 40);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#till?.close();
    for (const name of ["agent", "hub", "printer", "card", "pcscd"]) {
      await this.#programs.get(name)?.stop();
    }
  }

  async #startReady(
    name: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Record<string, unknown>> {
    const { program, ready } = await startReady({ name, args, env, logFile: join(this.folder, `${name}.log`) });
    this.#programs.set(name, program);
    return ready;
  }

  async #hubTool(args: readonly string[]): Promise<string> {
    return await this.#run([...args, "--config", this.hubConfig]);
  }

  async #run(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runTillway(args);
    if (code !== 0) throw new Error(`tillway ${args.join(" ")} ended with ${code}: ${stderr || stdout}`);
    return stdout;
  }

  #writeAgentConfig(): void {
    writeFileSync(
      this.agentConfig,
      [
        `dataDir: ${join(this.folder, "agent")}`,
        "api: { port: 0 }",
        "site:",
        "  merchantName: Tillway Demo Shop",
        "  addressLines: [1 Harbour Street, 20457 Hamburg]",
        "  timeZone: Europe/Berlin",
        "  locale: en",
        "  currency: EUR",
        "devices:",
        `  - { id: reader, uri: "pcsc:*?socket=${this.#pcsc.socket}" }`,
        `  - { id: printer, uri: "serial:${join(this.folder, "printer")}?baud=115200" }`,
        "payment: { cardTimeoutSec: 30, onlineTimeoutMs: 4000 }",
        ...testKeyLines(this.folder),
        "log: { level: info }",
        "",
      ].join("\n"),
    );
  }

  #socket(name: string): string {
    return join(this.folder, `${name}.sock`);
  }
  #step(step: string): void {
    this.#options.onStep?.(step);
  }
}
