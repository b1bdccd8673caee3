/** Digits in half bytes: formats `n` and `cn`, and Track 2 equivalent data (Book 3, 4.3 and Annex A). */
import { fromHex, toHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

/** Format n: right-justified, zeros in front. `encodeNumeric(250n, 6)` is an amount of 2.50. */
export function encodeNumeric(value: bigint, bytes: number): Uint8Array<ArrayBuffer> {
  const digits = value.toString();
  if (value < 0n || digits.length > bytes * 2) throw new Fault("codec.invalid", `${value} does not fit n ${bytes * 2}`);
  return fromHex(digits.padStart(bytes * 2, "0"));
}

export function decodeNumeric(bytes: Uint8Array): bigint {
  const digits = toHex(bytes);
  if (!/^\d*$/.test(digits)) throw new Fault("codec.invalid", "a half byte that is no digit in a numeric value");
  return BigInt(digits || "0");
}

/** Format cn: left-justified, F behind. */
export function encodeCompressed(digits: string): Uint8Array<ArrayBuffer> {
  if (!/^\d*$/.test(digits)) throw new Fault("codec.invalid", "a compressed numeric value has digits only");
  return fromHex(digits.length % 2 === 0 ? digits : `${digits}f`);
}

export function decodeCompressed(bytes: Uint8Array): string {
  const match = /^(\d*)f*$/.exec(toHex(bytes));
  if (!match) throw new Fault("codec.invalid", "a compressed numeric value is digits, then F");
  return match[1] ?? "";
}

export interface Track2 {
  readonly pan: string;
  /** YYMM. */
  readonly expiry: string;
  readonly serviceCode: string;
  readonly discretionary: string;
}

/** Tag 57, with `D` as the field separator. */
export function decodeTrack2(bytes: Uint8Array): Track2 {
  const match = /^(\d{1,19})d(\d{4})(\d{3})(\d*)f?$/.exec(toHex(bytes));
  if (!match) throw new Fault("codec.invalid", "track 2 equivalent data of another form");
  const [, pan = "", expiry = "", serviceCode = "", discretionary = ""] = match;
  return { pan, expiry, serviceCode, discretionary };
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
