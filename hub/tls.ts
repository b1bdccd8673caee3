/**
 * The hub's own certificate authority and server certificate. A claim carries the fingerprint of the authority, so the
 * first trust of a terminal is not blind.
 */
import "reflect-metadata";
import { hash, KeyObject, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  X509Certificate as X509CertificateValue,
} from "@peculiar/x509";
import { toHex } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { RandomBytes } from "../base/ids.ts";
import { syncFolder } from "../base/sqlite.ts";

export interface HubTls {
  /** PEM. */
  readonly key: string;
  /** PEM: the server's certificate, then the authority's, which the terminal compares with the claim's fingerprint. */
  readonly chain: string;
  /** PEM of the authority alone. */
  readonly caCertificate: string;
  /** SHA-256 of the authority's DER, in hex. */
  readonly caFingerprint: string;
}

export interface TlsOptions {
  readonly folder: string;
  /** Names and addresses that the server's certificate is for, beside localhost and 127.0.0.1. */
  readonly names: readonly string[];
  readonly now: number;
  readonly random: RandomBytes;
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3_653;
const SERVER_DAYS = 397;
/** With less than this left a server's certificate is made anew. */
export const RENEW_BELOW_MS = 30 * DAY_MS;
const SERIAL_BYTES = 16;
export const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** Key and certificate of the authority, in the folder of `loadHubTls`. */
export const CA_FILE = "ca.pem";
/** A terminal whose clock was lost at boot must still reach the hub to be told the time, so nothing starts later than this. */
export const NOT_BEFORE = new Date(Date.UTC(1970, 0, 2));

interface Pair {
  /** PEM of key and certificate in one file, so that no crash parts them. */
  readonly text: string;
  readonly certificate: X509Certificate;
}

/** Reads authority and certificate, or makes what is missing, ends soon, or lacks a name. */
export async function loadHubTls(options: TlsOptions): Promise<HubTls> {
  const { folder, now } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const names = [...new Set(["localhost", "127.0.0.1", ...options.names])];
  const ca = readPair(join(folder, CA_FILE)) ?? (await makeAuthority(options));
  const kept = readPair(join(folder, "server.pem"));
  const server =
    kept && serves(kept.certificate, { ca: ca.certificate, names, now }) ? kept : await makeServer(options, ca, names);
  const caCertificate = ca.certificate.toString();
  writeFileSync(join(folder, "ca-certificate.pem"), caCertificate, { mode: 0o644 });
  return {
    key: keyPart(server.text),
    chain: server.certificate.toString() + caCertificate,
    caCertificate,
    caFingerprint: hash("sha256", ca.certificate.raw, "hex"),
  };
}

/** The private key in such a file. */
export const keyPart = (text: string): string =>
  /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/.exec(text)?.[0] ?? "";

function readPair(path: string): Pair | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const text = readFileSync(path, "utf8");
    return { text, certificate: new X509Certificate(text.slice(text.indexOf("-----BEGIN CERTIFICATE"))) };
  } catch (error) {
    throw new Fault(
      "identity.invalid",
      `${path}: ${reasonOf(error)}; restore it, or remove it and enrol the terminals again`,
    );
  }
}

function storePair(path: string, text: string): Pair {
  writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
  syncFolder(join(path, ".."));
  return { text, certificate: new X509Certificate(text.slice(text.indexOf("-----BEGIN CERTIFICATE"))) };
}

interface Wanted {
  readonly ca: X509Certificate;
  readonly names: readonly string[];
  readonly now: number;
}

function serves(certificate: X509Certificate, { ca, names, now }: Wanted): boolean {
  if (!certificate.checkIssued(ca)) return false;
  if (Date.parse(certificate.validTo) - now < RENEW_BELOW_MS) return false;
  return names.every((name) =>
    isIP(name) === 0 ? certificate.checkHost(name) !== undefined : certificate.checkIP(name) !== undefined,
  );
}

const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
const keyText = (key: CryptoKey): string => KeyObject.from(key).export({ type: "pkcs8", format: "pem" }).toString();
/** A positive number, as X.509 wants it. */
const newSerial = (random: RandomBytes): string => `00${toHex(random(SERIAL_BYTES))}`;

async function makeAuthority({ folder, now, random }: TlsOptions): Promise<Pair> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(random),
    name: "CN=Tillway hub authority",
    notBefore: NOT_BEFORE,
    notAfter: new Date(now + CA_DAYS * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return storePair(join(folder, CA_FILE), `${keyText(keys.privateKey)}${certificate.toString("pem")}\n`);
}

async function makeServer({ folder, now, random }: TlsOptions, ca: Pair, names: readonly string[]): Promise<Pair> {
  const keys = await newKeys();
  const pkcs8 = Buffer.from(keyPart(ca.text).replace(/-----[^-]+-----|\s/g, ""), "base64");
  const signingKey = await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, false, ["sign"]);
  const authority = new X509CertificateValue(ca.certificate.raw);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerial(random),
    subject: "CN=Tillway hub",
    issuer: authority.subject,
    notBefore: NOT_BEFORE,
    notAfter: new Date(now + SERVER_DAYS * DAY_MS),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
      ),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(authority),
    ],
  });
  return storePair(join(folder, "server.pem"), `${keyText(keys.privateKey)}${certificate.toString("pem")}\n`);
}
