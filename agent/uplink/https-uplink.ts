/**
 * The way to the hub where MQTT is blocked: one POST for each envelope, the hub's messages in the answers. Nothing comes by
 * itself, so while nothing is sent presence is, which also tells when the hub is back.
 */
import { Agent, request as httpsRequest } from "node:https";
import { TLSSocket } from "node:tls";
import { z } from "zod";
import { abortFault, type Clock, deadline, eitherOf, sleep } from "../../base/clock.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { RECONNECT_POLICY, retrySchedule } from "../../base/retry-schedule.ts";
import { DownEnvelopeSchema, encodeEnvelope, MESSAGE_BYTES_MAX, type UpEnvelope } from "../../wire/envelope.ts";
import { firstIssue, parseJson } from "../../wire/signing.ts";
import { UPLINK_PATH } from "../../wire/topics.ts";
import type { Credential } from "./credential.ts";
import { codeOf, wordsOf } from "./hub-post.ts";
import { LinkEvents, type MessageListener, type StateListener } from "./link-events.ts";
import { connectFault, contextOf, type TlsTarget, targetOf } from "./tls-connect.ts";
import type { LinkState, RunningUplink } from "./uplink.ts";

const HTTPS_PORT = 443;
/** From the connection to the last byte of the answer. */
const POST_LIMIT_MS = 10_000;
const PROBE_LIMIT_MS = 5_000;
/** How long nothing may be sent before presence is. */
const IDLE_MS = 10_000;
const CONNECTIONS_MAX = 8;
const ANSWER_MESSAGES_MAX = 200;
/** HTTP: the hub has no time for this terminal just now. */
const TOO_MANY_REQUESTS = 429;
/** How long such a message rests where the hub does not say, and at most: a sale waits for it too. */
const BUSY_MS = 1_000;
const BUSY_MAX_MS = 2_000;

const AnswerSchema = z.object({ messages: z.array(z.unknown()).max(ANSWER_MESSAGES_MAX) });

export interface HttpsUplinkOptions {
  /** The hub's address; the path is ours. */
  readonly url: string;
  /** PEM of the only authority believed. */
  readonly caCertificate: string;
  readonly credential: Credential;
  /** The hub has said no to what was shown. */
  readonly onRefused?: () => void;
  /** What is sent to learn whether the hub is there. */
  readonly probe: () => UpEnvelope;
  readonly clock: Clock;
  readonly chance: () => number;
  readonly log: Log;
}

interface Answer {
  readonly status: number;
  /** What `retry-after` says, in seconds. */
  readonly retryAfter: string | undefined;
  readonly body: Buffer;
}

export class HttpsUplink implements RunningUplink {
  readonly name = "https";
  readonly #options: HttpsUplinkOptions;
  readonly #target: TlsTarget;
  readonly #stopListening: () => void;
  #agent: Agent;
  readonly #events = new LinkEvents();
  #ended = false;
  #lastAnswerAt = Number.NEGATIVE_INFINITY;
  /** Messages from the hub that could not be read. */
  unreadable = 0;

  constructor(options: HttpsUplinkOptions) {
    this.#options = options;
    this.#target = targetOf(options.url, HTTPS_PORT);
    this.#agent = newAgent(options);
    // What is under way ends as it began.
    this.#stopListening = options.credential.onExchange(() => {
      for (const socket of Object.values(this.#agent.freeSockets).flat()) socket?.destroy();
      this.#agent = newAgent(options);
    });
  }

