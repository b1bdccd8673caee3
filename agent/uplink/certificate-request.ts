/**
 * Keys for TLS and the requests that have them certified. Loaded only where one is made, at enrolment and for a renewal, as
 * the packages for it are large beside an agent.
 */
import "reflect-metadata";
import { generateKeyPairSync } from "node:crypto";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";
import { fromBase64, toBase64 } from "../../base/bytes.ts";
import type { TerminalId } from "../../base/ids.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A new P-256 key: its PKCS #8 as base64. */
export function newTlsKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return toBase64(privateKey.export({ type: "pkcs8", format: "der" }));
}

/** Base64 of the DER of a PKCS #10 request. The hub knows by other means whose it is; the name is for people. */
export async function certificateRequest(key: string, terminalId: TerminalId): Promise<string> {
  const privateKey = await crypto.subtle.importKey("pkcs8", fromBase64(key), ALGORITHM, true, ["sign"]);
  const { d: _, key_ops: __, ...publicJwk } = await crypto.subtle.exportKey("jwk", privateKey);
  const publicKey = await crypto.subtle.importKey("jwk", publicJwk, ALGORITHM, true, ["verify"]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [terminalId] }],
    keys: { privateKey, publicKey },
    signingAlgorithm: ALGORITHM,
  });
  return toBase64(new Uint8Array(request.rawData));
}
