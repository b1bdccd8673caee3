/** BER-TLV data objects as EMV uses them (Book 3, Annex B): definite lengths only, a tree of constructed and primitive objects. */
import { ByteReader, concat, toHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

/** The tag's bytes as one number: 0x5A, 0x9F02, 0xBF0C. */
export type Tag = number;

export type Tlv =
  | { readonly tag: Tag; readonly value: Uint8Array }
  /** Bit 6 of the first tag byte is set. */
  | { readonly tag: Tag; readonly children: readonly Tlv[] };

/** Deeper than any EMV template; bounds the recursion. */
export const TLV_DEPTH_MAX = 8;
export const TLV_BYTES_MAX = 65_536;
export const TLV_OBJECTS_MAX = 1_024;
const TAG_BYTES_MAX = 3;
const LENGTH_BYTES_MAX = 3;

const CONSTRUCTED = 0x20;
const TAG_CONTINUES = 0x1f;
const MORE_TAG_BYTES = 0x80;
const LONG_LENGTH = 0x80;

export function decodeTlv(bytes: Uint8Array): readonly Tlv[] {
  if (bytes.length > TLV_BYTES_MAX) throw new Fault("codec.too-long", `TLV data of more than ${TLV_BYTES_MAX} bytes`);
  return decodeLevel(bytes, 1, { objects: 0 });
}

function decodeLevel(bytes: Uint8Array, depth: number, seen: { objects: number }): readonly Tlv[] {
  if (depth > TLV_DEPTH_MAX) throw new Fault("codec.too-long", `TLV objects nested deeper than ${TLV_DEPTH_MAX}`);
  const reader = new ByteReader(bytes);
  const objects: Tlv[] = [];
  while (reader.remaining > 0) {
    // Filler bytes before, between and after objects have no meaning (Annex B1).
    if (bytes[reader.position] === 0x00) {
      reader.u8();
      continue;
    }
    seen.objects += 1;
    if (seen.objects > TLV_OBJECTS_MAX) throw new Fault("codec.too-long", `more than ${TLV_OBJECTS_MAX} TLV objects`);
    const tag = readTag(reader);
    const value = reader.take(readLength(reader));
    objects.push(isConstructed(tag) ? { tag, children: decodeLevel(value, depth + 1, seen) } : { tag, value });
  }
  return objects;
}

/** One tag, as in a data object list. */
export function readTag(reader: ByteReader): Tag {
  let tag = reader.u8();
  if ((tag & TAG_CONTINUES) !== TAG_CONTINUES) return tag;
  for (let length = 2; length <= TAG_BYTES_MAX; length += 1) {
    const byte = reader.u8();
    tag = tag * 0x100 + byte;
    if ((byte & MORE_TAG_BYTES) === 0) return tag;
  }
  throw new Fault("codec.invalid", `a tag of more than ${TAG_BYTES_MAX} bytes`);
}

function readLength(reader: ByteReader): number {
  const first = reader.u8();
  if (first < LONG_LENGTH) return first;
  const count = first - LONG_LENGTH;
  if (count === 0) throw new Fault("codec.invalid", "an indefinite length is not allowed in EMV");
  if (count > LENGTH_BYTES_MAX) throw new Fault("codec.invalid", `a length of ${count} bytes`);
  let length = 0;
  for (let index = 0; index < count; index += 1) length = length * 0x100 + reader.u8();
  return length;
}

/** Lengths in their shortest form. */
export function encodeTlv(objects: readonly Tlv[]): Uint8Array<ArrayBuffer> {
  return concat(
    ...objects.map((object) => {
      const value = "children" in object ? encodeTlv(object.children) : object.value;
      if (isConstructed(object.tag) !== "children" in object) {
        throw new Fault("codec.invalid", `tag ${tagName(object.tag)} is of the other kind: constructed or primitive`);
      }
      return concat(encodeTag(object.tag), encodeLength(value.length), value);
    }),
  );
}

export function encodeTag(tag: Tag): Uint8Array<ArrayBuffer> {
  const bytes = numberBytes(tag);
  const reader = new ByteReader(bytes);
  if (tag <= 0 || readTag(reader) !== tag || reader.remaining > 0) {
    throw new Fault("codec.invalid", `not a tag: ${tag.toString(16)}`);
  }
  return bytes;
}

function encodeLength(length: number): Uint8Array<ArrayBuffer> {
  if (length < LONG_LENGTH) return Uint8Array.of(length);
  const bytes = numberBytes(length);
  if (bytes.length > LENGTH_BYTES_MAX) throw new Fault("codec.too-long", `a value of ${length} bytes`);
  return concat(Uint8Array.of(LONG_LENGTH + bytes.length), bytes);
}

/** The first object of that tag, depth first. */
export function findTlv(objects: readonly Tlv[], tag: Tag): Tlv | undefined {
  for (const object of objects) {
    if (object.tag === tag) return object;
    const inside = "children" in object ? findTlv(object.children, tag) : undefined;
    if (inside) return inside;
  }
  return undefined;
}

/** The value of the first primitive object of that tag. */
export function findValue(objects: readonly Tlv[], tag: Tag): Uint8Array | undefined {
  const object = findTlv(objects, tag);
  return object && "value" in object ? object.value : undefined;
}

/** Every primitive object, in order, without its templates. */
export function flattenTlv(objects: readonly Tlv[]): readonly { readonly tag: Tag; readonly value: Uint8Array }[] {
  return objects.flatMap((object) => ("children" in object ? flattenTlv(object.children) : [object]));
}

export function isConstructed(tag: Tag): boolean {
  return ((numberBytes(tag)[0] ?? 0) & CONSTRUCTED) !== 0;
}

/** `9F02`, as the books write it. */
export const tagName = (tag: Tag): string => toHex(numberBytes(tag)).toUpperCase();

/** Big-endian without leading zeros. */
function numberBytes(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 0x100)) bytes.unshift(rest % 0x100);
  return Uint8Array.from(bytes);
}
