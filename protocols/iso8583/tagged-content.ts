/** Sub-fields each behind its tag and its length, as DE 48 often has them. */
import { assert } from "../../base/assert.ts";
import { CHARACTER_CLASS, FORMAT_CLASSES } from "./characters.ts";
import {
  byteName,
  type Place,
  placeName,
  placeWithin,
  readFault,
  type Source,
  type Target,
  writeFault,
} from "./cursor.ts";
import type { FieldValue } from "./message.ts";
import type { FieldSpec, TaggedContent } from "./spec.ts";
import { type ContentCodec, type ValueCodec, wantSubFields } from "./value-codec.ts";

interface TaggedField {
  readonly place: Place;
  readonly spec: FieldSpec;
  readonly codec: ValueCodec;
}

type CompileValue = (spec: FieldSpec, place: Place) => ValueCodec;

/** They are written in the order of their tags, whatever the order in which they came. */
export function taggedContent(content: TaggedContent, place: Place, compile: CompileValue): ContentCodec {
  const { tagCharacters, lengthDigits, others } = content;
  const fieldOf = (tag: string, spec: FieldSpec): TaggedField => {
    const here = placeWithin(place, tag, spec.name);
    // A length counts bytes, and of packed digits would not say how many there are.
    assert(spec.encoding === "ascii" || spec.encoding === "binary", `${placeName(here)} is ascii or binary`);
    return { place: here, spec, codec: compile(spec, here) };
  };
  const table = new Map(Object.entries(content.fields).map(([tag, spec]) => [tag, fieldOf(tag, spec)]));
  for (const tag of table.keys()) assert(isTag(tag, tagCharacters), `${placeName(place)} has no tag ${tag}`);
  const known = (tag: string): TaggedField | undefined => table.get(tag) ?? (others && fieldOf(tag, others));
  return {
    read: (source) => {
      const values: Record<string, FieldValue> = {};
      while (source.at < source.end) {
        const start = source.at;
        const tag = readTag(source, tagCharacters, place);
        const field = known(tag);
        const here = field?.place ?? placeWithin(place, tag, place.name);
        if (!field) throw readFault("codec.invalid", { place: here, source, at: start }, "is not in the table");
        if (values[tag] !== undefined)
          throw readFault("codec.invalid", { place: here, source, at: start }, "is there twice");
        values[tag] = readField(source, field, lengthDigits);
      }
      return values;
    },
    write: (target, value) => {
      const values = wantSubFields(value, place);
      for (const tag of Object.keys(values).sort()) {
        const field = isTag(tag, tagCharacters) ? known(tag) : undefined;
        const inner = values[tag];
        if (!field || inner === undefined) {
          throw writeFault("codec.invalid", placeWithin(place, tag, place.name), "is not in the table");
        }
        writeTag(target, tag, place);
        writeField(target, inner, { field, lengthDigits });
      }
    },
  };
}

const TAG = /^[0-9A-Za-z]+$/;
const isTag = (tag: string, characters: number): boolean => tag.length === characters && TAG.test(tag);

function readTag(source: Source, characters: number, place: Place): string {
  const here = { path: place.path, name: `tag in ${place.name}` };
  source.want(characters, here);
  const { at } = source;
  for (let index = at; index < at + characters; index += 1) {
    const byte = source.bytes[index] ?? 0;
    if (((CHARACTER_CLASS[byte] ?? 0) & FORMAT_CLASSES.an) === 0) {
      throw readFault("codec.invalid", { place: here, source, at: index }, `${byteName(byte)} where a tag belongs`);
    }
  }
  source.at = at + characters;
  return source.latin1.substring(at, at + characters);
}

function readField(source: Source, { place, spec, codec }: TaggedField, lengthDigits: number): FieldValue {
  source.want(lengthDigits, place);
  const { at } = source;
  let length = 0;
  for (let index = at; index < at + lengthDigits; index += 1) {
    const digit = (source.bytes[index] ?? 0) - 0x30;
    if (digit < 0 || digit > 9)
      throw readFault("codec.invalid", { place, source, at: index }, "its length is not a number");
    length = length * 10 + digit;
  }
  const fits = typeof spec.length === "number" ? length === spec.length : length <= spec.length.max;
  if (!fits) throw readFault("codec.invalid", { place, source, at }, `${length} bytes do not suit it`);
  source.at = at + lengthDigits;
  return codec.read(source, length);
}

function writeTag(target: Target, tag: string, place: Place): void {
  target.want(tag.length, place);
  for (let index = 0; index < tag.length; index += 1) target.bytes[target.at + index] = tag.charCodeAt(index);
  target.at += tag.length;
}

function writeField(
  target: Target,
  value: FieldValue,
  { field, lengthDigits }: { readonly field: TaggedField; readonly lengthDigits: number },
): void {
  target.want(lengthDigits, field.place);
  const lengthAt = target.at;
  target.at += lengthDigits;
  const units = field.codec.write(target, value);
  let rest = units;
  for (let index = lengthDigits - 1; index >= 0; index -= 1) {
    target.bytes[lengthAt + index] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  if (rest > 0) throw writeFault("codec.too-long", field.place, `${units} bytes do not fit its length`);
}
