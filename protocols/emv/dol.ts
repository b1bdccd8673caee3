/** Data object lists: what the card asks the terminal for (Book 3, 5.4). */
import { ByteReader, concat } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import { encodeTag, isConstructed, readTag, type Tag } from "./ber-tlv.ts";
import { EMV_TAGS } from "./tags.ts";

export interface DolEntry {
  readonly tag: Tag;
  /** Bytes the card wants, whatever the terminal's value has. */
  readonly length: number;
}

/** As much as one short command carries. */
export const DOL_BYTES_MAX = 252;

/** Faults carry `details.offset`. */
export function decodeDol(bytes: Uint8Array): readonly DolEntry[] {
  if (bytes.length > DOL_BYTES_MAX) {
    const details = { offset: DOL_BYTES_MAX };
    throw new Fault("codec.too-long", `a DOL of more than ${DOL_BYTES_MAX} bytes`, { details });
  }
  const reader = new ByteReader(bytes);
  const entries: DolEntry[] = [];
  while (reader.remaining > 0) entries.push({ tag: readTag(reader), length: reader.u8() });
  return entries;
}

export function encodeDol(entries: readonly DolEntry[]): Uint8Array<ArrayBuffer> {
  return concat(
    ...entries.map(({ tag, length }) => {
      if (!(Number.isInteger(length) && length >= 0 && length <= 0xff)) {
        throw new Fault("codec.invalid", `a DOL length of ${length}`);
      }
      return concat(encodeTag(tag), Uint8Array.of(length));
    }),
  );
}

export const dolDataLength = (entries: readonly DolEntry[]): number =>
  entries.reduce((sum, entry) => sum + entry.length, 0);

/** The values one after another, without tags, each in the length that the card asked for. */
export function buildDol(entries: readonly DolEntry[], values: ReadonlyMap<Tag, Uint8Array>): Uint8Array<ArrayBuffer> {
  return concat(...entries.map((entry) => sized(entry, values.get(entry.tag))));
}

/** Book 3, 5.4, rules 1 to 4. */
function sized({ tag, length }: DolEntry, value: Uint8Array | undefined): Uint8Array {
  const field = new Uint8Array(length);
  if (!value || isConstructed(tag)) return field;
  const format = EMV_TAGS.get(tag)?.format ?? "b";
  if (format === "n") {
    const kept = value.subarray(Math.max(value.length - length, 0));
    field.set(kept, length - kept.length);
    return field;
  }
  if (format === "cn") field.fill(0xff);
  field.set(value.subarray(0, length));
  return field;
}

/** The values that a card finds in what a terminal sent: the inverse of `buildDol`. */
export function splitDol(entries: readonly DolEntry[], data: Uint8Array): ReadonlyMap<Tag, Uint8Array> {
  const reader = new ByteReader(data);
  const values = new Map<Tag, Uint8Array>();
  for (const { tag, length } of entries) values.set(tag, reader.take(length));
  if (reader.remaining > 0) {
    const details = { offset: reader.position };
    throw new Fault("codec.too-long", `${reader.remaining} bytes more than the DOL asks for`, { details });
  }
  return values;
}
