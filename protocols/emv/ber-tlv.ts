/** BER-TLV data objects as EMV uses them (Book 3, Annex B): definite lengths only, a tree of constructed and primitive objects. */
import { ByteReader, concat, toHex } from "../../base/bytes.ts";
import { Fault, type FaultCode, isFault } from "../../base/fault.ts";

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
/** EMV's own tags have one or two bytes (Annex B), issuers' and kernels' up to three; longer ones are reserved (ISO/IEC 7816-4, 5.2.2.1). */
const TAG_BYTES_MAX = 3;
const LENGTH_BYTES_MAX = 3;

const CONSTRUCTED = 0x20;
const TAG_CONTINUES = 0x1f;
const MORE_TAG_BYTES = 0x80;
const LONG_LENGTH = 0x80;

/** Where a decoder is. One object for the whole input, so that every Fault knows the offset within it. */
interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
  objects: number;
  /** `rest` reads also what there is of a template that ends early, before it is refused. */
  readonly cutTemplates: "refuse" | "rest";
}

/** Faults carry `details.offset`, counted from the first byte of `bytes`, however deep the objects are nested. */
export function decodeTlv(bytes: Uint8Array): readonly Tlv[] {
  const objects: Tlv[] = [];
  decodeInto(objects, bytes, "refuse");
  return objects;
}

export interface PartlyDecoded {
  /** All that stands before the fault; a template may be incomplete, and then it has what there is of it. */
  readonly objects: readonly Tlv[];
  readonly fault?: Fault;
}

/** For people who look for a mistake in the bytes: what can be read, and why the rest cannot. */
export function decodeTlvPartly(bytes: Uint8Array): PartlyDecoded {
  const objects: Tlv[] = [];
  try {
    decodeInto(objects, bytes, "rest");
    return { objects };
  } catch (error) {
    if (!isFault(error)) throw error;
    return { objects, fault: error };
  }
}

function decodeInto(objects: Tlv[], bytes: Uint8Array, cutTemplates: Cursor["cutTemplates"]): void {
  if (bytes.length > TLV_BYTES_MAX) {
    throw tlvFault("codec.too-long", TLV_BYTES_MAX, `TLV data of more than ${TLV_BYTES_MAX} bytes`);
  }
  decodeLevel(objects, { bytes, at: 0, objects: 0, cutTemplates }, { end: bytes.length, depth: 1 });
}

function decodeLevel(objects: Tlv[], cursor: Cursor, { end, depth }: { readonly end: number; readonly depth: number }) {
  const { bytes } = cursor;
  while (cursor.at < end) {
    // Filler bytes before, between and after objects have no meaning (Annex B1).
    if (bytes[cursor.at] === 0x00) {
      cursor.at += 1;
      continue;
    }
    const start = cursor.at;
    if (depth > TLV_DEPTH_MAX) {
      throw tlvFault("codec.too-long", start, `TLV objects nested deeper than ${TLV_DEPTH_MAX}`);
    }
    cursor.objects += 1;
    if (cursor.objects > TLV_OBJECTS_MAX) {
      throw tlvFault("codec.too-long", start, `more than ${TLV_OBJECTS_MAX} TLV objects`);
    }
    const constructed = ((bytes[start] ?? 0) & CONSTRUCTED) !== 0;
    const tag = tagAt(cursor, end);
    const length = lengthAt(cursor, end);
    const valueEnd = cursor.at + length;
    if (valueEnd > end) {
      const reason = `tag ${tagName(tag)} wants ${length} bytes, has ${end - cursor.at}`;
      const fault = new Fault("codec.truncated", `${reason}, at byte ${cursor.at}`, {
        details: { offset: cursor.at, tag: tagName(tag) },
      });
      if (constructed && cursor.cutTemplates === "rest") decodeRest(objects, cursor, { tag, end, depth });
      throw fault;
    }
    if (constructed) {
      const children: Tlv[] = [];
      objects.push({ tag, children });
      decodeLevel(children, cursor, { end: valueEnd, depth: depth + 1 });
    } else {
      objects.push({ tag, value: bytes.subarray(cursor.at, valueEnd) });
      cursor.at = valueEnd;
    }
  }
}

