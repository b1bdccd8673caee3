/** Terminals that sell without end over MQTT, and repeat each sale until the hub's receipt for it: a small load that counts. */
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connect, type MqttClient } from "mqtt";
import { certificateRequest, newTlsKey } from "../../agent/uplink/certificate-request.ts";
import { systemClock } from "../../base/clock.ts";
import { systemRandom, type TerminalId } from "../../base/ids.ts";
import { FakeTerminal } from "../../test/rules/hub-fixture.ts";
import { decodeDown, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import { newSigningKeys, publicKeyText, readPublicKey } from "../../wire/signing.ts";
import { type EnrolResponse, EnrolResponseSchema, readClaim } from "../../wire/terminal.ts";
import { downFilter, ENROL_PATH, upTopic } from "../../wire/topics.ts";
import type { HubSide } from "./cluster.ts";
import { runTillway } from "./processes.ts";

const RECEIPT_WITHIN_MS = 4_000;
const CONNECT_WITHIN_MS = 5_000;
const AGAIN_AFTER_MS = 200;

export interface Receipted {
  readonly paymentId: string;
  readonly status: string;
  /** `performance.now()`. */
  readonly at: number;
}

export class Seller {
  readonly receipted: Receipted[] = [];
  readonly #terminal: FakeTerminal;
  readonly #identity: EnrolResponse;
  readonly #key: string;
  #client: MqttClient | undefined;
  #sold = 0;

  private constructor(parts: { terminal: FakeTerminal; identity: EnrolResponse; key: string }) {
    this.#terminal = parts.terminal;
    this.#identity = parts.identity;
    this.#key = parts.key;
  }

  static async enrol(hub: HubSide, id: string): Promise<Seller> {
    const { code, stdout, stderr } = await runTillway(["hub", "claim", id, "--config", hub.config]);
    const claim = readClaim(stdout.trim().split("\n").at(-1) ?? "");
    if (code !== 0 || !claim) throw new Error(`no claim for ${id}: ${stderr}`);
    const keys = newSigningKeys();
    const key = newTlsKey();
    const csr = await certificateRequest(key, claim.terminalId);
    const body = { claimId: claim.claimId, secret: claim.secret, signingKey: publicKeyText(keys.publicKey), csr };
    const identity = EnrolResponseSchema.parse(await post(hub, ENROL_PATH, body));
    const { keyId, publicKey } = identity.sealingKey;
    const terminal = new FakeTerminal({
      terminalId: id as TerminalId,
      clock: systemClock,
      random: systemRandom,
      keys,
      sealingKey: { keyId, publicKey: readPublicKey(publicKey) },
      receive: () => Promise.reject(new Error("this terminal speaks over MQTT")),
    });
    return new Seller({ terminal, identity, key });
  }

  /** One sale after the other, each said again until its receipt has come, until the signal; then none is left open. */
  async sell(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#sold += 1;
      const paymentId = `${this.#terminal.terminalId}-${this.#sold}`;
      const batch = this.#terminal.batch([this.#terminal.advice(paymentId)]);
      let status: string | undefined;
      while (status === undefined) status = await this.#tell(batch).catch(() => undefined);
      this.receipted.push({ paymentId, status, at: performance.now() });
    }
    await this.#client?.endAsync(true);
  }

  /** The receipt's status; undefined where none came in time. */
  async #tell(batch: UpEnvelope): Promise<string | undefined> {
    const client = await this.#connected();
    const heard = new Promise<string | undefined>((resolve) => {
      client.once("close", () => resolve(undefined));
      client.on("message", (_topic, payload) => {
        const message = decodeDown(payload);
        if (message.type === "receipt") resolve(message.body.results[0]?.status);
      });
    });
    client.publish(upTopic(this.#terminal.terminalId, "advice"), encodeEnvelope(batch), { qos: 1 }, () => {});
    const status = await Promise.race([heard, delay(RECEIPT_WITHIN_MS, undefined, { ref: false })]);
    client.removeAllListeners("message");
    if (status === undefined) await this.#drop();
    return status;
  }

  async #connected(): Promise<MqttClient> {
    if (this.#client?.connected) return this.#client;
    await this.#drop();
    const { caCertificate: ca, certificate } = this.#identity;
    const tls = { ca, key: pemOf(this.#key), cert: certificate.pem, ...certificate.login };
    const client = connect(this.#identity.mqttUrl, {
      ...tls,
      protocolVersion: 4,
      reconnectPeriod: 0,
      connectTimeout: CONNECT_WITHIN_MS,
    });
    this.#client = client;
    client.on("error", () => undefined);
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("close", () => reject(new Error("no connection")));
    });
    await client.subscribeAsync(downFilter(this.#terminal.terminalId), { qos: 0 });
    return client;
  }

  async #drop(): Promise<void> {
    if (!this.#client) return;
    this.#client.end(true);
    this.#client = undefined;
    await delay(AGAIN_AFTER_MS);
  }
}

const pemOf = (key: string): string =>
  createPrivateKey({ key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();

function post(hub: HubSide, path: string, body: unknown): Promise<unknown> {
  const ca = readFileSync(join(hub.dataDir, "tls/ca-certificate.pem"));
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", host: "127.0.0.1", port: hub.ports.https, path, ca, headers, agent: false };
  return new Promise((resolve, reject) => {
    const call = request(options, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () => resolve(JSON.parse(text)));
    });
    call.on("error", reject);
    call.end(JSON.stringify(body));
  });
}
