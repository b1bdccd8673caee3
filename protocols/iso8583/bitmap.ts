/** Bitmaps: which fields follow. Bit 1 is the highest bit of the first byte. */
import { expandToHex, readHex } from "./byte-codec.ts";
import type { Place, Source, Target } from "./cursor.ts";
import type { BitmapEncoding } from "./spec.ts";

/** In one bitmap. */
export const BITMAP_FIELDS = 64;
export const BITMAP_BYTES = 8;

/** What a bitmap takes. */
export const bitmapSize = (encoding: BitmapEncoding): number => (encoding === "hex" ? BITMAP_BYTES * 2 : BITMAP_BYTES);

/** Eight bytes, where they stand. */
export interface Bits {
  readonly bytes: Uint8Array;
  readonly at: number;
}

export function readBitmap(source: Source, encoding: BitmapEncoding, place: Place): Bits {
  const size = bitmapSize(encoding);
  source.want(size, place);
  const { at, bytes } = source;
  const bits = encoding === "hex" ? { bytes: readHex(source, BITMAP_BYTES, place), at: 0 } : { bytes, at };
  source.at = at + size;
  return bits;
}

/** Puts the eight bytes of `bits` behind `from` where room was left for them. */
export function writeBitmap(
  target: Target,
  at: number,
  { bits, from, encoding }: { readonly bits: Uint8Array; readonly from: number; readonly encoding: BitmapEncoding },
): void {
  for (let index = 0; index < BITMAP_BYTES; index += 1) target.bytes[at + index] = bits[from + index] ?? 0;
  if (encoding === "hex") expandToHex(target, at, BITMAP_BYTES);
}

/** `bit` counts from 1. */
export const hasBit = ({ bytes, at }: Bits, bit: number): boolean =>
  ((bytes[at + ((bit - 1) >> 3)] ?? 0) & (0x80 >> ((bit - 1) & 7))) !== 0;

export function setBit(bits: Uint8Array, bit: number): void {
  const index = (bit - 1) >> 3;
  bits[index] = (bits[index] ?? 0) | (0x80 >> ((bit - 1) & 7));
}

/** The highest bit that is set; 0 when there is none. */
export function lastBit({ bytes, at }: Bits): number {
  for (let index = BITMAP_BYTES - 1; index >= 0; index -= 1) {
    const byte = bytes[at + index] ?? 0;
    // The lowest bit of a byte is its eighth.
    if (byte !== 0) return index * 8 + 8 - (31 - Math.clz32(byte & -byte));
  }
  return 0;
}
