/** A real hub process on free ports, and clients that speak to it as terminals and operators do. */
import { type ChildProcess, spawn } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import { certificateRequest, newTlsKey } from "../../agent/uplink/certificate-request.ts";
import { systemClock } from "../../base/clock.ts";
import { newMessageId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { type DownEnvelope, decodeDown, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import { newSigningKeys, publicKeyText, readPublicKey } from "../../wire/signing.ts";
import { type Claim, type EnrolResponse, EnrolResponseSchema, readClaim } from "../../wire/terminal.ts";
import { downFilter, ENROL_PATH, UP_STREAM_OF, UPLINK_PATH, upTopic } from "../../wire/topics.ts";
import { FakeTerminal } from "../rules/hub-fixture.ts";

/** What a terminal shows, as PEM. */
export interface ClientTls {
  readonly key: string;
  readonly cert: string;
}

interface CallOptions {
  readonly bearer?: string;
  readonly tls?: ClientTls;
  readonly body?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly text: string;
}

const READY_WITHIN_MS = 20_000;

export class HubProcess {
  readonly folder: string;
  readonly #more: string;
  #child: ChildProcess | undefined;
  #ports = { https: 0, mqtt: 0 };
  #agent: Agent | undefined;
  errors = "";

  /** `more`: further lines of its configuration. */
  constructor(folder: string, more = "") {
    this.folder = folder;
    this.#more = more;
  }

  get dataDir(): string {
    return join(this.folder, "data");
  }
  get ca(): string {
    return readFileSync(join(this.dataDir, "tls", "ca-certificate.pem"), "utf8");
  }
  get operatorToken(): string {
    return readFileSync(join(this.dataDir, "operator-token"), "utf8").trim();
  }
  get mqttUrl(): string {
    return `mqtts://127.0.0.1:${this.#ports.mqtt}`;
  }
  get configPath(): string {
    return join(this.folder, "hub.yaml");
  }

  /** Starts, or starts again on the same ports. */
  async start(): Promise<void> {
    const { https, mqtt } = this.#ports;
    const listen = `listen: {httpsPort: ${https}, mqttPort: ${mqtt}}`;
    writeFileSync(this.configPath, `dataDir: ${this.dataDir}\n${listen}\n${this.#more}`);
    const child = this.spawn("run", "--config", this.configPath);
    this.#child = child;
    child.stderr?.on("data", (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    await new Promise<void>((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`the hub is not ready: ${this.errors}`)), READY_WITHIN_MS);
      child.stdout?.on("data", (chunk: Buffer) => {
        if (!chunk.toString().includes("hub ready")) return;
        clearTimeout(limit);
        resolve();
      });
      child.once("exit", (code) => reject(new Error(`the hub ended with ${code}: ${this.errors}`)));
    });
    const endpoints = JSON.parse(readFileSync(join(this.dataDir, "endpoints.json"), "utf8"));
    this.#ports = { https: endpoints.httpsPort, mqtt: endpoints.mqttPort };
    this.#agent = new Agent({ keepAlive: true, ca: this.ca });
  }

  /** `tillway hub …` as a process. */
  spawn(...args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [join(import.meta.dirname, "..", "..", "scripts", "tillway.ts"), "hub", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Runs a command to its end. */
  async command(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
    const child = this.spawn(...args);
    let [out, err] = ["", ""];
    child.stdout?.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      err += chunk.toString();
    });
    const [code] = await once(child, "close");
    return { code: Number(code), out, err };
  }

  /** Ends the process and waits; returns its exit code, or null after a SIGKILL. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null) return child?.exitCode ?? null;
    const ended = once(child, "exit");
    child.kill(signal);
    const [code] = await ended;
    this.#agent?.destroy();
    return code as number | null;
  }

  call(method: "GET" | "POST", path: string, options: CallOptions = {}): Promise<Answer> {
    const body = typeof options.body === "string" ? options.body : JSON.stringify(options.body);
    return new Promise((resolve, reject) => {
      const headers = {
        ...(options.bearer === undefined ? {} : { authorization: `Bearer ${options.bearer}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(method === "POST" ? { "idempotency-key": newMessageId(systemRandom) } : {}),
      };
      const url = `https://127.0.0.1:${this.#ports.https}${path}`;
      // A connection of its own for whoever shows a certificate.
      const shown = options.tls ? { ...options.tls, ca: this.ca, agent: false } : { agent: this.#agent };
      const call = request(url, { method, headers, ...shown }, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text, body: parsed(text) }));
      });
      call.on("error", reject);
      call.end(body);
    });
  }

  operator(method: "GET" | "POST", path: string, body?: unknown): Promise<Answer> {
    return this.call(method, path, { bearer: this.operatorToken, ...(body === undefined ? {} : { body }) });
  }

  async claim(terminalId: string): Promise<Claim> {
    const { body } = await this.operator("POST", `/v1/terminals/${terminalId}/claims`, {});
    const claim = readClaim((body as { claim: string }).claim);
    if (!claim) throw new Error("not a claim");
    return claim;
  }

  async enrol(terminalId: string): Promise<EnrolledTerminal> {
    const claim = await this.claim(terminalId);
    const keys = newSigningKeys();
    const tlsKey = newTlsKey();
    const csr = await certificateRequest(tlsKey, claim.terminalId);
    const { body } = await this.call("POST", ENROL_PATH, {
      body: { claimId: claim.claimId, secret: claim.secret, signingKey: publicKeyText(keys.publicKey), csr },
    });
    const identity = EnrolResponseSchema.parse(body);
    const tls = { key: keyPem(tlsKey), cert: identity.certificate.pem };
    const { keyId, publicKey } = identity.sealingKey;
    const terminal = new FakeTerminal({
      terminalId: terminalId as TerminalId,
      clock: systemClock,
      random: systemRandom,
      keys,
      sealingKey: { keyId, publicKey: readPublicKey(publicKey) },
      receive: async (envelope) => {
        const answer = await this.call("POST", UPLINK_PATH, { tls, body: envelope });
        if (answer.status !== 200) throw new Error(answer.text);
        return (answer.body as { messages: DownEnvelope[] }).messages;
      },
    });
    return { identity, terminal, tls };
  }

  connect(terminalId: string, tls?: ClientTls): Promise<MqttClient> {
    const options = { ...tls, ca: this.ca, protocolVersion: 4 as const, reconnectPeriod: 0 };
    return connectAsync(this.mqttUrl, { ...options, clientId: terminalId, connectTimeout: 5_000 });
  }
}

export interface EnrolledTerminal {
  readonly identity: EnrolResponse;
  readonly terminal: FakeTerminal;
  readonly tls: ClientTls;
}

/** A key as PEM that was made as base64 of its PKCS #8. */
export const keyPem = (key: string): string =>
  createPrivateKey({ key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A terminal's MQTT session: what came, and waiting for what is to come. */
export class Session {
  readonly client: MqttClient;
  readonly terminalId: TerminalId;
  readonly received: DownEnvelope[] = [];
  #waiting: (() => void)[] = [];

  private constructor(client: MqttClient, terminalId: TerminalId) {
    this.client = client;
    this.terminalId = terminalId;
    client.on("error", () => {});
    client.on("message", (_topic, payload) => {
      this.received.push(decodeDown(payload));
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  static async open(hub: HubProcess, { identity, tls }: EnrolledTerminal): Promise<Session> {
    const client = await hub.connect(identity.terminalId, tls);
    const session = new Session(client, identity.terminalId);
    await client.subscribeAsync(downFilter(identity.terminalId), { qos: 1 });
    return session;
  }

  async send(envelope: UpEnvelope): Promise<void> {
    await this.client.publishAsync(upTopic(this.terminalId, UP_STREAM_OF[envelope.type]), encodeEnvelope(envelope), {
      qos: 1,
    });
  }

  /** The first message that fits, come or still to come. */
  async until(fits: (message: DownEnvelope) => boolean, limitMs = 10_000): Promise<DownEnvelope> {
    const end = performance.now() + limitMs;
    for (;;) {
      const found = this.received.find(fits);
      if (found) return found;
      const left = end - performance.now();
      if (left <= 0) throw new Error(`not heard within ${limitMs} ms`);
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(limit);
          resolve();
        });
      });
    }
  }
}
