/** Texts as one byte for each character, and digits packed two in a byte. */
import { CHARACTER_CLASS, FORMAT_CLASSES, SEPARATOR_LETTER, SPACE, UNIT_NAMES } from "./characters.ts";
import { byteName, type Place, readFault, type Source, writeFault } from "./cursor.ts";
import type { FieldSpec, OddNibble } from "./spec.ts";
import { fixedUnits, textUnits, type ValueCodec, wantText } from "./value-codec.ts";

export function asciiCodec(spec: FieldSpec, place: Place): ValueCodec {
  const classes = FORMAT_CLASSES[spec.format];
  const unitsOf = textUnits(spec, place);
  const fixed = fixedUnits(spec);
  const trims = typeof spec.length === "number" && spec.padding === "right-space";
  const zeros = spec.padding === "left-zero";
  const signed = spec.format === "xn" ? 1 : 0;
  const wrong = `where ${UNIT_NAMES[spec.format]} belong`;
  return {
    read: (source, units = fixed) => {
      source.want(units, place);
      const { bytes, at } = source;
      const end = at + units;
      let stop = end;
      if (trims) while (stop > at && bytes[stop - 1] === SPACE) stop -= 1;
      if (signed === 1) checkSign(source, place);
      for (let index = at + signed; index < stop; index += 1) {
        const byte = bytes[index] ?? 0;
        if (((CHARACTER_CLASS[byte] ?? 0) & classes) === 0) {
          throw readFault("codec.invalid", { place, source, at: index }, `${byteName(byte)} ${wrong}`);
        }
      }
      source.at = end;
      return source.latin1.substring(at, stop);
    },
    write: (target, value) => {
      const text = wantText(value, place);
      const units = unitsOf(text);
      target.want(units, place);
      const { bytes, at } = target;
      const missing = units - text.length;
      const start = zeros ? at + missing : at;
      if (missing > 0) bytes.fill(zeros ? 0x30 : SPACE, zeros ? at : at + text.length, zeros ? start : at + units);
      if (signed === 1) checkSignOf(text, place);
      for (let index = 0; index < text.length; index += 1) {
        const code = text.charCodeAt(index);
        if (code > 0xff || (((CHARACTER_CLASS[code] ?? 0) & classes) === 0 && index >= signed)) {
          throw writeFault("codec.invalid", place, `character ${index + 1} does not suit ${spec.format}`);
        }
        bytes[start + index] = code;
      }
      target.at = at + units;
      return units;
    },
  };
}

const CREDIT = 0x43;
const DEBIT = SEPARATOR_LETTER;

/** Format x+n: C or D stands before the amount. */
function checkSign(source: Source, place: Place): void {
  const sign = source.bytes[source.at] ?? 0;
  if (sign === CREDIT || sign === DEBIT) return;
  throw readFault("codec.invalid", { place, source, at: source.at }, `${byteName(sign)} where C or D belongs`);
}

function checkSignOf(text: string, place: Place): void {
  if (text.startsWith("C") || text.startsWith("D")) return;
  throw writeFault("codec.invalid", place, "the first character is not C or D");
}

/** Digits two in a byte. The sign of x+n stays a character in front of them. */
export function bcdCodec(spec: FieldSpec, place: Place): ValueCodec {
  return { read: bcdReader(spec, place), write: bcdWriter(spec, place) };
}

const PAD_NIBBLE: Readonly<Record<OddNibble, number>> = { "left-zero": 0, "right-zero": 0, "right-f": 0xf };
const SEPARATOR_NIBBLE = 0xd;

function bcdReader(spec: FieldSpec, place: Place): ValueCodec["read"] {
  const { format, oddNibble = "left-zero" } = spec;
  const isTrack = format === "z";
  const signed = format === "xn" ? 1 : 0;
  const left = oddNibble === "left-zero" ? 1 : 0;
  const fixed = fixedUnits(spec);
  return (source, units = fixed) => {
    const digits = units - signed;
    source.want(signed + ((digits + 1) >> 1), place);
    const { at, bytes } = source;
    if (signed === 1) checkSign(source, place);
    const first = (at + signed) * 2;
    const odd = digits & 1;
    const start = first + (odd & left);
    const stop = start + digits;
    for (let half = first; half < first + digits + odd; half += 1) {
      const byte = bytes[half >> 1] ?? 0;
      const nibble = (half & 1) === 0 ? byte >> 4 : byte & 0x0f;
      if (nibble <= 9 && half >= start && half < stop) continue;
      if (half < start || half >= stop) {
        if (nibble === PAD_NIBBLE[oddNibble]) continue;
      } else if (isTrack && nibble === SEPARATOR_NIBBLE) continue;
      throw readFault("codec.invalid", { place, source, at: half >> 1 }, wrongNibble(byte, { spec, half }));
    }
    source.at = at + signed + ((digits + 1) >> 1);
    const text = source.hex.substring(start, stop);
    if (isTrack) return text.replaceAll("d", "=");
    return signed === 1 ? source.latin1.charAt(at) + text : text;
  };
}

const wrongNibble = (byte: number, { spec, half }: { readonly spec: FieldSpec; readonly half: number }): string =>
  `${byteName(byte)} has no ${spec.format === "z" ? "track character" : "digit"} in its ${half % 2 === 0 ? "upper" : "lower"} half`;

function bcdWriter(spec: FieldSpec, place: Place): ValueCodec["write"] {
  const { format, oddNibble = "left-zero" } = spec;
  const classes = FORMAT_CLASSES[format];
  const unitsOf = textUnits(spec, place);
  const signed = format === "xn" ? 1 : 0;
  const pad = PAD_NIBBLE[oddNibble];
  return (target, value) => {
    const text = wantText(value, place);
    const units = unitsOf(text);
    const digits = units - signed;
    target.want(signed + ((digits + 1) >> 1), place);
    const { bytes, at } = target;
    if (signed === 1) {
      checkSignOf(text, place);
      bytes[at] = text.charCodeAt(0);
    }
    const odd = digits & 1;
    let half = (at + signed) * 2;
    let byte = 0;
    const put = (nibble: number): void => {
      if ((half & 1) === 0) byte = nibble << 4;
      else bytes[half >> 1] = byte | nibble;
      half += 1;
    };
    if (odd === 1 && oddNibble === "left-zero") put(pad);
    for (let missing = units - text.length; missing > 0; missing -= 1) put(0);
    for (let index = signed; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > 0xff || ((CHARACTER_CLASS[code] ?? 0) & classes) === 0) {
        throw writeFault("codec.invalid", place, `character ${index + 1} does not suit ${format}`);
      }
      put(code === SEPARATOR_LETTER ? SEPARATOR_NIBBLE : code & 0x0f);
    }
    if (odd === 1 && oddNibble !== "left-zero") put(pad);
    target.at = half >> 1;
    return units;
  };
}