/** What a template has up to where it is cut. The template's own fault is the one to tell, whatever else is wrong in it. */
function decodeRest(
  objects: Tlv[],
  cursor: Cursor,
  { tag, end, depth }: { readonly tag: Tag; readonly end: number; readonly depth: number },
): void {
  const children: Tlv[] = [];
  objects.push({ tag, children });
  try {
    decodeLevel(children, cursor, { end, depth: depth + 1 });
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}

function tagAt(cursor: Cursor, end: number): Tag {
  const { bytes } = cursor;
  const start = cursor.at;
  let tag = bytes[start] ?? 0;
  cursor.at += 1;
  if ((tag & TAG_CONTINUES) !== TAG_CONTINUES) return tag;
  for (let length = 2; length <= TAG_BYTES_MAX; length += 1) {
    if (cursor.at >= end) throw tlvFault("codec.truncated", start, "a tag is not complete");
    const byte = bytes[cursor.at] ?? 0;
    cursor.at += 1;
    tag = tag * 0x100 + byte;
    if ((byte & MORE_TAG_BYTES) === 0) return tag;
  }
  throw tlvFault("codec.invalid", start, `a tag of more than ${TAG_BYTES_MAX} bytes`);
}

function lengthAt(cursor: Cursor, end: number): number {
  const { bytes } = cursor;
  const start = cursor.at;
  if (start >= end) throw tlvFault("codec.truncated", start, "a length is missing");
  const first = bytes[start] ?? 0;
  cursor.at += 1;
  if (first < LONG_LENGTH) return first;
  const count = first - LONG_LENGTH;
  if (count === 0) throw tlvFault("codec.invalid", start, "an indefinite length is not allowed in EMV");
  if (count > LENGTH_BYTES_MAX) throw tlvFault("codec.invalid", start, `a length of ${count} bytes`);
  if (cursor.at + count > end) throw tlvFault("codec.truncated", start, "a length is not complete");
  let length = 0;
  for (let index = 0; index < count; index += 1) length = length * 0x100 + (bytes[cursor.at + index] ?? 0);
  cursor.at += count;
  return length;
}

const tlvFault = (code: FaultCode, offset: number, reason: string): Fault =>
  new Fault(code, `${reason}, at byte ${offset}`, { details: { offset } });

/** One tag, as in a data object list. */
export function readTag(reader: ByteReader): Tag {
  const offset = reader.position;
  let tag = reader.u8();
  if ((tag & TAG_CONTINUES) !== TAG_CONTINUES) return tag;
  for (let length = 2; length <= TAG_BYTES_MAX; length += 1) {
    const byte = reader.u8();
    tag = tag * 0x100 + byte;
    if ((byte & MORE_TAG_BYTES) === 0) return tag;
  }
  throw tlvFault("codec.invalid", offset, `a tag of more than ${TAG_BYTES_MAX} bytes`);
}

/** The length behind a tag. */
export function readLength(reader: ByteReader): number {
  const offset = reader.position;
  const first = reader.u8();
  if (first < LONG_LENGTH) return first;
  const count = first - LONG_LENGTH;
  if (count === 0) throw tlvFault("codec.invalid", offset, "an indefinite length is not allowed in EMV");
  if (count > LENGTH_BYTES_MAX) throw tlvFault("codec.invalid", offset, `a length of ${count} bytes`);
  return reader.take(count).reduce((sum, byte) => sum * 0x100 + byte, 0);
}

/** A data object as it was written. */
export interface WholeTlv {
  readonly tag: Tag;
  readonly value: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

/** Objects one after another with their own bytes, since signatures cover lengths as the card wrote them. Templates stay closed. */
export function wholeObjects(bytes: Uint8Array): readonly WholeTlv[] {
  const reader = new ByteReader(bytes);
  const objects: WholeTlv[] = [];
  while (reader.remaining > 0) {
    const start = reader.position;
    // Filler between objects has no meaning (Annex B1).
    if (bytes[start] === 0x00) {
      reader.u8();
      continue;
    }
    if (objects.length >= TLV_OBJECTS_MAX) {
      throw tlvFault("codec.too-long", start, `more than ${TLV_OBJECTS_MAX} TLV objects`);
    }
    const tag = readTag(reader);
    const value = reader.take(readLength(reader));
    objects.push({ tag, value, whole: bytes.subarray(start, reader.position) });
  }
  return objects;
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
  let first = tag;
  while (first > 0xff) first = Math.floor(first / 0x100);
  return (first & CONSTRUCTED) !== 0;
}

/** Where `part` stands in `whole`, of which it is a view: for Faults that speak of the whole input. */
export const offsetWithin = (whole: Uint8Array, part: Uint8Array): number => part.byteOffset - whole.byteOffset;

/** `9F02`, as the books write it. */
export const tagName = (tag: Tag): string => toHex(numberBytes(tag)).toUpperCase();

/** Big-endian without leading zeros. */
function numberBytes(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 0x100)) bytes.unshift(rest % 0x100);
  return Uint8Array.from(bytes);
}
