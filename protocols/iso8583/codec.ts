/** Packs and unpacks whole ISO 8583 messages by a table, which is compiled once. */
import { assert } from "../../base/assert.ts";
import {
  BITMAP_BYTES,
  BITMAP_FIELDS,
  type Bits,
  bitmapSize,
  hasBit,
  lastBit,
  readBitmap,
  setBit,
  writeBitmap,
} from "./bitmap.ts";
import { MESSAGE_BYTES_MAX, type Place, readFault, refuseRest, Source, Target, writeFault } from "./cursor.ts";
import { fieldCodec } from "./field-codec.ts";
import type { FieldValue, Iso8583Codec, Iso8583Message } from "./message.ts";
import { type PlainText, plainText, readPlainText } from "./plain-text.ts";
import type { FieldSpec, MessageSpec } from "./spec.ts";
import type { FieldCodec } from "./value-codec.ts";

/** Data elements of two bitmaps, and of three. */
const SECOND_MAX = 2 * BITMAP_FIELDS;
const THIRD_MAX = 3 * BITMAP_FIELDS;
/** The second bitmap, and the third. */
const SECOND = 1;
const THIRD = 65;

const MESSAGE_PLACE: Place = { path: "", name: "message" };
const BITMAP_PLACE: Place = { path: "bitmap", name: "bitmap" };
const THIRD_PLACE: Place = { path: String(THIRD), name: "third bitmap" };

/** Throws for a table that contradicts itself. */
export function createIso8583Codec(spec: MessageSpec): Iso8583Codec {
  const layout = layoutOf(spec);
  const target = new Target();
  return {
    pack: (message) => {
      let written = false;
      try {
        writeMessage(target, message, layout);
        const bytes = target.taken();
        written = true;
        return bytes;
      } finally {
        target.wipe(written ? "written" : "all");
      }
    },
    unpack: (bytes) => {
      if (bytes.length > MESSAGE_BYTES_MAX) {
        throw writeFault("codec.too-long", MESSAGE_PLACE, `more than ${MESSAGE_BYTES_MAX} bytes`);
      }
      return readMessage(new Source(bytes), layout);
    },
  };
}

interface Layout {
  readonly spec: MessageSpec;
  readonly mti: FieldCodec;
  /** By number of the data element. */
  readonly fields: readonly (FieldCodec | undefined)[];
  /** Of those that are plain texts. */
  readonly plain: readonly (PlainText | undefined)[];
  readonly hasThird: boolean;
}

function layoutOf(spec: MessageSpec): Layout {
  const fields: (FieldCodec | undefined)[] = Array.from({ length: THIRD_MAX + 1 }, () => undefined);
  const plain: (PlainText | undefined)[] = Array.from({ length: THIRD_MAX + 1 }, () => undefined);
  const hasThird = Object.keys(spec.fields).some((de) => Number(de) > SECOND_MAX);
  for (const [de, field] of Object.entries(spec.fields)) {
    const inRange = Number.isInteger(Number(de)) && Number(de) > SECOND && Number(de) <= THIRD_MAX;
    assert(inRange && !(hasThird && Number(de) === THIRD), `table ${spec.name} has no place for DE ${de}`);
    plain[Number(de)] = plainText(field);
    fields[Number(de)] = fieldCodec(field, { path: de, name: field.name });
  }
  return { spec, mti: fieldCodec(mtiField(spec), { path: "mti", name: "MTI" }), fields, plain, hasThird };
}

const mtiField = ({ mti }: MessageSpec): FieldSpec => ({ name: "MTI", format: "n", length: 4, encoding: mti });

function readMessage(source: Source, layout: Layout): Iso8583Message {
  const { spec, hasThird } = layout;
  const mti = readMti(source, layout);
  const first = readBitmap(source, spec.bitmap, BITMAP_PLACE);
  const second = hasBit(first, SECOND) ? readBitmap(source, spec.bitmap, BITMAP_PLACE) : undefined;
  const fields: Record<number, FieldValue> = {};
  // An object that is given its highest number first is made large enough once, and not again with every few fields.
  const last = lastField(first, second, layout);
  if (last > SECOND) fields[last] = "";
  readFields(source, layout, { bits: first, from: 1, fields });
  if (second) {
    const third = hasThird && hasBit(second, 1) ? readBitmap(source, spec.bitmap, THIRD_PLACE) : undefined;
    readFields(source, layout, { bits: second, from: THIRD, fields });
    if (third) readFields(source, layout, { bits: third, from: SECOND_MAX + 1, fields });
  }
  refuseRest(source, MESSAGE_PLACE);
  return { mti, fields };
}

