/** DE 55: BER-TLV data objects as cards and terminals write them, with Faults that name field and tag. */
import { Fault, isFault } from "../../base/fault.ts";
import { decodeTlv, encodeTlv, type Tlv, tagName } from "../emv/ber-tlv.ts";
import { type Place, placeName, placeWithin, readFault, type Source, writeFault } from "./cursor.ts";
import { isTlvList } from "./message.ts";
import { type ContentCodec, kindOf } from "./value-codec.ts";

/** Issuer scripts may come more than once, and templates are none of ours. */
const REPEATED_TAGS: ReadonlySet<number> = new Set([0x71, 0x72, 0x86]);

export function tlvContent(place: Place): ContentCodec {
  return {
    read: (source) => {
      const { at } = source;
      const objects = withPath(place, { source, at }, () => decodeTlv(source.bytes.subarray(at, source.end)));
      const twice = repeatedTag(objects);
      if (twice !== undefined) {
        throw readFault(
          "codec.invalid",
          { place: placeWithin(place, twice, place.name), source, at },
          "is there twice",
        );
      }
      source.at = source.end;
      return objects;
    },
    write: (target, value) => {
      if (!isTlvList(value)) throw writeFault("codec.invalid", place, `wants data objects, and is ${kindOf(value)}`);
      const twice = repeatedTag(value);
      if (twice !== undefined) {
        throw writeFault("codec.invalid", placeWithin(place, twice, place.name), "is there twice");
      }
      const bytes = withPath(place, undefined, () => encodeTlv(value));
      target.want(bytes.length, place);
      target.bytes.set(bytes, target.at);
      target.at += bytes.length;
    },
  };
}

function repeatedTag(objects: readonly Tlv[]): string | undefined {
  const seen = new Set<number>();
  for (const { tag } of objects) {
    if (seen.has(tag) && !REPEATED_TAGS.has(tag)) return tagName(tag);
    seen.add(tag);
  }
  return undefined;
}

/** A Fault of the data objects, told as one of this field and, where it is known, tag. */
function withPath<T>(
  place: Place,
  where: { readonly source: Source; readonly at: number } | undefined,
  work: () => T,
): T {
  try {
    return work();
  } catch (error) {
    if (!isFault(error)) throw error;
    const tag = error.details["tag"];
    const path = typeof tag === "string" ? `${place.path}.${tag}` : place.path;
    const inside = Number(error.details["offset"] ?? 0);
    const offset = where ? { offset: where.source.offsetOf(where.at + inside) } : {};
    const details = { path, field: place.name, ...offset };
    throw new Fault(error.code, `${placeName(place)}: ${error.message} of it`, { details, cause: error });
  }
}
