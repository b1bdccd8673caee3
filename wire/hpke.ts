/**
 * HPKE base mode, single shot (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, by synchronous node:crypto.
 * Chosen over the promise-based packages for speed: a sale must not wait on a thread pool for its own bytes.
 */
import type { KeyObject } from "node:crypto";
import { Fault } from "../base/fault.ts";
import type { RandomBytes } from "../base/ids.ts";

export interface Sealed {
  /** The ephemeral public key, 32 bytes. */
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
}

export interface SealInput {
  readonly recipient: KeyObject;
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
  readonly plaintext: Uint8Array;
  readonly random: RandomBytes;
}

export function seal(_input: SealInput): Sealed {
  throw new Fault("seal.invalid", "unfinished");
}

export interface UnsealInput {
  readonly recipient: KeyObject;
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
  readonly sealed: Sealed;
}

/** Throws Fault `seal.invalid` when key, info, aad or ciphertext do not belong together. */
export function unseal(_input: UnsealInput): Uint8Array {
  throw new Fault("seal.invalid", "unfinished");
}
