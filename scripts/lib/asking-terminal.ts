/** A terminal that does nothing but ask: enrolled with a running hub, over MQTT under its own certificate. For loads and benches. */
import { mkdirSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import { type Identity, loadIdentity } from "../../agent/identity.ts";
import { enrol } from "../../agent/uplink/enrol.ts";
import { systemClock } from "../../base/clock.ts";
import { newEpoch, newMessageId, type PaymentId, systemRandom } from "../../base/ids.ts";
import { currencyOf } from "../../base/money.ts";
import type { AuthorisationResponse } from "../../wire/authorisation.ts";
import { sealCardData } from "../../wire/card-data.ts";
import { decodeDown, encodeEnvelope, type UpOf } from "../../wire/envelope.ts";
import { downFilter, upTopic } from "../../wire/topics.ts";
import { type OperatorDoor, operatorCall } from "./operator-call.ts";

export interface AskedSale {
  readonly paymentId: string;
  readonly pan: string;
  /** In euro cents. */
  readonly minor: number;
}

export const CARD_EXPIRY = "3012";
const EUR = currencyOf("EUR");
const CONNECT_MS = 10_000;
/** As an agent waits by default (RM2). */
const ANSWER_WITHIN_MS = 5_000;
/** What has no answer by then never gets one. */
const GIVEN_UP_MS = 15_000;

type Waiting = (answer: AuthorisationResponse) => void;

export class AskingTerminal implements AsyncDisposable {
  readonly #identity: Identity;
  readonly #client: MqttClient;
  readonly #epoch = newEpoch(systemRandom);
  readonly #waiting = new Map<string, Waiting>();
  #sequence = 0;

  private constructor(identity: Identity, client: MqttClient) {
    this.#identity = identity;
    this.#client = client;
    client.on("message", (_, payload) => {
      const envelope = decodeDown(payload);
      if (envelope.type === "authorisation.response") this.#waiting.get(envelope.body.paymentId)?.(envelope.body);
    });
  }

  /** `folder`: takes its keys. */
  static async enrolled(door: OperatorDoor, terminalId: string, folder: string): Promise<AskingTerminal> {
    const path = `/v1/terminals/${terminalId}/claims`;
    const { claim } = await operatorCall<{ claim: string }>(door, { method: "POST", path, body: {} });
    const dataDir = join(folder, terminalId);
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    await enrol({ claimText: claim, dataDir, clock: systemClock, signal: new AbortController().signal });
    const identity = loadIdentity(dataDir);
    const { tls, caCertificate, mqttUrl } = identity;
    const { hostname: host, port } = new URL(mqttUrl);
    const client = await connectAsync({
      ...{ protocol: "mqtts", host, port: Number(port) },
      ...{
        ca: caCertificate,
        clientId: terminalId,
        protocolVersion: 4,
        reconnectPeriod: 0,
        connectTimeout: CONNECT_MS,
      },
      ...(tls && { key: tls.key, cert: tls.certificate }),
    });
    // As the agent does: an answer of a few bytes waits for nothing.
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
    await client.subscribeAsync(downFilter(identity.terminalId), { qos: 1 });
    return new AskingTerminal(identity, client);
  }

  /** Undefined where no answer came. */
  async ask(sale: AskedSale): Promise<AuthorisationResponse | undefined> {
    const envelope = this.#envelope(sale);
    const topic = upTopic(this.#identity.terminalId, "authorisation");
    const answered = new Promise<AuthorisationResponse | undefined>((resolve) => {
      const cancel = systemClock.after(GIVEN_UP_MS, () => resolve(undefined));
      this.#waiting.set(sale.paymentId, (answer) => {
        cancel();
        resolve(answer);
      });
    });
    await this.#client.publishAsync(topic, encodeEnvelope(envelope), { qos: 1 });
    const answer = await answered;
    this.#waiting.delete(sale.paymentId);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }

  #envelope({ paymentId, pan, minor }: AskedSale): UpOf<"authorisation.request"> {
    const { terminalId, sealingKey: key } = this.#identity;
    const now = systemClock.now();
    const data = { pan, expiry: CARD_EXPIRY };
    this.#sequence += 1;
    return {
      ...{ v: 1, id: newMessageId(systemRandom), terminalId, epoch: this.#epoch, sequence: this.#sequence },
      sentAt: new Date(now).toISOString(),
      type: "authorisation.request",
      body: {
        ...{ paymentId: paymentId as PaymentId, attempt: 1, kind: "purchase" },
        amount: { minor: String(minor), currency: EUR },
        answerBy: new Date(now + ANSWER_WITHIN_MS).toISOString(),
        card: sealCardData({ data, terminalId, paymentId, key, random: systemRandom }),
        entryMode: "chip",
      },
    };
  }
}
