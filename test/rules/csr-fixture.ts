/** Certificate requests over keys of either kind, made without the agent's own code. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";

/** Base64 of its DER. */
export async function newCsr(commonName: string, namedCurve: "P-256" | "P-384" = "P-256"): Promise<string> {
  const algorithm = { name: "ECDSA", namedCurve, hash: "SHA-256" };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const made = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [commonName] }],
    keys,
    signingAlgorithm: algorithm,
  });
  return Buffer.from(made.rawData).toString("base64");
}
