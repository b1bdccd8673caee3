/** Keys for a simulation: the same from the same chance, so that every signature of a run is the same in every run. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { concat, fromHex } from "../../base/bytes.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { SigningKeys } from "../../wire/signing.ts";

/** DER before the 32 bytes of a private key (RFC 8410). */
const PKCS8 = {
  ed25519: fromHex("302e020100300506032b657004220420"),
  x25519: fromHex("302e020100300506032b656e04220420"),
} as const;
const KEY_BYTES = 32;

function privateKey(kind: keyof typeof PKCS8, random: RandomBytes): KeyObject {
  return createPrivateKey({ key: Buffer.from(concat(PKCS8[kind], random(KEY_BYTES))), format: "der", type: "pkcs8" });
}

export function signingKeys(random: RandomBytes): SigningKeys {
  const key = privateKey("ed25519", random);
  return { privateKey: key, publicKey: createPublicKey(key) };
}

export const sealingKey = (random: RandomBytes): KeyObject => privateKey("x25519", random);
