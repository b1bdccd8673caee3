/** A hub in this process behind a real nats-server, and terminals that reach it with what their enrolment gave them. */
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type MqttClient } from "mqtt";
import { loadIdentity } from "../../agent/identity.ts";
import { certificateRequest, newTlsKey } from "../../agent/uplink/certificate-request.ts";
import { enrol } from "../../agent/uplink/enrol.ts";
import { createHubLink, type HubLink } from "../../agent/uplink/hub-link.ts";
import { systemClock } from "../../base/clock.ts";
import { newMessageId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { HubConfigSchema } from "../../hub/config.ts";
import { hubPaths, type RunningHub, startHub } from "../../hub/main.ts";
import { loadBrokerAuthority } from "../../hub/nats/broker-authority.ts";
import { writeBrokerFiles } from "../../hub/nats/broker-files.ts";
import { loadHubTls } from "../../hub/tls.ts";
import { type NatsServer, type NatsServers, startNats } from "../../scripts/lib/nats.ts";
import { type DownEnvelope, decodeDown, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import { newSigningKeys, publicKeyText } from "../../wire/signing.ts";
import { claimText, EnrolResponseSchema, type TerminalLogin } from "../../wire/terminal.ts";
import { downFilter, ENROL_PATH, UP_STREAM_OF, upTopic } from "../../wire/topics.ts";
import { pemOf } from "../e2e/identity-hub.ts";
import { FakeTerminal } from "../rules/hub-fixture.ts";
import { HandBoot, MemoryJournal } from "../rules/lease-fixture.ts";

/** What a terminal shows and says. */
export interface Credentials {
  readonly key: string;
  readonly cert: string;
  readonly login: TerminalLogin | undefined;
}

export interface Known {
  readonly terminal: FakeTerminal;
  readonly credentials: Credentials;
}

const ANSWER_WITHIN_MS = 20_000;

export class NatsStand implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "tillway-nats-stand-"));
  #nats: NatsServers | undefined;
  #hub: RunningHub | undefined;

  async start(): Promise<void> {
    const paths = hubPaths(this.#dataDir);
    const tls = await loadHubTls({ folder: paths.tls, names: [], now: Date.now(), random: systemRandom });
    const files = join(this.folder, "broker");
    writeBrokerFiles({ folder: files, authority: loadBrokerAuthority(paths.keys), tls });
    this.#nats = await startNats({ files, count: 1 });
    await this.startHub();
  }

  get #dataDir(): string {
    return join(this.folder, "hub");
  }
  get broker(): NatsServer {
    const [server] = this.#nats?.servers ?? [];
    if (!server) throw new Error("not started");
    return server;
  }
  get hub(): RunningHub {
    if (!this.#hub) throw new Error("not started");
    return this.#hub;
  }
  get ca(): string {
    return readFileSync(hubPaths(this.#dataDir).caCertificate, "utf8");
  }

  async startHub(): Promise<void> {
    const config = HubConfigSchema.parse({
      dataDir: this.#dataDir,
      logLevel: "silent",
      listen: { httpsPort: 0, mqttPort: 0 },
      public: { mqttPort: this.broker.mqttPort },
      ingest: { kind: "nats", servers: [this.broker.url] },
    });
    this.#hub = await startHub({ config, log: silentLog });
  }
  async stopHub(): Promise<void> {
    await this.hub.drain(new AbortController().signal);
    this.#hub = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hub) await this.stopHub();
    await this.#nats?.[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  connected(): Promise<number> {
    return this.hub.core.metrics
      .text()
      .then((text) => Number(/^tillway_hub_connected_terminals (\d+)$/m.exec(text)?.[1] ?? 0));
  }

  refused(reason: string): Promise<number> {
    const line = new RegExp(`^tillway_hub_messages_refused_total\\{reason="${reason}"\\} (\\d+)$`, "m");
    return this.hub.core.metrics.text().then((text) => Number(line.exec(text)?.[1] ?? 0));
  }

  post(path: string, body: unknown, bearer?: string): Promise<{ status: number; body: unknown }> {
    const headers = {
      "content-type": "application/json",
      "idempotency-key": newMessageId(systemRandom),
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    };
    return new Promise((resolve, reject) => {
      const url = `https://127.0.0.1:${this.hub.endpoints.httpsPort}${path}`;
      const call = request(url, { method: "POST", ca: this.ca, agent: false, headers }, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
      });
      call.on("error", reject);
      call.end(JSON.stringify(body));
    });
  }

  /** As the operator does it. */
  async operate(verb: "revoke" | "restore", terminalId: string): Promise<void> {
    const bearer = readFileSync(hubPaths(this.#dataDir).operatorToken, "utf8").trim();
    const { status } = await this.post(`/v1/terminals/${terminalId}/${verb}`, { by: "ann", why: "a test" }, bearer);
    if (status !== 200) throw new Error(`${verb}: ${status}`);
  }

  #claim(terminalId: TerminalId): Promise<{ readonly claimId: string; readonly secret: string }> {
    const { store, terminals } = this.hub.core;
    return store.transaction((within) => terminals.createClaim(within, { terminalId, validMs: 60_000 }));
  }

  async enrol(id: string): Promise<Known> {
    const terminalId = id as TerminalId;
    const { sealingKey } = this.hub.core;
    const { claimId, secret } = await this.#claim(terminalId);
    const tlsKey = newTlsKey();
    const keys = newSigningKeys();
    const csr = await certificateRequest(tlsKey, terminalId);
    const body = { claimId, secret, signingKey: publicKeyText(keys.publicKey), csr };
    const { certificate } = EnrolResponseSchema.parse((await this.post(ENROL_PATH, body)).body);
    const receive = () => Promise.reject(new Error("this terminal speaks over MQTT"));
    const parts = { terminalId, clock: systemClock, random: systemRandom, keys, sealingKey, receive };
    const credentials = { key: pemOf(tlsKey), cert: certificate.pem, login: certificate.login };
    return { terminal: new FakeTerminal(parts), credentials };
  }

  /** The agent's own side, enrolled by a claim. It runs until it is disposed of. */
  async agentLink(terminalId: TerminalId): Promise<HubLink> {
    const { claimId, secret } = await this.#claim(terminalId);
    const caFingerprint = new X509Certificate(this.ca).fingerprint256.replaceAll(":", "").toLowerCase();
    const text = claimText({ hub: this.hub.endpoints.httpsUrl, terminalId, claimId, secret, caFingerprint });
    const dataDir = join(this.folder, terminalId);
    const { signal } = new AbortController();
    await enrol({ claimText: text, dataDir, clock: systemClock, signal });
    const link = createHubLink({
      identity: loadIdentity(dataDir),
      journal: new MemoryJournal(),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      boot: new HandBoot(),
      options: { version: "1", prefer: "mqtt-only", disk: { freeBytes: () => 1, reserveBytes: 0 } },
    });
    void link.start(signal);
    return link;
  }

  /** Rejects with what CONNACK or TLS said. */
  async connect({ terminal }: Known, shown: Partial<Credentials>): Promise<Line> {
    const { login, ...tls } = shown;
    const options = { ca: this.ca, ...tls, ...login, protocolVersion: 4 as const, reconnectPeriod: 0 };
    const client = connect(this.hub.endpoints.mqttUrl, options);
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve()).once("error", reject);
      client.once("close", () => reject(new Error("closed without a word")));
    });
    return new Line(client, terminal.terminalId);
  }

  /** A terminal's own connection, that hears its own topics. */
  async online(known: Known): Promise<Line> {
    const line = await this.connect(known, known.credentials);
    await line.client.subscribeAsync(downFilter(known.terminal.terminalId), { qos: 0 });
    return line;
  }
}

