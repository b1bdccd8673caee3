/** What is inside a field: data objects, sub-fields one after another, behind a bitmap of their own, or each behind its tag. */
import { assert, unreachable } from "../../base/assert.ts";
import { BITMAP_BYTES, BITMAP_FIELDS, bitmapSize, hasBit, readBitmap, setBit, writeBitmap } from "./bitmap.ts";
import { type Place, placeName, placeWithin, readFault, refuseRest, writeFault } from "./cursor.ts";
import type { FieldValue } from "./message.ts";
import type { BitmapEncoding, FieldContent, FieldSpec, FieldTable } from "./spec.ts";
import { taggedContent } from "./tagged-content.ts";
import { tlvContent } from "./tlv-content.ts";
import { type ContentCodec, type FieldCodec, type ValueCodec, wantSubFields } from "./value-codec.ts";

/** Fields have contents, and contents have fields. */
interface Compilers {
  field(spec: FieldSpec, place: Place): FieldCodec;
  value(spec: FieldSpec, place: Place): ValueCodec;
}

export function contentCodec(content: FieldContent, place: Place, compilers: Compilers): ContentCodec {
  switch (content.kind) {
    case "ber-tlv":
      return tlvContent(place);
    case "positional":
      return positionalContent(content.fields, place, compilers);
    case "bitmap":
      return bitmapContent(content, place, compilers);
    case "tagged":
      return taggedContent(content, place, compilers.value);
    default:
      return unreachable(content);
  }
}

function positionalContent(fields: readonly FieldSpec[], place: Place, { field }: Compilers): ContentCodec {
  const codecs = fields.map((spec, index) => field(spec, placeWithin(place, index + 1, spec.name)));
  return {
    read: (source) => {
      const values: Record<string, FieldValue> = {};
      for (let index = 0; index < codecs.length && source.at < source.end; index += 1) {
        const codec = codecs[index];
        if (codec) values[index + 1] = codec.read(source);
      }
      refuseRest(source, place);
      return values;
    },
    write: (target, value) => {
      const values = wantSubFields(value, place);
      Object.entries(values).forEach(([id, inner], index) => {
        const codec = codecs[index];
        const here = placeWithin(place, id, place.name);
        if (!codec || codec.id !== id) throw writeFault("codec.invalid", here, notNext(codec?.id));
        codec.write(target, inner);
      });
    },
  };
}

const notNext = (next: string | undefined): string =>
  next === undefined ? "is not in the table" : `stands where sub-field ${next} belongs`;

function bitmapContent(
  { bitmap, fields }: { readonly bitmap: BitmapEncoding; readonly fields: FieldTable },
  place: Place,
  { field }: Compilers,
): ContentCodec {
  const codecs = new Map(
    Object.entries(fields).map(([id, spec]) => [Number(id), field(spec, placeWithin(place, id, spec.name))]),
  );
  assert(
    [...codecs.keys()].every((id) => id >= 1 && id <= BITMAP_FIELDS),
    `${placeName(place)} has sub-fields from 1 to ${BITMAP_FIELDS}`,
  );
  const bitmapPlace = placeWithin(place, "bitmap", `bitmap of ${place.name}`);
  const codecOf = (id: number): FieldCodec | undefined => codecs.get(id);
  return {
    read: (source) => {
      const bits = readBitmap(source, bitmap, bitmapPlace);
      const values: Record<string, FieldValue> = {};
      for (let id = 1; id <= BITMAP_FIELDS; id += 1) {
        if (!hasBit(bits, id)) continue;
        const codec = codecOf(id);
        const here = placeWithin(place, id, place.name);
        if (!codec) throw readFault("codec.invalid", { place: here, source, at: source.at }, "is not in the table");
        values[id] = codec.read(source);
      }
      refuseRest(source, place);
      return values;
    },
    write: (target, value) => {
      const values = wantSubFields(value, place);
      const bits = new Uint8Array(BITMAP_BYTES);
      const start = target.at;
      target.want(bitmapSize(bitmap), place);
      target.at += bitmapSize(bitmap);
      for (const [id, inner] of Object.entries(values)) {
        const codec = codecOf(Number(id));
        if (codec?.id !== id)
          throw writeFault("codec.invalid", placeWithin(place, id, place.name), "is not in the table");
        codec.write(target, inner);
        setBit(bits, Number(id));
      }
      writeBitmap(target, start, { bits, from: 0, encoding: bitmap });
    },
  };
}
