/**
 * The short way through the fields that most of a message consists of: texts in ASCII. It reads what is right and nothing else.
 * At the first doubt it leaves the field to its codec, which says what is wrong; so it adds speed and no meaning.
 */
import { CHARACTER_CLASS, FORMAT_CLASSES, SPACE } from "./characters.ts";
import type { Source } from "./cursor.ts";
import type { FieldSpec } from "./spec.ts";

/** One shape for every field, so that one compiled function reads them all. */
export interface PlainText {
  /** Of a fixed field; 0 of a variable one. */
  readonly units: number;
  /** Of the prefix; 0 of a fixed field. */
  readonly digits: number;
  readonly max: number;
  readonly classes: number;
  readonly trims: boolean;
}

/** Undefined when only its codec can read the field. */
export function plainText({ format, encoding, length, padding, content }: FieldSpec): PlainText | undefined {
  if (encoding !== "ascii" || content || format === "xn") return undefined;
  const classes = FORMAT_CLASSES[format];
  if (typeof length === "number") {
    return { units: length, digits: 0, max: length, classes, trims: padding === "right-space" };
  }
  if (length.encoding !== "ascii") return undefined;
  return { units: 0, digits: length.digits, max: length.max, classes, trims: false };
}

/** Undefined, and nothing read, when something is not as it should be. */
export function readPlainText(source: Source, { units, digits, max, classes, trims }: PlainText): string | undefined {
  const { bytes, at, end } = source;
  let count = units;
  for (let index = at; index < at + digits; index += 1) count = count * 10 + (bytes[index] ?? 0) - 0x30;
  const from = at + digits;
  const to = from + count;
  if (count < 0 || count > max || to > end) return undefined;
  // A prefix with another character in it could say a number that fits.
  for (let index = at; index < from; index += 1)
    if (((CHARACTER_CLASS[bytes[index] ?? 0] ?? 0) & FORMAT_CLASSES.n) === 0) return undefined;
  let stop = to;
  if (trims) while (stop > from && bytes[stop - 1] === SPACE) stop -= 1;
  let all = classes;
  for (let index = from; index < stop; index += 1)
    if (((CHARACTER_CLASS[bytes[index] ?? 0] ?? 0) & classes) === 0) all = 0;
  if (all === 0) return undefined;
  source.at = to;
  return source.latin1.substring(from, stop);
}
