/** The hub's own keys: what it signs with, what cards are sealed to, and what its card tokens are keyed with. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fromBase64, toBase64 } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { RandomBytes } from "../base/ids.ts";
import { requirePrivate } from "../base/private-file.ts";
import { syncFolder } from "../base/sqlite.ts";
import { newSigningKeys, privateKeyText, readPrivateKey, type SigningKeys } from "../wire/signing.ts";
import {
  newSealingKeys,
  type SealingGeneration,
  SealingRing,
  sealingGeneration,
  sealingKeysOf,
} from "./sealing-ring.ts";

export interface HubKeys {
  readonly signing: SigningKeys;
  /** The present key, and those before it that entries may still be sealed to. */
  readonly sealing: SealingRing;
  /** 32 bytes. */
  readonly tokenKey: Uint8Array;
}

const TOKEN_KEY_BYTES = 32;
const SEALING_KEY = "sealing.key";

/** Fresh keys in memory. */
export const newHubKeys = (random: RandomBytes): HubKeys => ({
  signing: newSigningKeys(),
  sealing: new SealingRing([sealingGeneration(1, newSealingKeys())]),
  tokenKey: random(TOKEN_KEY_BYTES),
});

/**
 * Reads the keys under `folder`, or makes them at the first start; files are readable by their owner alone. Throws Fault
 * `identity.invalid` for one that others can read, or that is not such a key: an empty token key would make tokens that anybody can compute.
 */
export function loadHubKeys(folder: string, random: RandomBytes): HubKeys {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const signing = loadSigningKeys(join(folder, "signing.key"));
  const tokenKey = keyFile({
    path: join(folder, "token.key"),
    make: () => toBase64(random(TOKEN_KEY_BYTES)),
    read: tokenKeyOf,
  });
  return {
    signing,
    sealing: loadSealingRing(folder),
    tokenKey,
  };
}

/** An Ed25519 key in a file of its own, made where it is missing. Throws Fault `identity.invalid`. */
export function loadSigningKeys(path: string): SigningKeys {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const privateKey = keyFile({
    path,
    make: () => privateKeyText(newSigningKeys().privateKey),
    read: (text) => privateKeyOf(text, "ed25519"),
  });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** The first key lies in `sealing.key`, each later one in a file of its own: the newest is the present one. */
const SEALING_FILE = /^sealing(?:-(\d{1,6}))?\.key$/;
const sealingPath = (folder: string, generation: number): string =>
  join(folder, generation === 1 ? SEALING_KEY : `sealing-${generation}.key`);

function sealingGenerations(folder: string): readonly number[] {
  return readdirSync(folder)
    .flatMap((name) => {
      const match = SEALING_FILE.exec(name);
      return match ? [Number(match[1] ?? 1)] : [];
    })
    .toSorted((a, b) => a - b);
}

const readSealingKey = (path: string): KeyObject =>
  keyFile({
    path,
    make: () => privateKeyText(newSealingKeys().privateKey),
    read: (text) => privateKeyOf(text, "x25519"),
  });

const readSealing = (folder: string, generations: readonly number[]): readonly SealingGeneration[] =>
  generations.map((generation) => {
    const path = sealingPath(folder, generation);
    const keysOf = sealingKeysOf(readSealingKey(path));
    return { ...sealingGeneration(generation, keysOf), madeAt: Math.round(statSync(path).mtimeMs) };
  });

/** Where the folder has no such key, the first is made. */
function loadSealingRing(folder: string): SealingRing {
  const known = sealingGenerations(folder);
  return new SealingRing(readSealing(folder, known.length === 0 ? [1] : known), {
    newer: (than) =>
      readSealing(
        folder,
        sealingGenerations(folder).filter((generation) => generation > than),
      ),
    put: (generation, { privateKey }) => writeKey(sealingPath(folder, generation), privateKeyText(privateKey)),
    remove(generation) {
      rmSync(sealingPath(folder, generation), { force: true });
      syncFolder(folder);
    },
  });
}

/** For a command beside the hub, which makes no key. Throws Fault `identity.missing` where the hub has made none either. */
export function readSealingKeys(folder: string): SealingRing {
  const known = existsSync(folder) ? sealingGenerations(folder) : [];
  if (known.length > 0) return new SealingRing(readSealing(folder, known));
  throw new Fault(
    "identity.missing",
    `${join(folder, SEALING_KEY)}: there is no such key; name the running hub's configuration with --config`,
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

function writeKey(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
  syncFolder(dirname(path));
}

/** What the file holds, written first where it is missing; a crash leaves it whole or absent. */
function keyFile<Key>({ path, make, read }: KeyFile<Key>): Key {
  let text: string;
  try {
    if (!existsSync(path)) writeKey(path, make());
    requirePrivate(path, "the hub's keys");
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof Fault) throw error;
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
