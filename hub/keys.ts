/** The hub's own keys: what it signs with, what cards are sealed to, and what its card tokens are keyed with. */
import { createPublicKey, generateKeyPairSync, hash, type KeyObject } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
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
const SEALING_KEY = "sealing.key";

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

/**
 * Reads the keys under `folder`, or makes them at the first start; files are readable by their owner alone. Throws Fault
 * `identity.invalid` for one that is not such a key: an empty token key would make tokens that anybody can compute.
 */
export function loadHubKeys(folder: string, random: RandomBytes): HubKeys {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const signing = keyFile({
    path: join(folder, "signing.key"),
    make: () => privateKeyText(newSigningKeys().privateKey),
    read: (text) => privateKeyOf(text, "ed25519"),
  });
  const sealing = sealingKeyFile(folder);
  const tokenKey = keyFile({
    path: join(folder, "token.key"),
    make: () => toBase64(random(TOKEN_KEY_BYTES)),
    read: tokenKeyOf,
  });
  return {
    signing: { privateKey: signing, publicKey: createPublicKey(signing) },
    sealing: sealingKeys(sealing),
    tokenKey,
  };
}

const sealingKeyFile = (folder: string): KeyObject =>
  keyFile({
    path: join(folder, SEALING_KEY),
    make: () => privateKeyText(generateKeyPairSync("x25519").privateKey),
    read: (text) => privateKeyOf(text, "x25519"),
  });

/** For a command beside the hub, which makes no key. Throws Fault `identity.missing` where the hub has made none either. */
export function readSealingKeys(folder: string): SealingKeys {
  const path = join(folder, SEALING_KEY);
  if (existsSync(path)) return sealingKeys(sealingKeyFile(folder));
  throw new Fault(
    "identity.missing",
    `${path}: there is no such key; name the running hub's configuration with --config`,
  );
}

const OPERATOR_TOKEN_BYTES = 24;
const OPERATOR_TOKEN_LENGTH_MIN = 16;

/** The secret of the operator's API, made at the first start. */
export const loadOperatorToken = (path: string, random: RandomBytes): string =>
  keyFile({
    path,
    make: () => Buffer.from(random(OPERATOR_TOKEN_BYTES)).toString("base64url"),
    read(text) {
      if (text.length >= OPERATOR_TOKEN_LENGTH_MIN) return text;
      throw new Fault("identity.invalid", `an operator's token has at least ${OPERATOR_TOKEN_LENGTH_MIN} characters`);
    },
  });

function privateKeyOf(text: string, kind: "ed25519" | "x25519"): KeyObject {
  const key = readPrivateKey(text);
  if (key.asymmetricKeyType !== kind) throw new Fault("identity.invalid", `not an ${kind} key`);
  return key;
}

function tokenKeyOf(text: string): Uint8Array {
  const key = fromBase64(text);
  if (key.length !== TOKEN_KEY_BYTES) throw new Fault("identity.invalid", `not ${TOKEN_KEY_BYTES} bytes`);
  return key;
}

interface KeyFile<Key> {
  readonly path: string;
  make(): string;
  read(text: string): Key;
}

/** What the file holds, written first where it is missing; a crash leaves it whole or absent. */
function keyFile<Key>({ path, make, read }: KeyFile<Key>): Key {
  let text: string;
  try {
    if (!existsSync(path)) {
      writeFileSync(`${path}.new`, make(), { mode: 0o600, flush: true });
      renameSync(`${path}.new`, path);
      syncFolder(dirname(path));
    }
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new Fault(
      "identity.invalid",
      `${path}: ${reasonOf(error)}; give it to the user that runs the hub, mode 0600`,
    );
  }
  try {
    return read(text);
  } catch (error) {
    throw new Fault("identity.invalid", `${path}: not the key that was kept here: ${reasonOf(error)}; restore it`);
  }
}
