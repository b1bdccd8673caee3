/** Bytes and their text forms. Everything from outside is checked here before it is believed. */
import { Fault } from "./fault.ts";

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** Hex with optional white space; anything else is a Fault that names the place. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  const digits = text.replace(/\s+/g, "");
  const wrong = /[^0-9a-fA-F]/.exec(digits);
  if (wrong) throw new Fault("codec.invalid", `not a hex digit at ${wrong.index}: "${wrong[0]}"`);
  if (digits.length % 2 !== 0) throw new Fault("codec.truncated", `an odd number of hex digits: ${digits.length}`);
  return new Uint8Array(Buffer.from(digits, "hex"));
}

export const toBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

/** Strict base64 with padding, as `toBase64` writes it. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) throw new Fault("codec.invalid", "not base64");
  return new Uint8Array(bytes);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Reads forward through a buffer; running out is a Fault with the `offset`, never `undefined`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  get position(): number {
    return this.#at;
  }

  u8(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) {
      throw new Fault("codec.truncated", `ended at byte ${this.#at}`, { details: { offset: this.#at } });
    }
    this.#at += 1;
    return byte;
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8();
  }

  take(length: number): Uint8Array {
    if (length > this.remaining) {
      throw new Fault("codec.truncated", `wants ${length} bytes at ${this.#at}, has ${this.remaining}`, {
        details: { offset: this.#at },
      });
    }
    const part = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return part;
  }
}
