/** Digits in half bytes: formats `n` and `cn`, and Track 2 equivalent data (Book 3, 4.3 and Annex A). */
import { fromHex, toHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

/** Format n: right-justified, zeros in front. `encodeNumeric(250n, 6)` is an amount of 2.50. */
export function encodeNumeric(value: bigint, bytes: number): Uint8Array<ArrayBuffer> {
  const digits = value.toString();
  if (value < 0n || digits.length > bytes * 2) throw new Fault("codec.invalid", `${value} does not fit n ${bytes * 2}`);
  return fromHex(digits.padStart(bytes * 2, "0"));
}

/** Longer than any number of Book 3: what a bank card sends fits, and turning it into a number stays cheap. */
export const NUMERIC_BYTES_MAX = 252;

export function decodeNumeric(bytes: Uint8Array): bigint {
  if (bytes.length > NUMERIC_BYTES_MAX) {
    const details = { offset: NUMERIC_BYTES_MAX };
    throw new Fault("codec.too-long", `a numeric value of more than ${NUMERIC_BYTES_MAX} bytes`, { details });
  }
  const digits = toHex(bytes);
  const wrong = digits.search(/[^\d]/);
  if (wrong >= 0) throw digitFault(wrong, "a half byte that is no digit in a numeric value");
  return BigInt(digits || "0");
}

/** `digit` counts half bytes, as the hex text has them. */
const digitFault = (digit: number, reason: string): Fault => {
  const offset = Math.floor(digit / 2);
  return new Fault("codec.invalid", `${reason}, at byte ${offset}`, { details: { offset } });
};

/** Format cn: left-justified, F behind. */
export function encodeCompressed(digits: string): Uint8Array<ArrayBuffer> {
  if (!/^\d*$/.test(digits)) throw new Fault("codec.invalid", "a compressed numeric value has digits only");
  return fromHex(digits.length % 2 === 0 ? digits : `${digits}f`);
}

export function decodeCompressed(bytes: Uint8Array): string {
  const text = toHex(bytes);
  const [digits = ""] = /^\d*/.exec(text) ?? [];
  const wrong = text.slice(digits.length).search(/[^f]/);
  if (wrong >= 0) throw digitFault(digits.length + wrong, "a compressed numeric value is digits, then F");
  return digits;
}

export interface Track2 {
  readonly pan: string;
  /** YYMM. */
  readonly expiry: string;
  readonly serviceCode: string;
  readonly discretionary: string;
}

const TRACK_2_BYTES_MAX = 19;
const PAN_DIGITS_MAX = 19;
const EXPIRY_DIGITS = 4;
const SERVICE_CODE_DIGITS = 3;

/** Tag 57, with `D` as the field separator and one `F` behind when the digits are odd (Book 3, table 37). */
export function decodeTrack2(bytes: Uint8Array): Track2 {
  if (bytes.length > TRACK_2_BYTES_MAX) {
    const details = { offset: TRACK_2_BYTES_MAX };
    throw new Fault("codec.too-long", `track 2 equivalent data of more than ${TRACK_2_BYTES_MAX} bytes`, { details });
  }
  const text = toHex(bytes);
  const match = /^(\d{1,19})d(\d{4})(\d{3})(\d*)f?$/.exec(text);
  if (!match) throw digitFault(track2Mistake(text), "track 2 equivalent data of another form");
  const [, pan = "", expiry = "", serviceCode = "", discretionary = ""] = match;
  return { pan, expiry, serviceCode, discretionary };
}

/** The half byte from which on the text is no longer PAN, `D`, date, service code, more digits and at most one `F`. */
function track2Mistake(text: string): number {
  const [pan = ""] = /^\d*/.exec(text) ?? [];
  if (pan.length === 0 || pan.length > PAN_DIGITS_MAX || text[pan.length] !== "d") {
    return Math.min(pan.length, PAN_DIGITS_MAX);
  }
  const [rest = ""] = /^\d*/.exec(text.slice(pan.length + 1)) ?? [];
  const digits = pan.length + 1 + rest.length;
  return rest.length >= EXPIRY_DIGITS + SERVICE_CODE_DIGITS && text[digits] === "f" ? digits + 1 : digits;
}

export function encodeTrack2(track: Track2): Uint8Array<ArrayBuffer> {
  const text = `${track.pan}d${track.expiry}${track.serviceCode}${track.discretionary}`;
  const bytes = fromHex(text.length % 2 === 0 ? text : `${text}f`);
  decodeTrack2(bytes);
  return bytes;
}

/** ISO/IEC 7812-1, Annex B. */
export function luhnHolds(digits: string): boolean {
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const doubled = Number(digit) * (index % 2 === 0 ? 1 : 2);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return /^\d+$/.test(digits) && sum % 10 === 0;
}
