/** Fields of format b: bytes as they are, or as two hexadecimal characters each. */
import { byteName, type Place, readFault, type Source, type Target } from "./cursor.ts";
import type { FieldSpec } from "./spec.ts";
import { checkByteCount, fixedUnits, type ValueCodec, wantBytes } from "./value-codec.ts";

export function binaryCodec(spec: FieldSpec, place: Place): ValueCodec {
  const fixed = fixedUnits(spec);
  return {
    read: (source, units = fixed) => {
      source.want(units, place);
      const value = source.view(units);
      source.at += units;
      return value;
    },
    write: (target, value) => {
      const bytes = wantBytes(value, place);
      checkByteCount(bytes.length, spec, place);
      target.want(bytes.length, place);
      target.bytes.set(bytes, target.at);
      target.at += bytes.length;
      return bytes.length;
    },
  };
}

export function hexCodec(spec: FieldSpec, place: Place): ValueCodec {
  const fixed = fixedUnits(spec);
  return {
    read: (source, units = fixed) => {
      source.want(units * 2, place);
      const value = readHex(source, units, place);
      source.at += units * 2;
      return value;
    },
    write: (target, value) => {
      const bytes = wantBytes(value, place);
      checkByteCount(bytes.length, spec, place);
      target.want(bytes.length * 2, place);
      target.bytes.set(bytes, target.at);
      expandToHex(target, target.at, bytes.length);
      target.at += bytes.length * 2;
      return bytes.length;
    },
  };
}

/** Bytes that stand as two hexadecimal characters each, of either case. */
export function readHex(source: Source, units: number, place: Place): Uint8Array {
  const bytes = new Uint8Array(units);
  for (let index = 0; index < units; index += 1) {
    const at = source.at + index * 2;
    bytes[index] = hexDigit(source, at, place) * 0x10 + hexDigit(source, at + 1, place);
  }
  return bytes;
}

function hexDigit(source: Source, at: number, place: Place): number {
  const byte = source.bytes[at] ?? 0;
  const letter = byte & ~0x20;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  if (letter >= 0x41 && letter <= 0x46) return letter - 0x37;
  throw readFault("codec.invalid", { place, source, at }, `${byteName(byte)} where hexadecimal digits belong`);
}

const HEX_DIGITS = Buffer.from("0123456789ABCDEF", "latin1");

/** Makes two characters of each of `count` bytes from `start` on, in their place: from the last one, so that none is lost. */
export function expandToHex({ bytes }: Target, start: number, count: number): void {
  for (let index = count - 1; index >= 0; index -= 1) {
    const byte = bytes[start + index] ?? 0;
    bytes[start + index * 2 + 1] = HEX_DIGITS[byte & 0x0f] ?? 0;
    bytes[start + index * 2] = HEX_DIGITS[byte >> 4] ?? 0;
  }
}
