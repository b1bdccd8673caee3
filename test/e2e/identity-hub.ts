/** A hub in this process on real TLS sockets and a clock of the test's own, and terminals that show it what a test wants. */
import { createPrivateKey } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type MqttClient } from "mqtt";
import { certificateRequest, newTlsKey } from "../../agent/uplink/certificate-request.ts";
import { ManualClock } from "../../base/clock.ts";
import { systemRandom, type TerminalId } from "../../base/ids.ts";
import { type Fields, type Log, silentLog } from "../../base/log.ts";
import { HubConfigSchema } from "../../hub/config.ts";
import { hubPaths, type RunningHub, startHub } from "../../hub/main.ts";
import { type DownEnvelope, decodeDown, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import { newSigningKeys, publicKeyText } from "../../wire/signing.ts";
import { type EnrolRequest, EnrolResponseSchema, RenewalResponseSchema } from "../../wire/terminal.ts";
import { CERTIFICATE_PATH, downFilter, ENROL_PATH, UP_STREAM_OF, UPLINK_PATH, upTopic } from "../../wire/topics.ts";
import { FakeTerminal } from "../rules/hub-fixture.ts";

/** What a terminal shows, as PEM. */
export interface Shown {
  readonly key: string;
  readonly cert: string;
}

export interface Known {
  readonly terminal: FakeTerminal;
  readonly shown: Shown;
}

interface Line {
  readonly level: "warn" | "error";
  readonly message: string;
  readonly fields: Fields;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export const pemOf = (key: string): string =>
  createPrivateKey({ key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();

export class IdentityHub implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly lines: Line[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), "tillway-identity-"));
  readonly #stack = new AsyncDisposableStack();
  #hub: RunningHub | undefined;

  constructor() {
    this.#stack.defer(() => rmSync(this.folder, { recursive: true }));
  }

  async start(): Promise<this> {
    const listen = { httpsPort: 0, mqttPort: 0 };
    const config = HubConfigSchema.parse({ dataDir: this.dataDir, logLevel: "silent", listen });
    const running = await startHub({ config, log: this.#log(), clock: this.clock });
    this.#hub = running;
    this.#stack.defer(() => running.drain(new AbortController().signal));
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  get hub(): RunningHub {
    if (!this.#hub) throw new Error("not started");
    return this.#hub;
  }
  get dataDir(): string {
    return join(this.folder, "hub");
  }
  get ca(): string {
    return readFileSync(hubPaths(this.dataDir).caCertificate, "utf8");
  }

  /** Lines about refusals, by their reason. */
  refusals(reason: string, level: Line["level"] = "warn"): readonly Fields[] {
    return this.lines
      .filter((line) => line.level === level && line.fields["reason"] === reason)
      .map(({ fields }) => fields);
  }
  findings(terminalId: string) {
    const { store, ingest } = this.hub.core;
    const filter = { terminalId, only: "open", afterNumber: 0, limit: 9 } as const;
    return store.read((reading) => ingest.findings.list(reading, filter));
  }
  view(terminalId: string) {
    const { store, terminals } = this.hub.core;
    return store.read((reading) => terminals.get(reading, terminalId));
  }

  post(path: string, body: unknown, options: { shown?: Shown; bearer?: string } = {}): Promise<Answer> {
    const { shown, bearer } = options;
    const headers = {
      "content-type": "application/json",
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    };
    return new Promise((resolve, reject) => {
      const url = new URL(path, this.hub.endpoints.httpsUrl);
      const call = request(url, { method: "POST", ca: this.ca, agent: false, headers, ...shown }, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
      });
      call.on("error", reject);
      call.end(JSON.stringify(body));
    });
  }

  /** As the operator does it. */
  operate(verb: "revoke" | "restore", terminalId: string): Promise<Answer> {
    const bearer = readFileSync(hubPaths(this.dataDir).operatorToken, "utf8").trim();
    return this.post(`/v1/terminals/${terminalId}/${verb}`, { by: "ann", why: "a test" }, { bearer });
  }

  newClaim(terminalId: TerminalId) {
    const { store, terminals } = this.hub.core;
    return store.transaction((within) => terminals.createClaim(within, { terminalId, validMs: 60_000 }));
  }

  async claim(terminalId: string, key = newTlsKey()): Promise<EnrolRequest> {
    const id = terminalId as TerminalId;
    const { claimId, secret } = await this.newClaim(id);
    const signingKey = publicKeyText(newSigningKeys().publicKey);
    return { claimId, secret, signingKey, csr: await certificateRequest(key, id) };
  }

  async enrol(terminalId: string): Promise<Known> {
    const key = newTlsKey();
    const keys = newSigningKeys();
    const request = { ...(await this.claim(terminalId, key)), signingKey: publicKeyText(keys.publicKey) };
    const { certificate } = EnrolResponseSchema.parse((await this.post(ENROL_PATH, request)).body);
    const shown = { key: pemOf(key), cert: certificate.pem };
    const terminal = new FakeTerminal({
      terminalId: terminalId as TerminalId,
      clock: this.clock,
      random: systemRandom,
      keys,
      sealingKey: this.hub.core.sealingKey,
      receive: async (envelope) => this.messages(await this.send(envelope, shown)),
    });
    return { terminal, shown };
  }

  send(envelope: UpEnvelope, shown?: Shown): Promise<Answer> {
    return this.post(UPLINK_PATH, envelope, shown ? { shown } : {});
  }
  messages({ status, body }: Answer): readonly DownEnvelope[] {
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
    return (body as { messages: DownEnvelope[] }).messages;
  }

  /** Asks for the next certificate, under what is shown. */
  async renew(terminalId: string, options: { shown?: Shown; bearer?: string; key?: string } = {}) {
    const { key = newTlsKey(), ...by } = options;
    const csr = await certificateRequest(key, terminalId as TerminalId);
    const answer = await this.post(CERTIFICATE_PATH, { terminalId, csr }, by);
    const given = RenewalResponseSchema.safeParse(answer.body).data;
    return { ...answer, shown: { key: pemOf(key), cert: given?.certificate.pem ?? "" } };
  }

  async mqtt(clientId: string, shown?: Shown): Promise<Listener> {
    const options = { ca: this.ca, clientId, protocolVersion: 4 as const, reconnectPeriod: 0, connectTimeout: 5_000 };
    const client = connect(this.hub.endpoints.mqttUrl, { ...options, ...shown });
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve()).once("error", reject);
      client.once("close", () => reject(new Error("closed without a word")));
    });
    return new Listener(client, clientId as TerminalId);
  }

  #log(): Log {
    const write =
      (level: Line["level"]) =>
      (message: string, fields: Fields = {}) =>
        void this.lines.push({ level, message, fields });
    const log: Log = { ...silentLog, warn: write("warn"), error: write("error"), for: () => log };
    return log;
  }
}

/** A terminal's MQTT session. */
export class Listener {
  readonly client: MqttClient;
  readonly terminalId: TerminalId;
  readonly heard: DownEnvelope[] = [];

  constructor(client: MqttClient, terminalId: TerminalId) {
    this.client = client;
    this.terminalId = terminalId;
    client.on("error", () => {});
    client.on("message", (_topic, payload) => this.heard.push(decodeDown(payload)));
  }

  async listen(): Promise<this> {
    await this.client.subscribeAsync(downFilter(this.terminalId), { qos: 1 });
    return this;
  }
  async say(envelope: UpEnvelope, topic = upTopic(this.terminalId, UP_STREAM_OF[envelope.type])): Promise<void> {
    await this.client.publishAsync(topic, encodeEnvelope(envelope), { qos: 1 });
  }
}

export const onlineOf = ({ terminal }: Known): UpEnvelope => {
  const head = terminal.head();
  return { ...head, type: "presence", body: { status: "online", version: "1", clock: head.sentAt } };
};
