/** How the command line speaks to a running hub: its operator API, by the files that the hub left in its data folder. */
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { isIPv6 } from "node:net";
import { Fault, reasonOf } from "../base/fault.ts";

export interface OperatorClient {
  get(path: string): Promise<unknown>;
  post(path: string, body: unknown): Promise<unknown>;
}

export interface OperatorAccess {
  /** Where the hub listens, as its configuration says. */
  readonly listenHost: string;
  readonly port: number;
  readonly tokenPath: string;
  readonly caPath: string;
  readonly signal: AbortSignal;
}

const ANSWER_BYTES_MAX = 8_388_608;

/** In every server certificate of a hub, whatever address it is reached at. */
const CERTIFIED_NAME = "localhost";
/** Listening on every address is listening on the loopback one. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

export function operatorClient({ listenHost, port, tokenPath, caPath, signal }: OperatorAccess): OperatorClient {
  const host = LOOPBACK_OF[listenHost] ?? listenHost;
  const url = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const token = readText(tokenPath);
  const ca = readText(caPath);
  const send = (method: string, path: string, body?: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = {
        authorization: `Bearer ${token}`,
        ...(text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
      };
      const options = { method, ca, headers, signal, agent: false as const, servername: CERTIFIED_NAME };
      const call = request(new URL(path, url), options, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > ANSWER_BYTES_MAX) call.destroy(new Error("the answer is too long"));
          chunks.push(chunk);
        });
        response.on("end", () => {
          try {
            resolve(answerOf(response.statusCode ?? 0, Buffer.concat(chunks).toString("utf8")));
          } catch (error) {
            reject(error);
          }
        });
      });
      call.on("error", (error) =>
        reject(new Fault("uplink.down", `the hub at ${url} cannot be reached: ${reasonOf(error)}; start it first`)),
      );
      call.end(text);
    });
  return { get: (path) => send("GET", path), post: (path, body) => send("POST", path, body) };
}

function answerOf(status: number, text: string): unknown {
  const body: unknown = JSON.parse(text);
  if (status >= 200 && status < 300) return body;
  const message = typeof body === "object" && body !== null && "message" in body ? String(body.message) : text;
  throw new Fault("uplink.refused", `the hub says no (${status}): ${message}`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new Fault("uplink.down", `${path}: ${reasonOf(error)}; start the hub first, and run this as its user`);
  }
}
