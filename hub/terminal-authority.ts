/**
 * The hub's authority towards terminals: turns a certificate request into a certificate that names its terminal, and tells
 * of a certificate that is shown whether it is one of these. Whether it still counts is for core/terminals to say.
 */
import "reflect-metadata";
import { hash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  X509Certificate as X509CertificateValue,
} from "@peculiar/x509";
import { fromBase64, toHex } from "../base/bytes.ts";
import { Fault } from "../base/fault.ts";
import { ID_PATTERN, type RandomBytes, type TerminalId } from "../base/ids.ts";
import { fail, ok, type Result } from "../base/result.ts";
import type { TerminalCertificate } from "./core/terminals/index.ts";
import { ALGORITHM, CA_FILE, keyPart, NOT_BEFORE } from "./tls.ts";

/** Why a certificate that was shown is none of this hub's for a terminal. */
export type ProofRefusal = "missing" | "authority" | "form";

export interface TerminalAuthority {
  /** The refusal says in words what is wrong with the request. */
  issue(request: CertificateRequest): Promise<Result<TerminalCertificate, string>>;
  /** Looks at chain and form alone: neither at the time nor at what has been revoked. */
  prove(shown: X509Certificate | undefined): Result<TerminalCertificate, ProofRefusal>;
}

export interface CertificateRequest {
  readonly terminalId: TerminalId;
  /** Base64 of the DER of a PKCS #10 request over a P-256 key, signed by that key. Its names are not looked at. */
  readonly csr: string;
  readonly now: number;
}

export interface AuthorityOptions {
  /** Where `loadHubTls` keeps the authority. */
  readonly folder: string;
  /** How long a terminal's certificate is good. */
  readonly days: number;
  readonly random: RandomBytes;
}

const DAY_MS = 86_400_000;
const URI_PREFIX = "urn:tillway:terminal:";
/** A serial number is the time of issue, then chance: after a restore the hub still knows which of two is newer. */
const TIME_HEX_DIGITS = 12;
const CHANCE_BYTES = 10;
const SERIAL_HEX_DIGITS = TIME_HEX_DIGITS + 2 * CHANCE_BYTES;
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

export async function openTerminalAuthority({ folder, days, random }: AuthorityOptions): Promise<TerminalAuthority> {
  const text = readFileSync(join(folder, CA_FILE), "utf8");
  const ca = new X509Certificate(text.slice(text.indexOf("-----BEGIN CERTIFICATE")));
  const pkcs8 = Buffer.from(keyPart(text).replace(/-----[^-]+-----|\s/g, ""), "base64");
  const signingKey = await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, false, ["sign"]);
  const issuer = new X509CertificateValue(ca.raw);
  const byAuthority = await AuthorityKeyIdentifierExtension.create(issuer);
  return {
    prove: (shown) => prove(shown, ca),
    async issue({ terminalId, csr, now }) {
      const publicKey = await requestedKey(csr);
      if (!publicKey.ok) return publicKey;
      const made = await X509CertificateGenerator.create({
        serialNumber: `00${now.toString(16).padStart(TIME_HEX_DIGITS, "0")}${toHex(random(CHANCE_BYTES))}`,
        subject: [{ CN: [terminalId] }],
        issuer: issuer.subject,
        notBefore: NOT_BEFORE,
        notAfter: new Date(now + days * DAY_MS),
        publicKey: publicKey.value,
        signingKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth], true),
          new SubjectAlternativeNameExtension([{ type: "url", value: URI_PREFIX + terminalId }]),
          await SubjectKeyIdentifierExtension.create(publicKey.value),
          byAuthority,
        ],
      });
      const proven = prove(new X509Certificate(Buffer.from(made.rawData)), ca);
      if (!proven.ok) throw new Fault("identity.invalid", `a certificate was made that is none: ${proven.error}`);
      return proven;
    },
  };
}

async function requestedKey(csr: string): Promise<Result<CryptoKey, string>> {
  try {
    const request = new Pkcs10CertificateRequest(fromBase64(csr));
    const publicKey = await request.publicKey.export(ALGORITHM, ["verify"]);
    // Signed by the key that it is for: nobody gets a certificate for a key that he does not hold.
    return (await request.verify()) ? ok(publicKey) : fail("csr: its signature is not by its own key");
  } catch {
    return fail("csr: not a PKCS #10 request over a P-256 key");
  }
}

function prove(shown: X509Certificate | undefined, ca: X509Certificate): Result<TerminalCertificate, ProofRefusal> {
  if (!shown) return fail("missing");
  if (!shown.checkIssued(ca) || !shown.verify(ca.publicKey)) return fail("authority");
  const terminalId = /^URI:urn:tillway:terminal:([\w.-]+)$/.exec(shown.subjectAltName ?? "")?.[1];
  if (terminalId === undefined || !ID_PATTERN.test(terminalId)) return fail("form");
  if (shown.ca || !shown.keyUsage?.includes(CLIENT_AUTH)) return fail("form");
  const serial = shown.serialNumber.toLowerCase().padStart(SERIAL_HEX_DIGITS, "0");
  return ok({
    terminalId: terminalId as TerminalId,
    serial,
    fingerprint: hash("sha256", shown.raw, "hex"),
    keyDigest: hash("sha256", shown.publicKey.export({ type: "spki", format: "der" }), "hex"),
    pem: shown.toString(),
    issuedAt: Number.parseInt(serial.slice(0, TIME_HEX_DIGITS), 16),
    endsAt: Date.parse(shown.validTo),
  });
}
