/** How a phone reaches its hub: HTTPS with the one authority that its claim named. */
import { createHash, X509Certificate } from "node:crypto";
import { request } from "node:https";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { z } from "zod";
import { type Clock, deadline } from "../../base/clock.ts";
import { Fault, reasonOf } from "../../base/fault.ts";
import {
  type PhoneEnrolRequest,
  type PhoneEnrolResponse,
  PhoneEnrolResponseSchema,
  readPhoneClaim,
} from "../../wire/phone.ts";
import { firstIssue, parseJson, type Signed } from "../../wire/signing.ts";
import { PHONE_ENROL_PATH, PHONE_PATH } from "../../wire/topics.ts";

/** From the connection to the last byte of the answer. */
const ANSWER_WITHIN_MS = 10_000;
const ANSWER_BYTES_MAX = 262_144;
const CHAIN_LENGTH_MAX = 4;
const HTTPS_PORT = 443;

export interface HubDoor {
  readonly httpsUrl: string;
  /** PEM. */
  readonly caCertificate: string;
  readonly clock: Clock;
}

/** Throws Fault `uplink.down` without an answer, `uplink.refused` with the hub's reason. */
export const say = (door: HubDoor, signed: Signed): Promise<unknown> => post(door, PHONE_PATH, signed);

/**
 * Redeems the claim. The secret leaves over a connection that is verified in full against the claim's authority. Throws
 * Fault `identity.invalid` for another authority or no claim, and as `say`.
 */
export async function enrol(claimText: string, publicKey: string, clock: Clock): Promise<PhoneEnrolResponse> {
  const claim = readPhoneClaim(claimText.trim());
  if (!claim) throw new Fault("identity.invalid", "this is no claim: copy the whole line that begins with tp1.");
  const caCertificate = await authorityOf(claim.hub, claim.caFingerprint);
  const { claimId, secret } = claim;
  const body: PhoneEnrolRequest = { claimId, secret, publicKey };
  const parsed = PhoneEnrolResponseSchema.safeParse(
    await post({ httpsUrl: claim.hub, caCertificate, clock }, PHONE_ENROL_PATH, body),
  );
  if (!parsed.success) throw new Fault("message.invalid", `the hub's answer: ${firstIssue(parsed.error)}`);
  // What was proven by the claim's fingerprint stays what is believed, whatever the answer says.
  return { ...parsed.data, caCertificate };
}

/** Looks at what the hub shows and sends nothing: the certificate with this fingerprint, or a refusal. */
function authorityOf(url: string, fingerprint: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: port === "" ? HTTPS_PORT : Number(port), rejectUnauthorized: false });
    socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy(new Error("no answer")));
    socket.once("error", (error) => reject(unreachable(url, error)));
    socket.once("secureConnect", () => {
      const found = chainOf(socket.getPeerCertificate(true)).find(
        ({ raw }) => createHash("sha256").update(raw).digest("hex") === fingerprint,
      );
      socket.destroy();
      if (found) return resolve(found.toString());
      reject(
        new Fault("identity.invalid", `the hub at ${url} shows another authority than the claim names; do not enrol`),
      );
    });
  });
}

function chainOf(shown: DetailedPeerCertificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let one: DetailedPeerCertificate | undefined = shown;
  while (one?.raw && chain.length < CHAIN_LENGTH_MAX) {
    chain.push(new X509Certificate(one.raw));
    // A self-signed certificate names itself as its issuer.
    one = one.issuerCertificate === one ? undefined : one.issuerCertificate;
  }
  return chain;
}

async function post(door: HubDoor, path: string, body: unknown): Promise<unknown> {
  using limit = deadline(door.clock, ANSWER_WITHIN_MS);
  return await exchange(door, path, { text: JSON.stringify(body), signal: limit.signal });
}

interface Exchange {
  readonly text: string;
  readonly signal: AbortSignal;
}

function exchange({ httpsUrl, caCertificate }: HubDoor, path: string, { text, signal }: Exchange): Promise<unknown> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const options = { method: "POST", agent: false as const, ca: caCertificate, headers, signal };
    const call = request(new URL(path, httpsUrl), options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("error", (error) => reject(unreachable(httpsUrl, error)));
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
    call.on("error", (error) => reject(unreachable(httpsUrl, signal.aborted ? signal.reason : error)));
    call.end(text);
  });
}

const RefusalSchema = z.object({ code: z.string().max(32), message: z.string().max(400) });

function answerOf(status: number, text: string): unknown {
  if (status >= 500) throw new Fault("uplink.down", `the hub failed (HTTP ${status}); try again`);
  const json = parseJson(text);
  if (status >= 200 && status < 300) return json;
  const { data } = RefusalSchema.safeParse(json);
  throw new Fault("uplink.refused", `the hub says no: ${data ? `${data.code}: ${data.message}` : `HTTP ${status}`}`);
}

const unreachable = (url: string, error: unknown): Fault =>
  new Fault("uplink.down", `the hub at ${url} cannot be reached: ${reasonOf(error)}`, { cause: error });
