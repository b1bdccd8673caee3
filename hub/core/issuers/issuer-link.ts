/**
 * A link to one issuer, and the lane of all that is sent to him: nothing of it is shared with another's. It keeps itself
 * connected and signed on, and says of each request how it ended.
 */
import { assert, unreachable } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import { isFault, reasonOf } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import type { Log } from "../../../base/log.ts";
import { RECONNECT_POLICY, type RetryPolicy, retrySchedule } from "../../../base/retry-schedule.ts";
import { type NetworkRequest, networkRequestOf, responseCodeOf } from "../../../protocols/iso8583/editions.ts";
import { answerTo, isNetwork, isResponse, wantsAnswer } from "../../../protocols/iso8583/exchange.ts";
import type { Framed } from "../../../protocols/iso8583/frame.ts";
import type { Iso8583Codec, Iso8583Message } from "../../../protocols/iso8583/message.ts";
import type { MtiVersion } from "../../../protocols/iso8583/spec.ts";
import type { Metrics } from "../../metrics.ts";
import { type Connection, type ConnectionEnd, type IssuerAddress, openConnection } from "./connection.ts";
import { InFlight, matchKey, type Unanswered, type Waiting } from "./in-flight.ts";
import { type ExchangeResult, type LinkEffect, type LinkEvent, type LinkState, linkMachine } from "./link-machine.ts";
import { networkMessage, type Trace } from "./network.ts";
import { randomStan, StanCounter } from "./stan.ts";

/** How a request ended. Only after `answered` and `unanswered` can the issuer have done anything. */
export type LinkAnswer =
  | { readonly what: "answered"; readonly message: Iso8583Message; readonly afterMs: number }
  /** It left, and what the issuer did is not known. */
  | { readonly what: "unanswered"; readonly why: Unanswered }
  | { readonly what: "not-connected" }
  | { readonly what: "signed-off" }
  /** As many wait as may, or one under the same key does. */
  | { readonly what: "link.busy" };

export type LinkStatus = "down" | "up" | "signed-off";

/** Why something that an issuer sent was dropped. The first four are of whole messages, the others of bytes and of moments. */
export type DropReason =
  | "truncated"
  | "over-long"
  | "wrongly-packed"
  | "unsolicited"
  | "late"
  | "double"
  | "empty"
  | "too-long"
  | "lost";

export interface IssuerLinkOptions {
  /** The issuer's name in metrics and logs. */
  readonly name: string;
  readonly address: IssuerAddress;
  readonly codec: Iso8583Codec;
  readonly version: MtiVersion;
  /** DE 32 of what the link says for itself. */
  readonly acquirerId: string;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "count">;
  /** Up: signed on. Signed off: connected, and told to keep away. */
  readonly onStatus?: (status: LinkStatus) => void;
  /** An answer whose request had ended. It changes nothing (RM1). */
  readonly onLate?: (message: Iso8583Message) => void;
  /** Requests that wait at one time. */
  readonly inFlightMax?: number;
  readonly echoEveryMs?: number;
  readonly connectTimeoutMs?: number;
  /** For sign-on, sign-off and echo. */
  readonly exchangeTimeoutMs?: number;
  readonly retry?: RetryPolicy;
}

type Tuning = Required<
  Pick<IssuerLinkOptions, "inFlightMax" | "echoEveryMs" | "connectTimeoutMs" | "exchangeTimeoutMs" | "retry">
>;
export const LINK_DEFAULTS: Tuning = {
  inFlightMax: 256,
  echoEveryMs: 30_000,
  connectTimeoutMs: 2_000,
  exchangeTimeoutMs: 2_000,
  retry: RECONNECT_POLICY,
};

/** To what an issuer asks and we do not serve (ISO 8583:1987, DE 39). */
const INVALID_TRANSACTION = "12";
const APPROVED = "00";

export class IssuerLink implements AsyncDisposable {
  readonly name: string;
  readonly #options: IssuerLinkOptions & Tuning;
  readonly #requests: InFlight;
  readonly #stans: StanCounter;
  readonly #stopping = new AbortController();
  #retries: Generator<number, never>;
  #state: LinkState = { at: "stopped" };
  #connection: Connection | undefined;
  #cancelTimer: () => void = () => undefined;
  #stopped: () => void = () => undefined;
  /** Of this connection: the first of each reason is logged, all are counted. */
  #logged = new Set<DropReason>();

