/** Chance from one seed: named streams that do not disturb each other, so that one draw more in a part shifts no other. */
import { createHash } from "node:crypto";
import { assert } from "../../base/assert.ts";
import type { RandomBytes } from "../../base/ids.ts";

const UINT32 = 2 ** 32;
const STATE_BYTES = 16;
/** The first outputs of sfc32 still resemble its seed. */
const WARM_UP_DRAWS = 12;

/** One sequence of draws (sfc32). Equal seeds give equal sequences on every machine. */
export class ChanceStream {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `seed` is any text; its SHA-256 is the state. */
  constructor(seed: string) {
    const state = createHash("sha256").update(seed).digest().subarray(0, STATE_BYTES);
    this.#a = state.readInt32LE(0);
    this.#b = state.readInt32LE(4);
    this.#c = state.readInt32LE(8);
    this.#counter = state.readInt32LE(12);
    for (let draw = 0; draw < WARM_UP_DRAWS; draw += 1) this.next();
  }

  /** A whole number in [0, 2^32). */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** In [0, 1). */
  fraction(): number {
    return this.next() / UINT32;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    assert(limit >= 1 && limit <= UINT32, "a draw is below something between 1 and 2^32");
    return Math.floor(this.fraction() * limit);
  }

  /** A whole number in [least, most]. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True with this probability. Draws even when the answer is known, so that a rate set to 0 shifts nothing. */
  happens(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)];
    assert(chosen !== undefined, "nothing can be picked from an empty list");
    return chosen;
  }

  /** A new array in drawn order. */
  shuffled<T>(list: readonly T[]): T[] {
    const drawn: T[] = [];
    for (const item of list) {
      const at = this.below(drawn.length + 1);
      const moved = drawn[at];
      if (moved === undefined) drawn.push(item);
      else {
        drawn[at] = item;
        drawn.push(moved);
      }
    }
    return drawn;
  }

  /** As `RandomBytes`, for what takes its chance injected. */
  readonly bytes: RandomBytes = (length) => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      let word = this.next();
      for (let byte = 0; byte < 4 && at < length; byte += 1, at += 1) {
        bytes[at] = word & 0xff;
        word >>>= 8;
      }
    }
    return bytes;
  };
}

export class Chance {
  readonly seed: string;
  readonly #streams = new Map<string, ChanceStream>();

  constructor(seed: string) {
    this.seed = seed;
  }

  /** The stream of that name: the same one at every call, going on where it was. */
  stream(name: string): ChanceStream {
    let stream = this.#streams.get(name);
    if (!stream) {
      stream = new ChanceStream(JSON.stringify([this.seed, name]));
      this.#streams.set(name, stream);
    }
    return stream;
  }
}
