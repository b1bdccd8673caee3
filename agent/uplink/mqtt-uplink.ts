/**
 * The way to the hub over MQTT 3.1.1 and TLS. One client of the library lives for one connection only, so that nothing it
 * still holds is ever sent again by itself: what may be repeated is decided above, never in a library's store (RM1, RM3).
 * The session is a clean one: the hub then keeps nothing for an absent terminal, so no old answer, lease or time can come
 * late out of a queue (RM2, RM8). Receipts lost that way come again, since entries are sent until theirs arrives.
 */
import type { TLSSocket } from "node:tls";
import type { MqttClient } from "mqtt";
import { abortable, abortFault, type Clock, deadline, sleep } from "../../base/clock.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { TerminalId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { RECONNECT_POLICY, retrySchedule } from "../../base/retry-schedule.ts";
import { decodeDown, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import { downFilter, UP_STREAM_OF, upTopic } from "../../wire/topics.ts";
import type { Credential } from "./credential.ts";
import { LinkEvents, type MessageListener, type StateListener } from "./link-events.ts";
import { connectTls, targetOf } from "./tls-connect.ts";
import type { LinkState, RunningUplink } from "./uplink.ts";

const MQTTS_PORT = 8883;
/** TCP, TLS, CONNACK and SUBACK together. */
const CONNECT_LIMIT_MS = 5_000;
/** An idle link that does not answer is given up after one and a half of this. */
const KEEPALIVE_SEC = 15;
/**
 * The hub acknowledges after its commit, which takes at most 2.5 s (RM2). Later than this the link is half open, whether
 * or not the sender still waits.
 */
const PUBACK_LIMIT_MS = 4_000;
/** How long a DISCONNECT may take to leave. */
const CLOSE_LIMIT_MS = 500;
/** Publishes without acknowledgement at one time. */
const IN_FLIGHT_MAX = 64;
/** CONNACK return codes (MQTT 3.1.1, 3.2.2.3): identifier rejected, bad user name, not authorised. SUBACK 128: refused. */
const REFUSED_CODES = [2, 4, 5];
const SUBSCRIPTION_REFUSED = 128;

export interface MqttUplinkOptions {
  readonly url: string;
  /** PEM of the only authority believed. */
  readonly caCertificate: string;
  readonly terminalId: TerminalId;
  readonly credential: Credential;
  /** The hub has said no to what was shown. */
  readonly onRefused?: () => void;
  /** Made anew for each connection: what the hub tells itself when this terminal vanishes. */
  readonly lastWill: () => UpEnvelope;
  /** 15 by default. */
  readonly keepaliveSec?: number;
  readonly clock: Clock;
  /** From 0 to below 1, for jitter. */
  readonly chance: () => number;
  readonly log: Log;
}

export class MqttUplink implements RunningUplink {
  readonly name = "mqtt";
  readonly #options: MqttUplinkOptions;
  readonly #events = new LinkEvents();
  #connection: MqttConnection | undefined;
  #refusal: Fault | undefined;
  /** Messages from the hub that could not be read. */
  unreadable = 0;

  constructor(options: MqttUplinkOptions) {
    this.#options = options;
  }

  get state(): LinkState {
    return this.#events.state;
  }
  onMessage(listener: MessageListener): () => void {
    return this.#events.onMessage(listener);
  }
  onState(listener: StateListener): () => void {
    return this.#events.onState(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, chance, log } = this.#options;
    let delays = retrySchedule(RECONNECT_POLICY, chance);
    await this.#options.credential.ready(signal).catch(() => undefined);
    while (!signal.aborted) {
      try {
        const why = await this.#stayConnected(signal);
        delays = retrySchedule(RECONNECT_POLICY, chance);
        log.warn("the MQTT link was lost", { why });
      } catch (error) {
        if (!isFault(error)) throw error;
        this.#refusal = error.code === "uplink.refused" ? error : undefined;
        if (this.#refusal) this.#options.onRefused?.();
        this.#events.set("down", error.message);
        log.debug("no MQTT link", { why: error.message });
      }
      await sleep(clock, delays.next().value, signal).catch(() => undefined);
    }
  }

  async send(envelope: UpEnvelope, signal: AbortSignal): Promise<void> {
    const connection = this.#connection;
    if (!connection) throw this.#refusal ?? new Fault("uplink.down", `no MQTT link: ${this.#events.why}`);
    if (signal.aborted) throw abortFault(signal);
    await connection.publish(envelope, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection?.close();
  }

  /** Resolves with the reason when an established connection has ended. Throws when it was not established. */
  async #stayConnected(signal: AbortSignal): Promise<string> {
    using limit = deadline(this.#options.clock, CONNECT_LIMIT_MS, signal);
    const connection = await MqttConnection.open(this.#options, limit.signal, (bytes) => this.#receive(bytes));
    this.#connection = connection;
    this.#refusal = undefined;
    this.#events.set("up", `MQTT to ${this.#options.url}`);
    let closed: Promise<void> | undefined;
    const onAbort = () => {
      closed = connection.close();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const stop = this.#options.credential.onExchange(onAbort);
    if (signal.aborted) onAbort();
    const why = await connection.ended;
    stop();
    signal.removeEventListener("abort", onAbort);
    this.#connection = undefined;
    this.#events.set("down", why);
    await closed;
    return why;
  }

  #receive(bytes: Uint8Array): void {
    try {
      this.#events.deliver(decodeDown(bytes));
    } catch (error) {
      if (!isFault(error, "message.invalid", "codec.too-long")) throw error;
      this.unreadable += 1;
      this.#options.log.warn("a message from the hub could not be read", { reason: error.message });
    }
  }
}

/** One connection from its TLS handshake to its end. */
class MqttConnection {
  readonly ended: Promise<string>;
  readonly #client: MqttClient;
  readonly #socket: TLSSocket;
  readonly #options: MqttUplinkOptions;
  readonly #inFlight = new Set<(fault: Fault) => void>();
  #end: (why: string) => void = () => undefined;
  #over = false;

  private constructor(client: MqttClient, socket: TLSSocket, options: MqttUplinkOptions) {
    this.#client = client;
    this.#socket = socket;
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  static async open(
    options: MqttUplinkOptions,
    signal: AbortSignal,
    receive: (bytes: Uint8Array) => void,
  ): Promise<MqttConnection> {
    const { MqttClient } = await import("mqtt");
    const target = targetOf(options.url, MQTTS_PORT);
    const { caCertificate, credential } = options;
    const socket = await connectTls({ ...target, caCertificate, tls: credential.tls, signal });
    const client = new MqttClient(() => socket, clientOptions(options));
    const connection = new MqttConnection(client, socket, options);
    connection.#listen(receive);
    try {
      await abortable(connection.#begin(), signal);
      return connection;
    } catch (error) {
      connection.#fail("the connection did not come about");
      throw isFault(error, "uplink.refused", "uplink.down") ? error : noAnswer(options.url, error);
    }
  }

  publish(envelope: UpEnvelope, signal: AbortSignal): Promise<void> {
    if (this.#inFlight.size >= IN_FLIGHT_MAX) {
      throw new Fault("uplink.down", `${IN_FLIGHT_MAX} messages wait for the hub already; nothing was sent`);
    }
    const topic = upTopic(envelope.terminalId, UP_STREAM_OF[envelope.type]);
    const text = encodeEnvelope(envelope);
    return new Promise((resolve, reject) => {
      const settle = (fault: Fault | undefined) => {
        this.#inFlight.delete(settle);
        signal.removeEventListener("abort", onAbort);
        if (fault) reject(fault);
        else resolve();
      };
      const onAbort = () => settle(abortFault(signal));
      const cancelLimit = this.#options.clock.after(PUBACK_LIMIT_MS, () =>
        this.#fail(`no acknowledgement within ${PUBACK_LIMIT_MS} ms`),
      );
      this.#inFlight.add(settle);
      signal.addEventListener("abort", onAbort, { once: true });
      this.#client.publish(topic, text, { qos: 1 }, (error) => {
        cancelLimit();
        settle(error ? unknownFate(reasonOf(error)) : undefined);
      });
    });
  }

  /** Says DISCONNECT, so that the hub does not take this for a loss, and waits until that has left and all is closed. */
  async close(): Promise<void> {
    if (this.#over) return;
    const closed = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
    this.#client.end(this.#inFlight.size > 0);
    const cancel = this.#options.clock.after(CLOSE_LIMIT_MS, () => this.#socket.destroy());
    this.#fail("closed by this side");
    await closed;
    cancel();
  }

  /** CONNACK, then the subscription: only then can answers come. */
  async #begin(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#client.once("connect", () => resolve());
      this.#client.once("error", (error) => reject(connackFault(error)));
      this.#client.once("close", () => reject(new Fault("uplink.down", "the hub closed the connection unasked")));
    });
    const filter = downFilter(this.#options.terminalId);
    // What the hub says is repeated by its own rules and never by a broker's, which for QoS 1 would keep a queue per terminal.
    const granted = await this.#client.subscribeAsync(filter, { qos: 0 });
    if (granted.some((grant) => grant.qos === SUBSCRIPTION_REFUSED)) {
      throw new Fault("uplink.refused", `the hub does not let this terminal listen on ${filter}; enrol it again`);
    }
  }

  #listen(receive: (bytes: Uint8Array) => void): void {
    this.#client.on("message", (_topic, payload) => receive(payload));
    this.#client.on("error", (error) => this.#fail(reasonOf(error)));
    this.#socket.on("error", (error) => this.#fail(reasonOf(error)));
    this.#client.on("close", () => this.#fail("the connection was closed or did not answer"));
  }

  /** Ends this connection. What was being sent may or may not have arrived; it is never sent again from here. */
  #fail(why: string): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.#client.disconnecting) this.#client.end(true);
    for (const settle of [...this.#inFlight]) settle(unknownFate(why));
    this.#end(why);
  }
}

const clientOptions = (options: MqttUplinkOptions) => {
  const will = options.lastWill();
  return {
    protocolVersion: 4 as const,
    clientId: options.terminalId,
    ...options.credential.tls?.login,
    clean: true,
    keepalive: options.keepaliveSec ?? KEEPALIVE_SEC,
    reschedulePings: false,
    timerVariant: "native" as const,
    connectTimeout: CONNECT_LIMIT_MS,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    will: {
      topic: upTopic(options.terminalId, UP_STREAM_OF[will.type]),
      payload: Buffer.from(encodeEnvelope(will), "utf8"),
      qos: 1 as const,
      retain: false,
    },
  };
};

function connackFault(error: Error): Fault {
  const code = "code" in error ? Number(error.code) : Number.NaN;
  if (!REFUSED_CODES.includes(code)) return new Fault("uplink.down", reasonOf(error), { cause: error });
  return new Fault(
    "uplink.refused",
    "the hub refuses this terminal's certificate over MQTT: it has ended, was revoked, or was given anew elsewhere; its words come over HTTPS",
    { cause: error },
  );
}

const noAnswer = (url: string, error: unknown): Fault =>
  new Fault("uplink.down", `${url} did not answer as an MQTT hub: ${reasonOf(error)}`, { cause: error });

const unknownFate = (why: string): Fault =>
  new Fault("uplink.timeout", `the message may or may not have reached the hub: ${why}`);
