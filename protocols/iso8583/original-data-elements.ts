/** Which message a reversal or an advice speaks of: DE 90 of 1987 and DE 56 of 1993. */
import { Fault } from "../../base/fault.ts";

interface OriginalMessage {
  readonly mti: string;
  readonly stan: string;
  /** DE 32 of the original, without zeros in front; empty when it had none. */
  readonly acquirer: string;
}

export interface OriginalDataElements extends OriginalMessage {
  /** DE 7 of the original, MMDDhhmmss. */
  readonly transmissionDateTime: string;
  /** DE 33 of the original, without zeros in front; empty when it had none. */
  readonly forwarder: string;
}

export interface OriginalDataElements1993 extends OriginalMessage {
  /** DE 12 of the original, YYMMDDhhmmss. */
  readonly localDateTime: string;
}

const INSTITUTION_DIGITS = 11;

/** DE 90, n 42: institutions are right-justified with zeros in front. */
export function encodeOriginalDataElements(original: OriginalDataElements): string {
  return [
    digits(original.mti, 4, "90.1"),
    digits(original.stan, 6, "90.2"),
    digits(original.transmissionDateTime, 10, "90.3"),
    digits(original.acquirer.padStart(INSTITUTION_DIGITS, "0"), INSTITUTION_DIGITS, "90.4"),
    digits(original.forwarder.padStart(INSTITUTION_DIGITS, "0"), INSTITUTION_DIGITS, "90.5"),
  ].join("");
}

export function decodeOriginalDataElements(text: string): OriginalDataElements {
  if (!/^\d{42}$/.test(text)) throw invalid("90", "42 digits belong in it");
  const institution = (from: number): string => text.slice(from, from + INSTITUTION_DIGITS).replace(/^0+/, "");
  return {
    mti: text.slice(0, 4),
    stan: text.slice(4, 10),
    transmissionDateTime: text.slice(10, 20),
    acquirer: institution(20),
    forwarder: institution(31),
  };
}

/** DE 56, n ..35: the acquirer stands behind two digits of its length. */
export function encodeOriginalDataElements1993(original: OriginalDataElements1993): string {
  const { acquirer } = original;
  if (acquirer.length > INSTITUTION_DIGITS) throw invalid("56.4", `at most ${INSTITUTION_DIGITS} digits belong in it`);
  return [
    digits(original.mti, 4, "56.1"),
    digits(original.stan, 6, "56.2"),
    digits(original.localDateTime, 12, "56.3"),
    acquirer.length.toString().padStart(2, "0"),
    digits(acquirer, acquirer.length, "56.4"),
  ].join("");
}

export function decodeOriginalDataElements1993(text: string): OriginalDataElements1993 {
  const match = /^(\d{4})(\d{6})(\d{12})(\d{2})(\d{0,11})$/.exec(text);
  if (!match || Number(match[4]) !== match[5]?.length)
    throw invalid("56", "24 digits and those of the acquirer belong in it");
  const [, mti = "", stan = "", localDateTime = "", , acquirer = ""] = match;
  return { mti, stan, localDateTime, acquirer };
}

function digits(text: string, count: number, path: string): string {
  if (text.length === count && /^\d*$/.test(text)) return text;
  throw invalid(path, `${count} digits belong in it`);
}

const invalid = (path: string, reason: string): Fault =>
  new Fault("codec.invalid", `DE ${path} of original data elements: ${reason}`, { details: { path } });
