/** The hub's own keys: what it signs with, what cards are sealed to, and what its card tokens are keyed with. */
import { createPublicKey, generateKeyPairSync, hash, type KeyObject } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromBase64, toBase64 } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { RandomBytes } from "../base/ids.ts";
import { syncFolder } from "../base/sqlite.ts";
import { newSigningKeys, privateKeyText, publicKeyText, readPrivateKey, type SigningKeys } from "../wire/signing.ts";

export interface SealingKeys {
  readonly keyId: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface HubKeys {
  readonly signing: SigningKeys;
  readonly sealing: SealingKeys;
  /** 32 bytes. */
  readonly tokenKey: Uint8Array;
}

const TOKEN_KEY_BYTES = 32;
const KEY_ID_LENGTH = 16;

const sealingKeys = (privateKey: KeyObject): SealingKeys => {
  const publicKey = createPublicKey(privateKey);
  return { keyId: hash("sha256", publicKeyText(publicKey), "hex").slice(0, KEY_ID_LENGTH), publicKey, privateKey };
};

/** Fresh keys in memory. */
export const newHubKeys = (random: RandomBytes): HubKeys => ({
  signing: newSigningKeys(),
  sealing: sealingKeys(generateKeyPairSync("x25519").privateKey),
  tokenKey: random(TOKEN_KEY_BYTES),
});

/** Reads the keys under `folder`, or makes them at the first start; files are readable by their owner alone. */
export function loadHubKeys(folder: string, random: RandomBytes): HubKeys {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const signing = readPrivateKey(keyFile(folder, "signing.key", () => privateKeyText(newSigningKeys().privateKey)));
  const sealing = readPrivateKey(
    keyFile(folder, "sealing.key", () => privateKeyText(generateKeyPairSync("x25519").privateKey)),
  );
  const tokenKey = fromBase64(keyFile(folder, "token.key", () => toBase64(random(TOKEN_KEY_BYTES))));
  return {
    signing: { privateKey: signing, publicKey: createPublicKey(signing) },
    sealing: sealingKeys(sealing),
    tokenKey,
  };
}

/** The file's text, written first where it is missing. */
export function keyFile(folder: string, name: string, make: () => string): string {
  const path = join(folder, name);
  try {
    if (!existsSync(path)) {
      writeFileSync(path, make(), { mode: 0o600, flag: "wx", flush: true });
      syncFolder(folder);
    }
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new Fault(
      "identity.invalid",
      `${path}: ${reasonOf(error)}; give it to the user that runs the hub, mode 0600`,
    );
  }
}
