/** Terminals that sell without end over MQTT, and repeat each sale until the hub's receipt for it: a small load that counts. */
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connect, type MqttClient } from "mqtt";
import { certificateRequest, newTlsKey } from "../../agent/uplink/certificate-request.ts";
import { type Epoch, newEpoch, newMessageId, type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { currencyOf } from "../../base/money.ts";
import { batchText } from "../../wire/advice.ts";
import { digestOfSealed, sealCardData } from "../../wire/card-data.ts";
import { decodeDown, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import { type EntryBody, GENESIS_HASH, hashEntry } from "../../wire/journal-entry.ts";
import { newSigningKeys, publicKeyText, readPublicKey, type SigningKeys, signText } from "../../wire/signing.ts";
import { type EnrolResponse, EnrolResponseSchema, readClaim } from "../../wire/terminal.ts";
import { downFilter, ENROL_PATH, upTopic } from "../../wire/topics.ts";
import type { HubSide } from "./cluster.ts";
import { TEST_CARD } from "./counter.ts";
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

/** The journal of a terminal that does nothing but approve offline. */
class LoadJournal {
  readonly terminalId: TerminalId;
  readonly #identity: EnrolResponse;
  readonly #keys: SigningKeys;
  readonly #epoch: Epoch = newEpoch(systemRandom);
  #sequence = 0;
  #hash = GENESIS_HASH;

  constructor(identity: EnrolResponse, keys: SigningKeys) {
    this.terminalId = identity.terminalId;
    this.#identity = identity;
    this.#keys = keys;
  }

  /** The next entry, as a batch of its own. */
  sale(id: string): UpEnvelope {
    const paymentId = id as PaymentId;
    const { terminalId } = this;
    const at = new Date().toISOString();
    const { keyId, publicKey } = this.#identity.sealingKey;
    const key = { keyId, publicKey: readPublicKey(publicKey) };
    const sealed = sealCardData({ data: TEST_CARD, terminalId, paymentId, key, random: systemRandom });
    const amount = { minor: "100", currency: currencyOf("EUR") };
    const decided = { outcome: "approved", mode: "offline", operation: "purchase", amount } as const;
    const body: EntryBody = {
      kind: "decision",
      paymentId,
      at,
      ...decided,
      attempts: [],
      businessDate: at.slice(0, 10),
    };
    this.#sequence += 1;
    const content = {
      sequence: this.#sequence,
      forward: this.#sequence,
      previousHash: this.#hash,
      sealedDigest: digestOfSealed(sealed),
      text: JSON.stringify(body),
    };
    this.#hash = hashEntry({ terminalId, epoch: this.#epoch, ...content });
    const unsigned = { epoch: this.#epoch, entries: [{ ...content, hash: this.#hash, sealed }], chainHead: this.#hash };
    const { signature } = signText("batch", batchText(terminalId, unsigned), this.#keys.privateKey);
    const head = {
      v: 1,
      id: newMessageId(systemRandom),
      terminalId,
      epoch: this.#epoch,
      sequence: this.#sequence,
    } as const;
    return { ...head, sentAt: at, type: "advice.batch", body: { ...unsigned, signature } };
  }
}

export class Seller {
  readonly receipted: Receipted[] = [];
  readonly #terminal: LoadJournal;
  readonly #identity: EnrolResponse;
  readonly #key: string;
  #client: MqttClient | undefined;
  #sold = 0;

  private constructor(parts: { terminal: LoadJournal; identity: EnrolResponse; key: string }) {
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
    const terminal = new LoadJournal(identity, keys);
    return new Seller({ terminal, identity, key });
  }

  /** One sale after the other, each said again until its receipt has come, until the signal; then none is left open. */
  async sell(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#sold += 1;
      const paymentId = `${this.#terminal.terminalId}-${this.#sold}`;
      const batch = this.#terminal.sale(paymentId);
      let status: string | undefined;
      while (status === undefined) status = await this.#tell(batch).catch(() => undefined);
      this.receipted.push({ paymentId, status, at: performance.now() });
    }
    await this.#client?.endAsync(true);
  }

  /** The receipt's status; undefined where none came in time. */
  async #tell(batch: UpEnvelope): Promise<string | undefined> {
    const client = await this.#connected();
    const { promise: heard, resolve } = Promise.withResolvers<string | undefined>();
    const onClose = () => resolve(undefined);
    const onMessage = (_topic: string, payload: Buffer) => {
      const message = decodeDown(payload);
      if (message.type === "receipt") resolve(message.body.results[0]?.status);
    };
    client.on("close", onClose).on("message", onMessage);
    client.publish(upTopic(this.#terminal.terminalId, "advice"), encodeEnvelope(batch), { qos: 1 }, () => {});
    const status = await Promise.race([heard, delay(RECEIPT_WITHIN_MS, undefined, { ref: false })]);
    client.off("close", onClose).off("message", onMessage);
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
