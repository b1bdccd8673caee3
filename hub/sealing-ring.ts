/**
 * The keys that card data are sealed to: the present one, which leases name, and those before it, whose private halves stay
 * until no entry can need them any more.
 */
import { createPublicKey, generateKeyPairSync, hash, type KeyObject } from "node:crypto";
import { present } from "../base/assert.ts";
import { publicKeyText } from "../wire/signing.ts";

export interface SealingKeys {
  readonly keyId: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** Generations rise by one with each rotation. */
export interface SealingGeneration extends SealingKeys {
  readonly generation: number;
  /** Milliseconds since 1970; 0 for a key in memory alone. */
  readonly madeAt: number;
}

/** Where private keys are kept: durable when `put` returns. */
export interface SealingStore {
  /** What others put there since, oldest first. Throws Fault `identity.invalid`. */
  newer(than: number): readonly SealingGeneration[];
  put(generation: number, keys: SealingKeys): void;
  remove(generation: number): void;
}

const KEY_ID_LENGTH = 16;

export function sealingKeysOf(privateKey: KeyObject): SealingKeys {
  const publicKey = createPublicKey(privateKey);
  return { keyId: hash("sha256", publicKeyText(publicKey), "hex").slice(0, KEY_ID_LENGTH), publicKey, privateKey };
}

export const newSealingKeys = (): SealingKeys => sealingKeysOf(generateKeyPairSync("x25519").privateKey);

export const sealingGeneration = (generation: number, keys: SealingKeys, madeAt = 0): SealingGeneration => ({
  ...keys,
  generation,
  madeAt,
});

/** Shows the present key as its own, so that whoever holds the ring always seals and names the newest. */
export class SealingRing implements SealingKeys {
  readonly #store: SealingStore | undefined;
  #keys: readonly SealingGeneration[];

  /** Oldest first, at least one. */
  constructor(keys: readonly SealingGeneration[], store?: SealingStore) {
    this.#keys = keys;
    this.#store = store;
  }

  get #present(): SealingGeneration {
    return present(this.#keys.at(-1), "a hub has a sealing key");
  }
  get keyId(): string {
    return this.#present.keyId;
  }
  get publicKey(): KeyObject {
    return this.#present.publicKey;
  }
  get privateKey(): KeyObject {
    return this.#present.privateKey;
  }
  /** Oldest first; the last one is the present one. */
  get all(): readonly SealingGeneration[] {
    return this.#keys;
  }

  find(keyId: string): SealingGeneration | undefined {
    const known = () => this.#keys.find((key) => key.keyId === keyId);
    return known() ?? (this.#hasGrown() ? known() : undefined);
  }

  /** A terminal may have the key from another replica. One that is not whole in its place yet is looked for again next time. */
  #hasGrown(): boolean {
    try {
      return this.#grow();
    } catch {
      return false;
    }
  }

  #grow(): boolean {
    const newer = this.#store?.newer(this.#present.generation) ?? [];
    this.#keys = [...this.#keys, ...newer];
    return newer.length > 0;
  }

  /** The new key is on disk before anybody is told of it. Throws Fault `identity.invalid` where there is one that is none. */
  rotate(now: number): SealingGeneration {
    this.#grow();
    const made = sealingGeneration(this.#present.generation + 1, newSealingKeys(), now);
    this.#store?.put(made.generation, made);
    this.#keys = [...this.#keys, made];
    return made;
  }

  /** Forgets a key for good; the present one stays whatever is asked. */
  remove(keyId: string): boolean {
    const found = this.find(keyId);
    if (!found || found === this.#present) return false;
    this.#store?.remove(found.generation);
    this.#keys = this.#keys.filter((key) => key !== found);
    return true;
  }
}