/** A terminal's MQTT session: what came, and waiting for what is to come. */
export class Line {
  readonly client: MqttClient;
  readonly terminalId: TerminalId;
  readonly heard: DownEnvelope[] = [];
  readonly closed: Promise<void>;

  constructor(client: MqttClient, terminalId: TerminalId) {
    this.client = client;
    this.terminalId = terminalId;
    this.closed = new Promise((resolve) => void client.once("close", () => resolve()));
    client.on("error", () => {});
    client.on("message", (_topic, payload) => this.heard.push(decodeDown(payload)));
  }

  async say(envelope: UpEnvelope, topic = upTopic(this.terminalId, UP_STREAM_OF[envelope.type])): Promise<void> {
    await this.client.publishAsync(topic, encodeEnvelope(envelope), { qos: 1 });
  }

  /** The first message of that type, come or still to come. */
  async first<T extends DownEnvelope["type"]>(type: T): Promise<Extract<DownEnvelope, { type: T }>> {
    const isIt = (one: DownEnvelope): one is Extract<DownEnvelope, { type: T }> => one.type === type;
    const limit = AbortSignal.timeout(ANSWER_WITHIN_MS);
    for (;;) {
      const found = this.heard.find(isIt);
      if (found) return found;
      await new Promise<void>((resolve, reject) => {
        limit.addEventListener("abort", () => reject(new Error(`no ${type} within ${ANSWER_WITHIN_MS} ms`)));
        this.client.once("message", () => resolve());
      });
    }
  }
}