  get state(): LinkState {
    return this.#events.state;
  }
  get advicesOnly(): boolean {
    return this.#events.advicesOnly;
  }
  onMessage(listener: MessageListener): () => void {
    return this.#events.onMessage(listener);
  }
  onState(listener: StateListener): () => void {
    return this.#events.onState(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, chance } = this.#options;
    this.#ended = false;
    await this.#options.credential.ready(signal).catch(() => undefined);
    let delays = retrySchedule(RECONNECT_POLICY, chance);
    while (!signal.aborted) {
      if (this.state === "down" || clock.monotonic() - this.#lastAnswerAt >= IDLE_MS) await this.#probe(signal);
      if (this.state === "up") delays = retrySchedule(RECONNECT_POLICY, chance);
      await this.#rest(this.state === "up" ? IDLE_MS : delays.next().value, signal);
    }
    this.#ended = true;
    this.#events.set("down", "not in use");
  }

  /** Takes the hub's answers too: they are delivered before this resolves. */
  async send(envelope: UpEnvelope, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw abortFault(signal);
    let answer: Answer;
    try {
      using limit = deadline(this.#options.clock, POST_LIMIT_MS, signal);
      answer = await this.#ask(encodeEnvelope(envelope), limit.signal);
    } catch (error) {
      // A caller who gave up says nothing about the link.
      if (signal.aborted) throw abortFault(signal);
      if (isFault(error)) this.#events.set("down", error.message);
      throw error;
    }
    this.#judge(answer);
    this.#lastAnswerAt = this.#options.clock.monotonic();
    // An answer that comes after this way was given up must not show it as up again, nor one that every certificate gets.
    const provesAll = envelope.type !== "advice.batch" || !this.advicesOnly;
    if (!this.#ended && provesAll) this.#events.set("up", `HTTPS to ${this.#options.url}`);
    for (const message of this.#messagesOf(answer.body)) this.#deliver(message);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopListening();
    this.#agent.destroy();
    return Promise.resolve();
  }

  async #probe(signal: AbortSignal): Promise<void> {
    using limit = deadline(this.#options.clock, PROBE_LIMIT_MS, signal);
    try {
      await this.send(this.#options.probe(), limit.signal);
    } catch (error) {
      if (!isFault(error)) throw error;
      // For what else can go wrong `send` has set the state: a busy hub is up, and a refusal may leave the advices.
      const isUnsaid = isFault(error, "transport.timeout", "message.invalid");
      if (isUnsaid && !signal.aborted) this.#events.set("down", error.message);
    }
  }

  /** Sleeps, but no longer than until the link goes down: then the search for it begins at once. */
  async #rest(delayMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const stop = this.onState(() => woken.abort());
    using until = eitherOf(signal, woken.signal);
    await sleep(this.#options.clock, delayMs, until.signal).catch(() => undefined);
    stop();
  }

  /** Throws what an HTTP status says about the message and the link. */
  #judge({ status, body }: Answer): void {
    const { url } = this.#options;
    if (status >= 200 && status < 300) return;
    if (status === 401 || status === 403) {
      const text = body.toString("utf8");
      const words = wordsOf(text);
      const why = `the hub refuses this terminal's certificate over HTTPS (${status}${words}); if it does not mend itself, enrol this terminal again`;
      if (!this.#ended) this.#events.set(codeOf(text) === "E_EXPIRED" ? "advices-only" : "down", why);
      this.#options.onRefused?.();
      throw new Fault("uplink.refused", why);
    }
    // It says nothing against the message, which is sent again later, nor against the link.
    if (status === TOO_MANY_REQUESTS) throw unknownFate(`HTTP ${status} from ${url}`);
    if (status >= 400 && status < 500) {
      throw new Fault(
        "message.invalid",
        `the hub did not take a message (HTTP ${status} from ${url}); compare versions`,
      );
    }
    this.#events.set("down", `HTTP ${status} from ${url}`);
    throw unknownFate(`HTTP ${status} from ${url}`);
  }

  #messagesOf(body: Buffer): readonly unknown[] {
    try {
      const parsed = AnswerSchema.safeParse(parseJson(body.toString("utf8")));
      if (parsed.success) return parsed.data.messages;
      this.#unread(firstIssue(parsed.error));
    } catch (error) {
      this.#unread(reasonOf(error));
    }
    return [];
  }

  #deliver(message: unknown): void {
    const parsed = DownEnvelopeSchema.safeParse(message);
    if (parsed.success) this.#events.deliver(parsed.data);
    else this.#unread(firstIssue(parsed.error));
  }

  #unread(reason: string): void {
    this.unreadable += 1;
    this.#options.log.warn("a message from the hub could not be read", { reason });
  }

  /** The answer; where the hub has no time, that to a second try when it says so: a backlog waits, and a sale finds room. */
  async #ask(text: string, signal: AbortSignal): Promise<Answer> {
    const answer = await this.#post(text, signal);
    if (answer.status !== TOO_MANY_REQUESTS) return answer;
    await sleep(this.#options.clock, busyMs(answer), signal);
    return this.#post(text, signal);
  }

  /** Throws `uplink.down` as long as no byte of the message can have left, `uplink.timeout` after that. */
  #post(text: string, signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let left = false;
      const { url } = this.#options;
      const request = httpsRequest(new URL(UPLINK_PATH, url), {
        method: "POST",
        agent: this.#agent,
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(text),
        },
      });
      const settle = (error: unknown) => {
        signal.removeEventListener("abort", onAbort);
        const unsent = isFault(error) ? error : connectFault(this.#target, error);
        reject(left ? unknownFate(reasonOf(error)) : unsent);
      };
      const onAbort = () => {
        request.destroy();
        settle(left ? abortFault(signal) : new Fault("uplink.down", `cannot connect to ${url} in time`));
      };
      request.once("socket", (socket) => {
        // Also of one that another message has just left: it is proven already, and the bytes leave at once.
        if (socket instanceof TLSSocket && socket.authorized) left = true;
        else {
          socket.once("secureConnect", () => {
            left = true;
          });
        }
      });
      request.on("error", settle);
      request.once("response", (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > MESSAGE_BYTES_MAX) request.destroy(new Error(`an answer of more than ${MESSAGE_BYTES_MAX} bytes`));
          else chunks.push(chunk);
        });
        response.on("error", settle);
        response.once("end", () => {
          signal.removeEventListener("abort", onAbort);
          const { statusCode: status = 0, headers } = response;
          resolve({ status, retryAfter: headers["retry-after"], body: Buffer.concat(chunks) });
        });
      });
      signal.addEventListener("abort", onAbort, { once: true });
      request.end(text);
    });
  }
}

const newAgent = ({ caCertificate, credential }: HttpsUplinkOptions): Agent =>
  new Agent({ keepAlive: true, secureContext: contextOf(caCertificate, credential.tls), maxSockets: CONNECTIONS_MAX });

const busyMs = ({ retryAfter }: Answer): number =>
  /^\d{1,9}$/.test(retryAfter ?? "") ? Math.min(Number(retryAfter) * 1_000, BUSY_MAX_MS) : BUSY_MS;

const unknownFate = (why: string): Fault =>
  new Fault("uplink.timeout", `the message may or may not have reached the hub: ${why}`);
