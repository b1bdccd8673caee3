/** Speaks to a running agent's local API, for the command line and the doctor. */
import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { z } from "zod";
import { abortFault, type Clock, deadline } from "../base/clock.ts";
import type { Environment } from "../base/config-file.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { Currency } from "../base/money.ts";
import { fail, ok, type Result } from "../base/result.ts";
import { readApiToken } from "./api/api-token.ts";
import { type AgentConfig, addressFileOf, DEFAULT_CONFIG_PATH, loadAgentConfig, tokenFileOf } from "./config.ts";

export interface ApiTarget {
  /** `http://127.0.0.1:8741` */
  readonly address: string;
  readonly token: string;
  /** Known where a configuration was read. */
  readonly currency?: Currency;
}

export interface TargetOptions {
  readonly config?: string;
  readonly api?: string;
  readonly token?: string;
}

/** Where the agent is and its token: as named, else from its configuration. Throws Fault `config.invalid` or `config.missing`. */
export function findApi(options: TargetOptions, env: Environment): ApiTarget {
  const token = options.token ?? env["TILLWAY_TOKEN"];
  const address = options.api === undefined ? undefined : checkedAddress(options.api);
  if (address !== undefined && token !== undefined && options.config === undefined) return { address, token };
  const path = options.config ?? env["TILLWAY_CONFIG"] ?? DEFAULT_CONFIG_PATH;
  const config = loadAgentConfig(path, env);
  return {
    address: address ?? addressOf(config),
    token: token ?? readApiToken(tokenFileOf(config)),
    currency: config.site.currency,
  };
}

function checkedAddress(text: string): string {
  const url = URL.parse(/^\d{1,5}$/.test(text) ? `http://127.0.0.1:${text}` : text);
  if (url?.protocol === "http:") return url.origin;
  throw new Fault("config.invalid", `--api ${text}: is not an address such as http://127.0.0.1:8741`);
}

/** With `api.port` 0 the agent chose the port and left it in its data folder. */
function addressOf(config: AgentConfig): string {
  if (config.api.port !== 0) return `http://${config.api.host}:${config.api.port}`;
  try {
    return checkedAddress(readFileSync(addressFileOf(config), "utf8").trim());
  } catch {
    throw notRunning(`there is no ${addressFileOf(config)}`);
  }
}

const notRunning = (why: string): Fault =>
  new Fault("transport.failed", `the agent is not running (${why}); start it with: tillway agent --config FILE`);

const endedBefore = (why: string): Fault =>
  new Fault("transport.closed", `the agent ended before it had answered (${why}); look at its log`);

export interface ApiCall {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
}

/** The API's refusal of a request. */
export interface ApiRefusal {
  readonly status: number;
  readonly code: string;
  readonly path?: string;
  readonly message: string;
}

export type ApiAnswer = Result<unknown, ApiRefusal>;

export interface ApiEvent {
  readonly type: string;
  readonly data: unknown;
}

const RefusalSchema = z.object({
  error: z.object({ code: z.string(), path: z.string().optional(), message: z.string() }),
});

const ANSWER_BYTES_MAX = 16_777_216;
/** From a server that closes, in the words of its framework and not of the API. */
const STOPPING_STATUS = 503;
/** Longer than the API lets anyone wait for a payment. */
const ANSWER_LIMIT_MS = 150_000;

export class ApiClient {
  readonly #target: ApiTarget;
  readonly #clock: Clock;

  constructor(target: ApiTarget, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
  }

  /**
   * The answer's JSON, or the API's refusal. Throws Fault `transport.failed` when no agent was reached, `transport.closed` when
   * one ended before it had answered: what was asked may have been done; `transport.timeout`.
   */
  async call(call: ApiCall, signal?: AbortSignal): Promise<ApiAnswer> {
    using limit = deadline(this.#clock, ANSWER_LIMIT_MS, signal);
    const response = await this.#open(call, limit.signal);
    const text = await readAll(response);
    const status = response.statusCode ?? 0;
    const json = parseAnswer(text, this.#target.address);
    if (status < 400) return ok(json);
    const refusal = RefusalSchema.safeParse(json);
    if (!refusal.success) {
      if (status === STOPPING_STATUS) throw endedBefore("it is stopping");
      throw new Fault("message.invalid", `${this.#target.address} answered ${status}: is that an agent?`);
    }
    const { code, path, message } = refusal.data.error;
    return fail({ status, code, message, ...(path !== undefined && { path }) });
  }

  /** Events from now on; the stream is open when the promise resolves. Throws like `call`. */
  async events(signal: AbortSignal): Promise<AsyncGenerator<ApiEvent, void>> {
    const response = await this.#open({ method: "GET", path: "/v1/events" }, signal);
    if (response.statusCode === 200) return readEvents(response, signal);
    response.resume();
    throw new Fault("message.invalid", `the agent refused its events with status ${response.statusCode}`);
  }

  #open({ method, path, body }: ApiCall, signal: AbortSignal): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${this.#target.token}`,
      ...(text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
    };
    return new Promise((resolve, reject) => {
      const request = httpRequest(new URL(path, this.#target.address), { method, headers, signal });
      request.once("response", resolve);
      request.once("error", (error) => reject(signal.aborted ? abortFault(signal) : this.#connectFault(error)));
      request.end(text);
    });
  }

  #connectFault(error: Error): Fault {
    const code = "code" in error ? error.code : undefined;
    if (code === "ECONNRESET" || code === "EPIPE") return endedBefore(reasonOf(error));
    return notRunning(
      code === "ECONNREFUSED"
        ? `nothing listens on ${this.#target.address}`
        : `${this.#target.address}: ${reasonOf(error)}`,
    );
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > ANSWER_BYTES_MAX)
        throw new Fault("message.invalid", `an answer of more than ${ANSWER_BYTES_MAX} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw endedBefore(reasonOf(error));
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseAnswer(text: string, address: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault("message.invalid", `what answers on ${address} is not an agent; see api.port`);
  }
}

const EVENT_CHARACTERS_MAX = 1_048_576;

async function* readEvents(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<ApiEvent, void> {
  let rest = "";
  response.setEncoding("utf8");
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      const blocks = (rest + chunk).split("\n\n");
      rest = blocks.pop() ?? "";
      if (rest.length > EVENT_CHARACTERS_MAX) throw new Fault("message.invalid", "an event that does not end");
      for (const block of blocks) {
        const event = readEvent(block);
        if (event) yield event;
      }
    }
  } catch (error) {
    if (signal.aborted) return;
    throw error instanceof Fault ? error : new Fault("transport.closed", "the agent ended; look at its log");
  }
}

/** One block of the stream; comments carry nothing. */
function readEvent(block: string): ApiEvent | undefined {
  const lines = block.split("\n");
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const [type, data] = [field("event"), field("data")];
  return type === undefined || data === undefined ? undefined : { type, data: parseAnswer(data, "the event stream") };
}
