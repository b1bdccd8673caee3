/**
 * HPKE base mode, single shot (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, by synchronous node:crypto.
 * Chosen over the promise-based packages for speed: a sale must not wait on a thread pool for its own bytes.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  hash,
  type KeyObject,
} from "node:crypto";
import { assert } from "../base/assert.ts";
import { concat, toBase64 } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { RandomBytes } from "../base/ids.ts";

export interface Sealed {
  /** The ephemeral public key, 32 bytes. */
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
}

export interface PrepareInput {
  readonly recipient: KeyObject;
  readonly info: Uint8Array;
  readonly random: RandomBytes;
}

/** A seal whose key agreement is done; takes one plaintext, as its nonce may serve once only. */
export interface PreparedSeal {
  seal(content: { readonly aad: Uint8Array; readonly plaintext: Uint8Array }): Sealed;
}

/** Everything of a seal that does not depend on what is sealed: by far the most of its cost. */
export function prepareSeal(input: PrepareInput): PreparedSeal {
  const ephemeral = createPrivateKey(pem("PRIVATE KEY", concat(PKCS8_X25519, input.random(KEY_BYTES))));
  const enc = rawPublicKey(createPublicKey(ephemeral));
  const shared = sharedSecret(ephemeral, input.recipient, { enc, recipient: rawPublicKey(input.recipient) });
  const { key, nonce } = keySchedule(shared, input.info);
  let used = false;
  return {
    seal({ aad, plaintext }) {
      assert(!used, "a prepared seal serves once");
      used = true;
      const cipher = createCipheriv(AEAD, createSecretKey(key), nonce);
      cipher.setAAD(aad);
      return { enc, ciphertext: concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag()) };
    },
  };
}

export interface SealInput extends PrepareInput {
  readonly aad: Uint8Array;
  readonly plaintext: Uint8Array;
}

export const seal = (input: SealInput): Sealed => prepareSeal(input).seal(input);

export interface UnsealInput {
  readonly recipient: KeyObject;
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
  readonly sealed: Sealed;
  /** What `deriveOpening` gave for this recipient, info and `enc`, if it was done ahead. */
  readonly opening?: Uint8Array | undefined;
}

export interface OpeningInput {
  readonly recipient: KeyObject;
  readonly info: Uint8Array;
  readonly enc: Uint8Array;
}

/** Key and nonce of one seal: by far the most of what opening it costs, and nothing of what is in it. */
export const OPENING_BYTES = 28;

/** The part of opening a seal that may be done elsewhere and ahead. Throws Fault `seal.invalid` for an `enc` that is no key. */
export function deriveOpening({ recipient, info, enc }: OpeningInput): Uint8Array {
  if (enc.length !== KEY_BYTES) throw new Fault("seal.invalid", `enc has ${enc.length} bytes, not ${KEY_BYTES}`);
  try {
    const ephemeral = createPublicKey(pem("PUBLIC KEY", concat(SPKI_X25519, enc)));
    const shared = sharedSecret(recipient, ephemeral, { enc, recipient: rawPublicKey(recipient) });
    const { key, nonce } = keySchedule(shared, info);
    return concat(key, nonce);
  } catch (error) {
    throw new Fault("seal.invalid", `enc is no key: ${reasonOf(error)}`, { cause: error });
  }
}

/** Throws Fault `seal.invalid` when key, info, aad or ciphertext do not belong together. */
export function unseal(input: UnsealInput): Uint8Array {
  const { enc, ciphertext } = input.sealed;
  const opening = input.opening ?? deriveOpening({ ...input, enc });
  if (ciphertext.length < TAG_BYTES) {
    throw new Fault("seal.invalid", `${ciphertext.length} bytes of ciphertext are shorter than their tag`);
  }
  try {
    const key = createSecretKey(opening.subarray(0, AEAD_KEY_BYTES));
    const decipher = createDecipheriv(AEAD, key, opening.subarray(AEAD_KEY_BYTES));
    decipher.setAAD(input.aad);
    decipher.setAuthTag(ciphertext.subarray(ciphertext.length - TAG_BYTES));
    return concat(decipher.update(ciphertext.subarray(0, ciphertext.length - TAG_BYTES)), decipher.final());
  } catch (error) {
    throw new Fault("seal.invalid", `not sealed to this key for this use: ${reasonOf(error)}`, { cause: error });
  }
}

const AEAD = "aes-128-gcm";
/** Npk, Nsk and Nenc of DHKEM(X25519), and Nh of SHA-256. */
const KEY_BYTES = 32;
/** Nk, Nn and Nt of AES-128-GCM. */
const AEAD_KEY_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** The block of SHA-256. */
const BLOCK_BYTES = 64;

/** DER that comes before the 32 bytes of an X25519 key (RFC 8410). */
const PKCS8_X25519 = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI_X25519 = Buffer.from("302a300506032b656e032100", "hex");

