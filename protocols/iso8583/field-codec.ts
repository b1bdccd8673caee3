/** One field of a table, compiled: its prefix, its value, and what is in it. */
import { assert, unreachable } from "../../base/assert.ts";
import { binaryCodec, expandToHex, hexCodec, readHex } from "./byte-codec.ts";
import { contentCodec } from "./content-codec.ts";
import { byteName, type Place, placeName, readFault, refuseRest, Source, type Target, writeFault } from "./cursor.ts";
import type { FieldSpec, VariableLength } from "./spec.ts";
import { asciiCodec, bcdCodec } from "./text-codec.ts";
import { type ContentCodec, checkByteCount, type FieldCodec, fixedUnits, type ValueCodec } from "./value-codec.ts";

export function fieldCodec(spec: FieldSpec, place: Place): FieldCodec {
  checkSpec(spec, place);
  const id = place.path.slice(place.path.lastIndexOf(".") + 1);
  const value = valueCodec(spec, place);
  const { length } = spec;
  if (typeof length !== "number") return { id, ...variableField(value, length, place) };
  return { id, read: value.read, write: value.write };
}

/** A table that contradicts itself is a mistake of its author, found when the codec is made. */
function checkSpec({ format, encoding, length, padding, content }: FieldSpec, place: Place): void {
  const name = placeName(place);
  const isBytes = format === "b";
  const forBytes = encoding === "binary" || encoding === "hex";
  assert(isBytes === forBytes, `${name} of format ${format} cannot be ${encoding}`);
  assert(encoding !== "bcd" || format === "n" || format === "z" || format === "xn", `${name} cannot be packed digits`);
  const { max, digits } = typeof length === "number" ? { max: length, digits: 6 } : length;
  assert(Number.isInteger(max) && max >= 1 && max < 10 ** digits, `${name} has a length that fits its prefix`);
  assert(padding !== "left-zero" || format === "n", `${name} is padded with zeros only as a number`);
  assert(padding === undefined || (typeof length === "number" && !isBytes), `${name} is padded only as a fixed text`);
  assert(padding !== "right-space" || encoding === "ascii", `${name} is padded with spaces only in ASCII`);
  assert(content === undefined || encoding !== "bcd", `${name} has sub-fields, and so no packed digits`);
}

function valueCodec(spec: FieldSpec, place: Place): ValueCodec {
  if (spec.content) {
    const compilers = { field: fieldCodec, value: valueCodec };
    return contentValue(spec, place, contentCodec(spec.content, place, compilers));
  }
  switch (spec.encoding) {
    case "ascii":
      return asciiCodec(spec, place);
    case "bcd":
      return bcdCodec(spec, place);
    case "binary":
      return binaryCodec(spec, place);
    case "hex":
      return hexCodec(spec, place);
    default:
      return unreachable(spec.encoding);
  }
}

/** What is in a field is read where it stands; only from hexadecimal characters bytes are made first. */
function contentValue(spec: FieldSpec, place: Place, content: ContentCodec): ValueCodec {
  const scale = spec.encoding === "hex" ? 2 : 1;
  const fixed = fixedUnits(spec);
  return {
    read: (source, units = fixed) => {
      source.want(units * scale, place);
      const stop = source.at + units * scale;
      if (scale === 2) {
        const origin = { offset: source.offsetOf(source.at), scale };
        const inner = new Source(readHex(source, units, place), origin);
        source.at = stop;
        const value = content.read(inner);
        refuseRest(inner, place);
        return value;
      }
      const { end } = source;
      source.end = stop;
      const value = content.read(source);
      refuseRest(source, place);
      source.end = end;
      return value;
    },
    write: (target, value) => {
      const start = target.at;
      content.write(target, value);
      const units = target.at - start;
      checkByteCount(units, spec, place);
      if (scale === 2) {
        target.want(units, place);
        expandToHex(target, start, units);
        target.at += units;
      }
      return units;
    },
  };
}

function variableField(value: ValueCodec, length: VariableLength, place: Place): Pick<FieldCodec, "read" | "write"> {
  const prefix = prefixCodec(length, place);
  return {
    read: (source) => value.read(source, prefix.read(source)),
    write: (target, given) => {
      target.want(prefix.bytes, place);
      const { at } = target;
      target.at = at + prefix.bytes;
      prefix.write(target, at, value.write(target, given));
    },
  };
}

interface PrefixCodec {
  readonly bytes: number;
  read(source: Source): number;
  write(target: Target, at: number, units: number): void;
}

/** Each byte of a prefix is one digit of a number: base 10 as a character, base 100 packed, base 256 in binary. */
function prefixCodec({ max, digits, encoding }: VariableLength, place: Place): PrefixCodec {
  const bytes = encoding === "ascii" ? digits : (digits + 1) >> 1;
  const base = encoding === "ascii" ? 10 : encoding === "bcd" ? 100 : 256;
  return {
    bytes,
    read: (source) => {
      source.want(bytes, place);
      const { at } = source;
      let units = 0;
      for (let index = at; index < at + bytes; index += 1) {
        const byte = source.bytes[index] ?? 0;
        const digit = base === 10 ? asciiDigit(byte) : base === 100 ? packedDigit(byte) : byte;
        if (digit < 0) {
          throw readFault("codec.invalid", { place, source, at: index }, `${byteName(byte)} where its length belongs`);
        }
        units = units * base + digit;
      }
      if (units > max) {
        throw readFault("codec.too-long", { place, source, at }, `says ${units} where at most ${max} belong`);
      }
      source.at = at + bytes;
      return units;
    },
    write: (target, at, units) => {
      let rest = units;
      for (let index = at + bytes - 1; index >= at; index -= 1) {
        const digit = rest % base;
        target.bytes[index] = base === 10 ? digit + 0x30 : base === 100 ? packedByte(digit) : digit;
        rest = Math.floor(rest / base);
      }
      if (rest > 0) throw writeFault("codec.too-long", place, `${units} does not fit its length`);
    },
  };
}

const asciiDigit = (byte: number): number => (byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : -1);
const packedDigit = (byte: number): number =>
  byte >> 4 <= 9 && (byte & 0x0f) <= 9 ? (byte >> 4) * 10 + (byte & 0x0f) : -1;
const packedByte = (digit: number): number => (Math.floor(digit / 10) << 4) | (digit % 10);
