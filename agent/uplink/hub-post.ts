/** One POST to the hub over a connection of its own, verified in full against its authority: for what no uplink carries. */
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { z } from "zod";
import { abortFault } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { parseJson } from "../../wire/signing.ts";
import type { TlsIdentity } from "../identity.ts";
import { connectFault, targetOf } from "./tls-connect.ts";

export const HTTPS_PORT = 443;
const ANSWER_BYTES_MAX = 65_536;

export interface HubPost {
  readonly body: unknown;
  /** PEM of the only authority believed. */
  readonly ca: string;
  readonly tls?: Pick<TlsIdentity, "key" | "certificate"> | undefined;
  readonly bearer?: string | undefined;
  /** What to say when the signal ends it. */
  readonly tooLate: string;
  readonly signal: AbortSignal;
}

export interface HubAnswer {
  readonly status: number;
  readonly text: string;
}

/** Throws Fault `uplink.down`, or `uplink.timeout` when the signal ends it. */
export function postToHub(url: URL, { body, ca, tls, bearer, tooLate, signal }: HubPost): Promise<HubAnswer> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortFault(signal));
    const request = httpsRequest(url, {
      method: "POST",
      agent: false,
      ca,
      ...(tls && { key: tls.key, cert: tls.certificate }),
      headers: {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
      },
    });
    const onAbort = () => {
      request.destroy();
      reject(new Fault("uplink.timeout", `no answer from ${url.origin}; ${tooLate}`));
    };
    const fail = (error: unknown) => {
      signal.removeEventListener("abort", onAbort);
      reject(connectFault(targetOf(url.href, HTTPS_PORT), error));
    };
    request.on("error", fail);
    request.once("response", (response) => {
      collect(response).then((answer) => {
        signal.removeEventListener("abort", onAbort);
        resolve(answer);
      }, fail);
    });
    signal.addEventListener("abort", onAbort, { once: true });
    request.end(text);
  });
}

async function collect(response: IncomingMessage): Promise<HubAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > ANSWER_BYTES_MAX) throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(bytes);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") };
}

/** The code of a refusal, if it has one: `E_EXPIRED` of one that is for all but advices. */
export function codeOf(text: string): string | undefined {
  return refusalOf(text)?.code;
}

const RefusalSchema = z.object({
  code: z.string().max(40).optional(),
  message: z.string().max(200).optional(),
  detail: z.string().max(200).optional(),
});

/** The hub's own words for a refusal, if it gave any. */
export function wordsOf(text: string): string {
  const refusal = refusalOf(text);
  const words = refusal?.detail ?? refusal?.message;
  return words === undefined ? "" : `, "${words.replace(/[^\x20-\x7e]/g, "?")}"`;
}

function refusalOf(text: string): z.infer<typeof RefusalSchema> | undefined {
  try {
    return RefusalSchema.safeParse(parseJson(text)).data;
  } catch {
    return undefined;
  }
}
