/** The message type identifier: version, class, function and origin, one digit each (ISO 8583:1987, 4.3; 1993, 4.1). */
import { Fault } from "../../base/fault.ts";

const VERSIONS = ["1987", "1993", "2003"];
const CLASSES = [
  undefined,
  "authorisation",
  "financial",
  "file action",
  "reversal",
  "reconciliation",
  "administrative",
  "fee collection",
  "network management",
];
const FUNCTIONS = [
  "request",
  "response",
  "advice",
  "advice response",
  "notification",
  "notification acknowledgement",
  "instruction",
  "instruction acknowledgement",
];
const ORIGINS = ["acquirer", "acquirer repeat", "issuer", "issuer repeat", "other", "other repeat"];

/** The four digits as numbers. */
export interface Mti {
  readonly version: number;
  readonly class: number;
  readonly function: number;
  readonly origin: number;
}

export function mtiOf(mti: string): Mti {
  if (!/^\d{4}$/.test(mti)) throw mtiFault("an MTI has four digits");
  const digit = (at: number): number => Number(mti[at]);
  return { version: digit(0), class: digit(1), function: digit(2), origin: digit(3) };
}

/** `0421` is "reversal advice, acquirer repeat (1987)". */
export function describeMti(text: string): string {
  const mti = mtiOf(text);
  const name = `${CLASSES[mti.class] ?? "reserved class"} ${FUNCTIONS[mti.function] ?? "reserved function"}`;
  return `${name}, ${ORIGINS[mti.origin] ?? "reserved origin"} (${VERSIONS[mti.version] ?? "reserved version"})`;
}

/** What answers it: 0100 -> 0110, 0220 -> 0230, 0421 -> 0430. An answer has no answer: a Fault. */
export function responseMtiOf(text: string): string {
  const mti = mtiOf(text);
  if (mti.function % 2 !== 0) throw mtiFault(`an MTI ${text} is an answer, and has none`);
  // The answer to a repeat is the answer to the message itself.
  return `${mti.version}${mti.class}${mti.function + 1}${mti.origin - (mti.origin % 2)}`;
}

/** What repeats it: 0420 -> 0421. */
export function repeatMtiOf(text: string): string {
  const { origin } = mtiOf(text);
  return text.slice(0, -1) + (origin - (origin % 2) + 1);
}

export const isRepeat = (mti: string): boolean => mtiOf(mti).origin % 2 === 1;

/** A response, or the acknowledgement of a notification. */
export const isAnswer = (mti: string): boolean => mtiOf(mti).function % 2 === 1;

const mtiFault = (reason: string): Fault => new Fault("codec.invalid", reason, { details: { path: "mti" } });