/** As text, because Node tries bytes as each kind of key object first, at three times the cost of all the rest. */
const pem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${toBase64(der)}\n-----END ${label}-----\n`;

const ascii = (text: string): Buffer => Buffer.from(text, "ascii");
/** I2OSP of 2 bytes. */
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);

const VERSION = ascii("HPKE-v1");
/** "KEM" and DHKEM(X25519, HKDF-SHA256); RFC 9180, 4.1 and 7.1. */
const KEM_SUITE = concat(ascii("KEM"), u16(0x0020));
/** "HPKE", KEM, HKDF-SHA256, AES-128-GCM; RFC 9180, 5.1. */
const HPKE_SUITE = concat(ascii("HPKE"), u16(0x0020), u16(0x0001), u16(0x0001));

const NO_SALT = Buffer.alloc(0);
const EXPAND_ONCE = Buffer.from([1]);

const extractLabel = (suite: Uint8Array, label: string): Buffer => Buffer.from(concat(VERSION, suite, ascii(label)));
const expandLabel = (suite: Uint8Array, label: string, length: number): Buffer =>
  Buffer.from(concat(u16(length), VERSION, suite, ascii(label)));

const EAE_PRK = extractLabel(KEM_SUITE, "eae_prk");
const SHARED_SECRET = expandLabel(KEM_SUITE, "shared_secret", KEY_BYTES);
const SECRET = extractLabel(HPKE_SUITE, "secret");
const KEY = expandLabel(HPKE_SUITE, "key", AEAD_KEY_BYTES);
const BASE_NONCE = expandLabel(HPKE_SUITE, "base_nonce", NONCE_BYTES);
const INFO_HASH = extractLabel(HPKE_SUITE, "info_hash");
/** Mode base, then the hash of the absent PSK id, which is the same for all. */
const CONTEXT_HEAD = concat(Uint8Array.of(0), hmac(NO_SALT, extractLabel(HPKE_SUITE, "psk_id_hash")));

/**
 * HMAC-SHA256 (RFC 2104): HKDF-Extract as it is, and the one block of HKDF-Expand that every output here fits into
 * (RFC 5869). By the one-shot hash, because each createHmac looks its algorithm up anew, which costs ten times the work.
 */
function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  assert(key.length <= BLOCK_BYTES, "HMAC keys here are no longer than a block");
  return hash("sha256", padded(key, 0x5c, [hash("sha256", padded(key, 0x36, parts), "buffer")]), "buffer");
}

function padded(key: Uint8Array, pad: number, parts: readonly Uint8Array[]): Buffer {
  const text = Buffer.allocUnsafe(parts.reduce((sum, part) => sum + part.length, BLOCK_BYTES));
  text.fill(pad, 0, BLOCK_BYTES);
  for (let at = 0; at < key.length; at += 1) text[at] = pad ^ (key[at] ?? 0);
  let end = BLOCK_BYTES;
  for (const part of parts) {
    text.set(part, end);
    end += part.length;
  }
  return text;
}

/** Encap and Decap share it: DH, then ExtractAndExpand over both public keys; RFC 9180, 4.1. */
function sharedSecret(
  privateKey: KeyObject,
  publicKey: KeyObject,
  raw: { readonly enc: Uint8Array; readonly recipient: Uint8Array },
): Uint8Array {
  const prk = hmac(NO_SALT, EAE_PRK, diffieHellman({ privateKey, publicKey }));
  return hmac(prk, SHARED_SECRET, raw.enc, raw.recipient, EXPAND_ONCE);
}

/** KeySchedule of base mode; the single shot uses sequence number 0, so its nonce is the base nonce; RFC 9180, 5.1. */
function keySchedule(shared: Uint8Array, info: Uint8Array): { readonly key: Uint8Array; readonly nonce: Uint8Array } {
  const secret = hmac(shared, SECRET);
  const context = contextOf(info);
  return {
    key: hmac(secret, KEY, context, EXPAND_ONCE).subarray(0, AEAD_KEY_BYTES),
    nonce: hmac(secret, BASE_NONCE, context, EXPAND_ONCE).subarray(0, NONCE_BYTES),
  };
}

const contexts = new WeakMap<Uint8Array, Uint8Array>();

/** Remembered for an info that serves more than once: nothing may change its bytes. */
function contextOf(info: Uint8Array): Uint8Array {
  const known = contexts.get(info);
  if (known) return known;
  const context = concat(CONTEXT_HEAD, hmac(NO_SALT, INFO_HASH, info));
  contexts.set(info, context);
  return context;
}

const rawKeys = new WeakMap<KeyObject, Uint8Array>();

/** The 32 bytes of a key's public half, remembered for keys that serve more than once. */
function rawPublicKey(key: KeyObject): Uint8Array {
  const known = rawKeys.get(key);
  if (known) return known;
  assert(key.asymmetricKeyType === "x25519", "HPKE keys are X25519 keys");
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  // As JWK: the DER encoder takes twenty times as long.
  const raw = new Uint8Array(Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url"));
  assert(raw.length === KEY_BYTES, "an X25519 public key has 32 bytes");
  rawKeys.set(key, raw);
  return raw;
}