  constructor(options: IssuerLinkOptions) {
    this.name = options.name;
    this.#options = { ...LINK_DEFAULTS, ...options };
    this.#requests = new InFlight(options.clock);
    this.#stans = new StanCounter(randomStan(options.random));
    this.#retries = this.#newRetries();
  }

  get status(): LinkStatus {
    return statusOf(this.#state);
  }

  /** Requests that wait. */
  get inFlight(): number {
    return this.#requests.size;
  }

  start(): void {
    this.#on({ on: "start" });
  }

  /** For a new message. A repeat goes under the trace of the message that it repeats. */
  newTrace(): Trace {
    const stan = this.#stans.next((taken) => this.#requests.hasStan(taken));
    return { stan, transmittedAt: this.#options.clock.now() };
  }

  /**
   * Sends a message that wants an answer. Never throws for anything that an issuer does; a message that cannot be packed is a
   * Fault `codec.…`.
   */
  async request(message: Iso8583Message, waiting: Waiting): Promise<LinkAnswer> {
    const answer = await this.#ask(message, waiting);
    this.#count("requests", { answer: answer.what });
    return answer;
  }

  async #ask(message: Iso8583Message, waiting: Waiting): Promise<LinkAnswer> {
    if (this.status === "signed-off") return { what: "signed-off" };
    if (this.status === "down") return { what: "not-connected" };
    if (this.#requests.size >= this.#options.inFlightMax) return { what: "link.busy" };
    return this.#send(message, waiting);
  }

  /** One echo, for whoever wants to know whether the issuer answers. `undefined` when it could not be sent. */
  async probe(signal: AbortSignal): Promise<ExchangeResult | undefined> {
    return this.#connection ? this.#exchange("echo", signal) : undefined;
  }

  /** Signs off, and ends when the connection is closed. What waits for an answer has until then. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state.at === "stopped") return;
    const stopped = new Promise<void>((resolve) => {
      this.#stopped = resolve;
    });
    this.#on({ on: "stop" });
    await stopped;
  }

  async #send(message: Iso8583Message, waiting: Waiting): Promise<LinkAnswer> {
    const { codec, clock } = this.#options;
    const bytes = codec.pack(message);
    const key = matchKey(message);
    assert(key !== undefined, "what wants an answer has a STAN");
    if (this.#requests.has(key)) return { what: "link.busy" };
    const startedAt = clock.monotonic();
    const ended = this.#requests.wait(message, key, waiting);
    if (!waiting.signal.aborted && !this.#connection?.send(bytes)) this.#requests.lose();
    const end = await ended;
    if (typeof end === "string") return { what: "unanswered", why: end };
    return { what: "answered", message: end, afterMs: clock.monotonic() - startedAt };
  }

  async #exchange(what: NetworkRequest, signal: AbortSignal): Promise<ExchangeResult> {
    const { version, acquirerId, exchangeTimeoutMs } = this.#options;
    const message = networkMessage({ version, what, acquirerId, trace: this.newTrace() });
    const answer = await this.#send(message, { timeoutMs: exchangeTimeoutMs, signal });
    const result = exchangeResult(answer);
    this.#count("exchanges", { what, result });
    return result;
  }

  #on(event: LinkEvent): void {
    const before = this.status;
    const { state, effects } = linkMachine(this.#state, event);
    this.#state = state;
    if (this.status !== before) this.#tellStatus();
    for (const effect of effects) this.#perform(effect);
  }

  #tellStatus(): void {
    const { log, onStatus } = this.#options;
    const { status } = this;
    if (status === "up") this.#retries = this.#newRetries();
    log.info("the link to an issuer changed", { issuer: this.name, status });
    this.#count("links", { status });
    onStatus?.(status);
  }

  #perform(effect: LinkEffect): void {
    switch (effect.do) {
      case "connect":
        void this.#connect();
        return;
      case "retry-later":
        this.#later(this.#retries.next().value, { on: "retry-due" });
        return;
      case "watch":
        this.#later(this.#options.echoEveryMs, { on: "echo-due" });
        return;
      case "exchange":
        void this.#exchange(effect.what, this.#stopping.signal).then((result) =>
          this.#on({ on: "exchanged", what: effect.what, result }),
        );
        return;
      case "close":
        this.#close();
        return;
      default:
        unreachable(effect);
    }
  }

  #later(delayMs: number, event: LinkEvent): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(delayMs, () => this.#on(event));
  }

  async #connect(): Promise<void> {
    const { address, clock, connectTimeoutMs, log } = this.#options;
    this.#logged = new Set();
    const handlers = {
      framed: (framed: Framed) => this.#receive(framed),
      ended: (why: ConnectionEnd) => this.#ended(why),
    };
    const { signal } = this.#stopping;
    try {
      const connection = await openConnection({ address, clock, timeoutMs: connectTimeoutMs, signal, handlers });
      // Stopped in the very moment in which it came to be.
      if (signal.aborted) return connection.close("closed");
      this.#connection = connection;
    } catch (error) {
      if (signal.aborted) return;
      log.debug("an issuer cannot be reached", { issuer: this.name, reason: reasonOf(error) });
      this.#count("connections", { end: isFault(error, "transport.timeout") ? "timeout" : "refused" });
      this.#on({ on: "connection-ended" });
      return;
    }
    this.#on({ on: "connected" });
  }

  #ended(why: ConnectionEnd): void {
    this.#connection = undefined;
    this.#cancelTimer();
    this.#count("connections", { end: why });
    if (why !== "closed") this.#options.log.warn("the connection to an issuer ended", { issuer: this.name, why });
    this.#requests.lose();
    this.#on({ on: "connection-ended" });
  }

  #close(): void {
    this.#cancelTimer();
    const connection = this.#connection;
    this.#connection = undefined;
    if (this.#state.at === "stopped") this.#stopping.abort();
    connection?.close("closed");
    if (this.#state.at === "stopped") this.#stopped();
  }

  #receive(framed: Framed): void {
    if (framed.what === "dropped") {
      this.#drop(framed.why);
      return;
    }
    const message = this.#unpack(framed.bytes);
    if (message === undefined) return;
    if (isResponse(message)) this.#response(message);
    else this.#asked(message);
  }

  #unpack(bytes: Uint8Array): Iso8583Message | undefined {
    try {
      return this.#options.codec.unpack(bytes);
    } catch (error) {
      this.#drop(dropReason(error));
      return undefined;
    }
  }

  #response(message: Iso8583Message): void {
    const fate = this.#requests.answer(message);
    if (fate === "matched") return;
    this.#drop(fate);
    if (fate === "late") this.#options.onLate?.(message);
  }

  /** What the issuer asks or tells by itself. */
  #asked(message: Iso8583Message): void {
    const { version, codec } = this.#options;
    const about = isNetwork(message) ? networkRequestOf(version, message) : undefined;
    if (about === undefined) this.#drop("unsolicited");
    if (!wantsAnswer(message)) return;
    const answer = answerTo(message, version, about === undefined ? INVALID_TRANSACTION : APPROVED);
    this.#connection?.send(codec.pack(answer));
    if (about === "sign-on" || about === "sign-off") this.#on({ on: "notice", what: about });
  }

  #drop(reason: DropReason): void {
    this.#count("dropped", { reason });
    if (this.#logged.has(reason)) return;
    this.#logged.add(reason);
    this.#options.log.warn("an issuer sent what was dropped", { issuer: this.name, reason });
  }

  #count(what: "requests" | "exchanges" | "links" | "connections" | "dropped", labels: Record<string, string>): void {
    this.#options.metrics.count(`tillway_hub_issuer_${what}_total`, { issuer: this.name, ...labels });
  }

  #newRetries(): Generator<number, never> {
    const { retry, random } = this.#options;
    return retrySchedule(retry, () => (random(1)[0] ?? 0) / 0x100);
  }
}

function statusOf({ at }: LinkState): LinkStatus {
  return at === "up" || at === "signed-off" ? at : "down";
}

function exchangeResult(answer: LinkAnswer): ExchangeResult {
  if (answer.what !== "answered") return "unanswered";
  return responseCodeOf(answer.message) === APPROVED ? "accepted" : "refused";
}

/** Throws what is no Fault of the codec: a bug. */
function dropReason(error: unknown): DropReason {
  if (isFault(error, "codec.truncated")) return "truncated";
  if (isFault(error, "codec.too-long")) return "over-long";
  if (isFault(error, "codec.invalid")) return "wrongly-packed";
  throw error;
}
