/**
 * Enrolment by a one-time claim. The claim carries the fingerprint of the hub's authority, so that even the first trust is
 * not blind: who is at the other end is proven before a byte of the secret is sent.
 */
import { createHash, X509Certificate } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import type { DetailedPeerCertificate } from "node:tls";
import { type Clock, deadline } from "../../base/clock.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import { takeLock } from "../../base/lock-file.ts";
import { firstIssue, newSigningKeys, parseJson, privateKeyText, publicKeyText } from "../../wire/signing.ts";
import {
  type Claim,
  type EnrolRequest,
  type EnrolResponse,
  EnrolResponseSchema,
  readClaim,
} from "../../wire/terminal.ts";
import { ENROL_PATH } from "../../wire/topics.ts";
import { identityPath, isEnrolled, readIdentity, storeIdentity, tlsFileOf } from "../identity.ts";
import { HTTPS_PORT, postToHub, wordsOf } from "./hub-post.ts";
import { connectFault, connectTls, targetOf } from "./tls-connect.ts";

/** For each of the two connections. */
const CONNECTION_LIMIT_MS = 10_000;
const CHAIN_LENGTH_MAX = 4;

export interface EnrolOptions {
  readonly claimText: string;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Replaces an identity that is there already; what its journal still holds the hub then takes only by import. */
  readonly force?: boolean;
}

export interface Enrolled {
  readonly terminalId: string;
  readonly mqttUrl: string;
  readonly httpsUrl: string;
  /** The file that holds the identity. */
  readonly path: string;
  /** A journal lies there that the identity before this one signed: it must be adopted before the agent starts again. */
  readonly mustAdopt: boolean;
}

/** Throws Fault `identity.invalid`, `lock.held`, `uplink.refused`, `uplink.down`, `uplink.timeout` or `store.failed`, each with what to do. */
export async function enrol(options: EnrolOptions): Promise<Enrolled> {
  const { dataDir, clock, signal } = options;
  const claim = claimOf(options.claimText.trim());
  const path = identityPath(dataDir);
  const replaced = isEnrolled(dataDir);
  if (replaced && options.force !== true) {
    throw new Fault("identity.invalid", `this terminal is enrolled already (${path}); add --force to replace it`);
  }
  prepareFolder(dataDir);
  // A running agent would sell on with a key that the hub has closed.
  using _lock = replaced ? takeLock({ folder: dataDir, what: "agent" }) : undefined;
  const authority = await proveHub(claim, clock, signal);
  const keys = newSigningKeys();
  const { newTlsKey, certificateRequest } = await import("./certificate-request.ts");
  const tlsKey = newTlsKey();
  const csr = await certificateRequest(tlsKey, claim.terminalId);
  const body = { claimId: claim.claimId, secret: claim.secret, signingKey: publicKeyText(keys.publicKey), csr };
  const answer = await redeem(claim, authority, { body, clock, signal });
  checkAnswer(claim, answer);
  const { certificate, ...given } = answer;
  const tls = tlsFileOf(tlsKey, certificate);
  const file = { v: 1 as const, ...given, tls, signingPrivateKey: privateKeyText(keys.privateKey) };
  readIdentity(JSON.stringify(file), `the identity that the hub at ${claim.hub} gave`);
  storeIdentity(dataDir, file);
  const mustAdopt = replaced && existsSync(join(dataDir, "journal.db"));
  return { terminalId: answer.terminalId, mqttUrl: answer.mqttUrl, httpsUrl: answer.httpsUrl, path, mustAdopt };
}

function claimOf(text: string): Claim {
  const claim = readClaim(text);
  if (!claim) {
    throw new Fault("identity.invalid", "this is no claim: copy the whole line that begins with tw1. from the hub");
  }
  if (new URL(claim.hub).protocol !== "https:") {
    throw new Fault("identity.invalid", `the claim names ${claim.hub}, which is not https; ask for another claim`);
  }
  return claim;
}

/** Before the claim is used up it must be certain that its fruit can be stored. */
function prepareFolder(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    accessSync(dataDir, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Fault("config.invalid", `cannot write into ${dataDir}: ${reasonOf(error)}; mend its owner or its mode`, {
      cause: error,
    });
  }
}