/** The highest number of a field, bitmaps left out, that the first two bitmaps announce; 1 or less when there is none. */
function lastField(first: Bits, second: Bits | undefined, { hasThird }: Layout): number {
  const last = second === undefined ? 0 : lastBit(second);
  return last > (hasThird ? 1 : 0) ? BITMAP_FIELDS + last : lastBit(first);
}

function readMti(source: Source, { mti, spec }: Layout): string {
  const text = mti.read(source);
  if (typeof text === "string" && text.startsWith(spec.version)) return text;
  const place: Place = { path: "mti", name: "MTI" };
  throw readFault(
    "codec.invalid",
    { place, source, at: 0 },
    `version ${String(text)[0]} where ${spec.version} belongs`,
  );
}

interface ReadBits {
  readonly bits: Bits;
  /** The field of the first bit. */
  readonly from: number;
  readonly fields: Record<number, FieldValue>;
}

function readFields(source: Source, layout: Layout, { bits, from, fields }: ReadBits): void {
  for (let index = 0; index < BITMAP_BYTES; index += 1) {
    let rest = bits.bytes[bits.at + index] ?? 0;
    while (rest !== 0) {
      // The highest bit that is left; a byte stands in the lowest eight of 32 bits.
      const bit = Math.clz32(rest) - 24;
      rest &= ~(0x80 >> bit);
      const de = from + index * 8 + bit;
      if (de === SECOND || (de === THIRD && layout.hasThird)) continue;
      const codec = layout.fields[de];
      if (!codec) throw readFault("codec.invalid", { place: unknown(de, layout), source, at: source.at }, NOT_IN_TABLE);
      const plain = layout.plain[de];
      fields[de] = (plain && readPlainText(source, plain)) ?? codec.read(source);
    }
  }
}

const NOT_IN_TABLE = "is not in the table";
const unknown = (de: number | string, { spec }: Layout): Place => ({ path: String(de), name: `of ${spec.name}` });

function writeMessage(target: Target, { mti, fields }: Iso8583Message, layout: Layout): void {
  const { spec, hasThird } = layout;
  writeMti(target, mti, layout);
  const { bitmap: encoding } = spec;
  const size = bitmapSize(encoding);
  const last = lastPresent(fields, layout);
  const bits = new Uint8Array(3 * BITMAP_BYTES);
  const firstAt = target.at;
  target.at += last > BITMAP_FIELDS ? 2 * size : size;
  let thirdAt = 0;
  for (let de = SECOND + 1; de <= last; de += 1) {
    if (de === THIRD && last > SECOND_MAX && hasThird) {
      thirdAt = target.at;
      target.want(size, THIRD_PLACE);
      target.at += size;
      setBit(bits, THIRD);
      continue;
    }
    const value = fields[de];
    if (value === undefined) continue;
    layout.fields[de]?.write(target, value);
    setBit(bits, de);
  }
  if (last > BITMAP_FIELDS) {
    setBit(bits, SECOND);
    writeBitmap(target, firstAt + size, { bits, from: BITMAP_BYTES, encoding });
  }
  writeBitmap(target, firstAt, { bits, from: 0, encoding });
  if (thirdAt > 0) writeBitmap(target, thirdAt, { bits, from: 2 * BITMAP_BYTES, encoding });
}

/** The highest number that the message has; a field that the table does not have is refused. */
function lastPresent(fields: Iso8583Message["fields"], layout: Layout): number {
  let last = 0;
  let count = 0;
  for (let de = 0; de <= THIRD_MAX; de += 1) {
    if (fields[de] === undefined || !layout.fields[de]) continue;
    last = de;
    count += 1;
  }
  const keys = Object.keys(fields);
  if (keys.length === count) return last;
  const stray = keys.find((key) => fields[Number(key)] !== undefined && !layout.fields[Number(key)]);
  if (stray === undefined) return last;
  throw writeFault("codec.invalid", unknown(stray, layout), NOT_IN_TABLE);
}

function writeMti(target: Target, mti: string, { mti: codec, spec }: Layout): void {
  codec.write(target, mti);
  if (mti.startsWith(spec.version)) return;
  throw writeFault("codec.invalid", { path: "mti", name: "MTI" }, `version ${mti[0]} where ${spec.version} belongs`);
}
