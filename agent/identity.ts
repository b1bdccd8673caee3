/** Who this terminal is: what enrolment gave it, in one file that nobody else may read. */

import { createPrivateKey, createSecretKey, type KeyObject, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { fromBase64 } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { TerminalId } from "../base/ids.ts";
import { requirePrivate, writePrivateFile } from "../base/private-file.ts";
import { Base64Schema, TerminalIdSchema, TimeSchema } from "../wire/common.ts";
import { firstIssue, parseJson, readPrivateKey, readPublicKey } from "../wire/signing.ts";
import { type IssuedCertificate, type TerminalLogin, TerminalLoginSchema } from "../wire/terminal.ts";

/** A P-256 key as base64 of its PKCS #8, and what the hub certified of it. */
const TlsFileSchema = z.strictObject({
  privateKey: Base64Schema,
  certificate: z.string().includes("BEGIN CERTIFICATE").max(8_192),
  renewAfter: TimeSchema,
  login: TerminalLoginSchema.optional(),
});

/** The file's content: keys as base64 of their DER, or of their bytes. */
export const IdentityFileSchema = z.strictObject({
  v: z.literal(1),
  terminalId: TerminalIdSchema,
  /** Of an enrolment by an earlier version: good for the first certificate alone, and gone with it. */
  bearer: z.string().min(32).max(128).optional(),
  tls: TlsFileSchema.optional(),
  /** Stored before the hub is asked to certify it, so that the answer to a question asked before a crash still fits. */
  nextTlsKey: Base64Schema.optional(),
  caCertificate: z.string().includes("BEGIN CERTIFICATE").max(8_192),
  mqttUrl: z.url({ protocol: /^mqtts$/ }),
  httpsUrl: z.url({ protocol: /^https$/ }),
  hubSigningKey: Base64Schema,
  sealingKey: z.strictObject({ keyId: z.string().min(1).max(64), publicKey: Base64Schema }),
  cardTokenKey: Base64Schema,
  signingPrivateKey: Base64Schema,
});
export type IdentityFile = z.infer<typeof IdentityFileSchema>;

export interface TlsIdentity {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  /** When the hub wants to be asked for the next one, and when this one ends. */
  readonly renewAfter: number;
  readonly endsAt: number;
  /** What MQTT wants beside it. */
  readonly login?: TerminalLogin;
}

export interface Identity {
  readonly terminalId: TerminalId;
  /** What the terminal shows of itself in TLS; absent after an enrolment by an earlier version. */
  readonly tls?: TlsIdentity;
  /** PEM of the hub's authority, the only one believed. */
  readonly caCertificate: string;
  readonly mqttUrl: string;
  readonly httpsUrl: string;
  /** Checks leases and hub time. */
  readonly hubSigningKey: KeyObject;
  /** X25519: the hub's HPKE key on the day of enrolment; leases bring newer ones. */
  readonly sealingKey: { readonly keyId: string; readonly publicKey: KeyObject };
  /** 32 bytes: keys the tokens of cards. */
  readonly cardTokenKey: KeyObject;
  /** Ed25519, this terminal's own: signs batches. */
  readonly signingKey: KeyObject;
}

const CARD_TOKEN_KEY_BYTES = 32;

export const identityPath = (dataDir: string): string => join(dataDir, "identity.json");
export const isEnrolled = (dataDir: string): boolean => existsSync(identityPath(dataDir));

/**
 * Throws Fault `identity.missing` before enrolment, `identity.invalid` for a file that others can read, that this user
 * cannot, or that is damaged, `store.failed` when the disk does not give it.
 */
export function loadIdentity(dataDir: string): Identity {
  const path = identityPath(dataDir);
  if (!existsSync(path)) {
    throw new Fault("identity.missing", `not enrolled: run tillway agent enrol CLAIM (there is no ${path})`);
  }
  requirePrivate(path, "this terminal's keys");
  return readIdentity(readText(path), path);
}

/** The file as it is now, for whoever writes it anew with a change. Throws Fault `identity.invalid`, `store.failed`. */
export function loadIdentityFile(dataDir: string): IdentityFile {
  const path = identityPath(dataDir);
  const text = readText(path);
  readIdentity(text, path);
  return IdentityFileSchema.parse(parseJson(text));
}

/** For a file that the user of the agent's folder cannot read, since it is another's. */
export const ownerMend = (path: string): string => `run: chown --reference=${dirname(path)} ${path}`;

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EACCES") {
      throw new Fault("identity.invalid", `${path} cannot be read by this user; as root ${ownerMend(path)}`);
    }
    throw new Fault("store.failed", `cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Checks a file's text. Names the field that is wrong, never its content. */
export function readIdentity(text: string, path: string): Identity {
  const wrong = (why: string) =>
    new Fault("identity.invalid", `${path} is damaged (${why}); restore it from a backup or enrol again with --force`);
  try {
    const parsed = IdentityFileSchema.safeParse(parseJson(text));
    if (!parsed.success) throw wrong(firstIssue(parsed.error));
    const file = parsed.data;
    const cardTokenKey = fromBase64(file.cardTokenKey);
    if (cardTokenKey.length !== CARD_TOKEN_KEY_BYTES) throw wrong(`cardTokenKey: not ${CARD_TOKEN_KEY_BYTES} bytes`);
    return {
      terminalId: file.terminalId,
      ...(file.tls && { tls: tlsOf(file.tls) }),
      caCertificate: file.caCertificate,
      mqttUrl: file.mqttUrl,
      httpsUrl: file.httpsUrl,
      hubSigningKey: keyOf("hubSigningKey", "ed25519", () => readPublicKey(file.hubSigningKey)),
      sealingKey: {
        keyId: file.sealingKey.keyId,
        publicKey: keyOf("sealingKey", "x25519", () => readPublicKey(file.sealingKey.publicKey)),
      },
      cardTokenKey: createSecretKey(cardTokenKey),
      signingKey: keyOf("signingPrivateKey", "ed25519", () => readPrivateKey(file.signingPrivateKey)),
    };
  } catch (error) {
    throw error instanceof Fault && error.code === "identity.invalid" ? error : wrong(reasonOf(error));
  }
}

/** What the file keeps of a certificate for this key. */
export const tlsFileOf = (privateKey: string, { pem, ...given }: IssuedCertificate) => ({
  privateKey,
  certificate: pem,
  ...given,
});

function tlsOf({ privateKey, certificate, renewAfter, login }: z.infer<typeof TlsFileSchema>): TlsIdentity {
  const key = createPrivateKey({ key: Buffer.from(privateKey, "base64"), format: "der", type: "pkcs8" });
  const read = new X509Certificate(certificate);
  if (!read.checkPrivateKey(key)) throw new Fault("codec.invalid", "tls: its certificate is for another key");
  return {
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
    certificate,
    renewAfter: Date.parse(renewAfter),
    endsAt: Date.parse(read.validTo),
    ...(login && { login }),
  };
}

function keyOf(field: string, type: "ed25519" | "x25519", read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    throw new Fault("codec.invalid", `${field}: not a key`);
  }
  if (key.asymmetricKeyType === type) return key;
  throw new Fault("codec.invalid", `${field}: not an ${type} key`);
}

/** Writes the file whole or not at all, durable when it returns. Throws Fault `store.failed`. */
export function storeIdentity(dataDir: string, file: IdentityFile): void {
  writePrivateFile(identityPath(dataDir), `${JSON.stringify(file, undefined, 2)}\n`);
}
