/** How the command line speaks to a running hub: its operator API, over TLS checked against the hub's own authority. */
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { isIPv6 } from "node:net";
import { z } from "zod";
import { type Clock, deadline } from "../base/clock.ts";
import { Fault, isFault, reasonOf } from "../base/fault.ts";
import { newMessageId, type RandomBytes } from "../base/ids.ts";

export interface OperatorClient {
  /** For ten seconds when not said. */
  get(path: string, withinMs?: number): Promise<unknown>;
  /** Under a key of its own, so that the hub does it once however often this request reaches it. */
  post(path: string, body: unknown): Promise<unknown>;
}

export interface OperatorAccess {
  readonly url: string;
  /** Of a session, an API token, or the hub's data folder; absent for the requests that need none. */
  readonly bearer?: string;
  /** PEM of the hub's authority. */
  readonly ca: string;
  readonly random: RandomBytes;
  readonly clock: Clock;
}

/** From the connection to the last byte of the answer. */
const ANSWER_WITHIN_MS = 10_000;

const ANSWER_BYTES_MAX = 8_388_608;

/** In every server certificate of a hub, whatever address it is reached at. */
const CERTIFIED_NAME = "localhost";
/** Listening on every address is listening on the loopback one. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Where a hub on this machine is reached that listens there. */
export function localUrl(listenHost: string, port: number): string {
  const host = LOOPBACK_OF[listenHost] ?? listenHost;
  return `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

export function operatorClient(access: OperatorAccess): OperatorClient {
  return {
    get: (path, withinMs = ANSWER_WITHIN_MS) => send(access, { method: "GET", path, withinMs }),
    post: (path, body) =>
      send(access, { method: "POST", path, text: JSON.stringify(body), withinMs: ANSWER_WITHIN_MS }),
  };
}

const PAGE = 100;

/** Reads every page of a list, each when the one before was taken. */
export async function* pages(
  client: OperatorClient,
  path: string,
  key: string,
): AsyncGenerator<Record<string, unknown>> {
  let cursor: string | undefined;
  do {
    const from: string = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const join = path.includes("?") ? "&" : "?";
    const page = (await client.get(`${path}${join}limit=${PAGE}${from}`)) as Record<string, unknown>;
    yield* z.array(z.record(z.string(), z.unknown())).parse(page[key]);
    cursor = typeof page["cursor"] === "string" ? page["cursor"] : undefined;
  } while (cursor !== undefined);
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly text?: string;
  readonly withinMs: number;
}

async function send(access: OperatorAccess, sent: Sent): Promise<unknown> {
  using limit = deadline(access.clock, sent.withinMs);
  const { status, text } = await exchange(access, sent, limit.signal).catch((error: unknown) => {
    throw isFault(error) ? error : unanswered(error, { url: access.url, sent, signal: limit.signal });
  });
  return answerOf(status, text);
}

/** Of a connection that was there and broke off. */
const CUT_CODES: readonly unknown[] = ["ECONNRESET", "EPIPE", "ERR_STREAM_PREMATURE_CLOSE"];

interface Unanswered {
  readonly url: string;
  readonly sent: Sent;
  readonly signal: AbortSignal;
}

/** Who was reached and did not answer may have done what was asked of him. */
function unanswered(error: unknown, { url, sent, signal }: Unanswered): Fault {
  const mayBeDone = sent.method === "GET" ? "" : "; it may have been done: look before you do it again";
  if (signal.aborted) {
    const late = `did not answer within ${sent.withinMs / 1_000} s`;
    return new Fault("uplink.timeout", `the hub at ${url} ${late}${mayBeDone}`);
  }
  if (CUT_CODES.includes(error instanceof Error && "code" in error ? error.code : undefined))
    return new Fault("uplink.down", `the hub at ${url} ended before it had answered (${reasonOf(error)})${mayBeDone}`);
  return new Fault("uplink.down", `the hub at ${url} cannot be reached: ${reasonOf(error)}; start it first`);
}

async function exchange(
  { url, bearer, ca, random }: OperatorAccess,
  { method, path, text }: Sent,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const headers = {
    ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    ...(text === undefined
      ? {}
      : {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(text),
          "idempotency-key": newMessageId(random),
        }),
  };
  const options = { method, ca, headers, signal, agent: false as const, servername: CERTIFIED_NAME };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(new URL(path, url), options, resolve).on("error", reject).end(text);
  });
  return { status: response.statusCode ?? 0, text: await readAll(response) };
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > ANSWER_BYTES_MAX) throw new Fault("message.invalid", `an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function answerOf(status: number, text: string): unknown {
  const body: unknown = JSON.parse(text);
  if (status >= 200 && status < 300) return body;
  const message = typeof body === "object" && body !== null && "message" in body ? String(body.message) : text;
  throw new Fault("uplink.refused", `the hub says no (${status}): ${message}`);
}
