/** Which characters each format of ISO 8583 may have, as one table of bits, since every byte of a message is looked up in it. */
import type { FieldFormat } from "./spec.ts";

const DIGIT = 1;
const LETTER = 2;
const SPECIAL = 4;
const TRACK = 8;

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
export const SPACE = 0x20;
const DELETE = 0x7f;
/** The first graphic character of the upper half of ISO 8859-1; below it are control characters. */
const NO_BREAK_SPACE = 0xa0;
/** The separator of a track, which some write as the digit that it is. */
export const SEPARATOR = 0x3d;
export const SEPARATOR_LETTER = 0x44;

/** By byte. */
export const CHARACTER_CLASS: Readonly<Uint8Array> = Uint8Array.from({ length: 0x100 }, (_, byte) => classOf(byte));

function classOf(byte: number): number {
  if (byte >= DIGIT_0 && byte <= DIGIT_9) return DIGIT | TRACK;
  const letter = byte & ~0x20;
  if (letter >= 0x41 && letter <= 0x5a) return byte === SEPARATOR_LETTER ? LETTER | TRACK : LETTER;
  if (byte === SEPARATOR) return SPECIAL | TRACK;
  return (byte >= SPACE && byte < DELETE) || byte >= NO_BREAK_SPACE ? SPECIAL : 0;
}

/** A byte suits a text of the format when it has one of these bits. `b` is no text, and the sign of `xn` is looked at apart. */
export const FORMAT_CLASSES: Readonly<Record<FieldFormat, number>> = {
  n: DIGIT,
  a: LETTER,
  an: LETTER | DIGIT,
  as: LETTER | SPECIAL,
  ns: DIGIT | SPECIAL,
  ans: LETTER | DIGIT | SPECIAL,
  z: TRACK,
  xn: DIGIT,
  b: 0,
};

/** What people call the units of a format. */
export const UNIT_NAMES: Readonly<Record<FieldFormat, string>> = {
  n: "digits",
  a: "letters",
  an: "letters or digits",
  as: "characters",
  ns: "characters",
  ans: "characters",
  z: "track characters",
  xn: "characters",
  b: "bytes",
};