/** Looks at the chain that the hub shows, and returns its authority's certificate if it is the claim's. Sends nothing. */
async function proveHub(claim: Claim, clock: Clock, signal: AbortSignal): Promise<X509Certificate> {
  const target = targetOf(claim.hub, HTTPS_PORT);
  using limit = deadline(clock, CONNECTION_LIMIT_MS, signal);
  const socket = await connectTls({ ...target, signal: limit.signal }).catch((error: unknown) => {
    if (!signal.aborted && isFault(error, "transport.timeout")) throw connectFault(target, error);
    throw error;
  });
  const chain = certificatesOf(socket.getPeerCertificate(true));
  socket.destroy();
  const [leaf] = chain;
  const authority = chain.find((certificate) => fingerprintOf(certificate) === claim.caFingerprint);
  if (!leaf || !authority?.ca || !authority.verify(authority.publicKey)) {
    throw new Fault(
      "identity.invalid",
      `the hub at ${claim.hub} shows another authority than the claim names: do not enrol; somebody may sit in between, or the hub was set up anew: ask its operator for a new claim`,
    );
  }
  if (
    leaf.fingerprint256 === authority.fingerprint256 ||
    !leaf.checkIssued(authority) ||
    !leaf.verify(authority.publicKey)
  ) {
    throw new Fault(
      "identity.invalid",
      `the hub at ${claim.hub} shows the authority of the claim, but a certificate that this authority did not issue: do not enrol; tell the hub's operator`,
    );
  }
  const named = isIP(target.host) ? leaf.checkIP(target.host) : leaf.checkHost(target.host);
  if (named !== undefined) return authority;
  throw new Fault(
    "identity.invalid",
    `the certificate of the hub at ${claim.hub} is not for ${target.host} (it is for ${leaf.subjectAltName ?? "no name"}): let the hub's operator issue it for this name`,
  );
}

function certificatesOf(shown: DetailedPeerCertificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let one: DetailedPeerCertificate | undefined = shown;
  while (one?.raw && chain.length < CHAIN_LENGTH_MAX) {
    chain.push(new X509Certificate(one.raw));
    // A self-signed certificate names itself as its issuer.
    one = one.issuerCertificate === one ? undefined : one.issuerCertificate;
  }
  return chain;
}

const fingerprintOf = (certificate: X509Certificate): string =>
  createHash("sha256").update(certificate.raw).digest("hex");

interface Redemption {
  readonly body: EnrolRequest;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Sends the secret over a connection that is verified in full against the proven authority. */
async function redeem(
  claim: Claim,
  authority: X509Certificate,
  { body, clock, signal }: Redemption,
): Promise<EnrolResponse> {
  using limit = deadline(clock, CONNECTION_LIMIT_MS, signal);
  const { status, text } = await postToHub(new URL(ENROL_PATH, claim.hub), {
    body,
    ca: authority.toString(),
    tooLate: "the claim may be used up: ask for a new one",
    signal: limit.signal,
  });
  if (status >= 500) {
    throw new Fault(
      "uplink.timeout",
      `the hub at ${claim.hub} failed (HTTP ${status}); try again, then ask its operator`,
    );
  }
  if (status < 200 || status > 299) {
    throw new Fault(
      "uplink.refused",
      `the hub at ${claim.hub} refused the claim (HTTP ${status}${wordsOf(text)}): a claim works once and for a limited time; ask its operator for a new one`,
    );
  }
  const parsed = EnrolResponseSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new Fault(
    "message.invalid",
    `the hub at ${claim.hub} answered in an unknown form (${firstIssue(parsed.error)}); compare the versions, then ask for a new claim`,
  );
}

function checkAnswer(claim: Claim, answer: EnrolResponse): void {
  if (answer.terminalId !== claim.terminalId) {
    throw new Fault(
      "identity.invalid",
      `the hub enrolled "${answer.terminalId}", the claim is for "${claim.terminalId}"`,
    );
  }
  let fingerprint: string | undefined;
  try {
    fingerprint = fingerprintOf(new X509Certificate(answer.caCertificate));
  } catch {
    // Not a certificate: no fingerprint, and the refusal below.
  }
  if (fingerprint === claim.caFingerprint) return;
  throw new Fault(
    "identity.invalid",
    `the hub at ${claim.hub} names another authority in its answer than the claim does`,
  );
}
