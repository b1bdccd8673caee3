/** The keys of a transcript's header as a table: what each value must look like, and its one written form. */
import { Fault } from "../../base/fault.ts";

interface KeyRule {
  /** For people, after "… is". */
  readonly wants: string;
  /** The one form of a value; undefined when it is none. */
  readonly canonical: (text: string) => string | undefined;
  /** May come more than once. */
  readonly many?: true;
}

const matching = (pattern: RegExp, wants: string): KeyRule => ({
  wants,
  canonical: (text) => (pattern.test(text) ? text : undefined),
});

/** Upper case without white space. */
function hexOf(bytesMin: number, bytesMax = bytesMin): KeyRule {
  const pattern = new RegExp(`^(?:[0-9A-F]{2}){${bytesMin},${bytesMax}}$`);
  return {
    wants: bytesMin === bytesMax ? `${bytesMin} bytes in hex` : `${bytesMin} to ${bytesMax} bytes in hex`,
    canonical: (text) => {
      const digits = text.replace(/\s+/g, "").toUpperCase();
      return pattern.test(digits) ? digits : undefined;
    },
  };
}

/** Without leading zeros. */
const wholeNumber = (digits: number, what: string): KeyRule => ({
  wants: `${what}: up to ${digits} digits`,
  canonical: (text) => (/^\d+$/.test(text) && text.length <= digits ? BigInt(text).toString() : undefined),
});

/** ISO 3166-1 or ISO 4217, with or without the zero in front. */
const threeDigits = (what: string): KeyRule => ({
  wants: `${what} of three digits`,
  canonical: (text) => (/^0?\d{3}$/.test(text) ? text.padStart(4, "0") : undefined),
});

const oneOf = (...words: readonly string[]): KeyRule => ({
  wants: words.join(" or "),
  canonical: (text) => words.find((word) => word === text),
});

const many = (rule: KeyRule): KeyRule => ({ ...rule, many: true });

/** Years of two digits below it are of this century (Book 4, 6.7.3). */
const CENTURY_TURN = 50;

function canonicalDate(text: string): string | undefined {
  const short = /^(\d\d)(\d\d)(\d\d)$/.exec(text);
  const long = short ? `${Number(short[1]) < CENTURY_TURN ? "20" : "19"}${short[1]}-${short[2]}-${short[3]}` : text;
  if (!/^\d{4}-\d\d-\d\d$/.test(long)) return undefined;
  const [year = 0, month = 0, day = 0] = long.split("-").map(Number);
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? long : undefined;
}

function canonicalTime(text: string): string | undefined {
  const found = /^([01]\d|2[0-3]):?([0-5]\d):?([0-5]\d)$/.exec(text);
  return found ? found.slice(1).join("") : undefined;
}

function canonicalData(text: string): string | undefined {
  const [tag = "", ...content] = text.toUpperCase().split(/\s+/);
  const value = content.join("");
  const sound = /^(?:[0-9A-F]{2}){1,3}$/.test(tag) && /^(?:[0-9A-F]{2}){0,255}$/.test(value);
  return sound ? `${tag} ${value}`.trim() : undefined;
}

const yesNo = oneOf("yes", "no");
const percent = matching(/^(?:\d|[1-9]\d)$/, "a whole percentage from 0 to 99");
const SCRIPT_BYTES_MAX = 4_096;

/** Units and tags of the values stand in `settingsOfTranscript`. */
const RULES = {
  amount: wholeNumber(12, "minor units"),
  other: wholeNumber(12, "minor units"),
  country: threeDigits("a country code"),
  currency: threeDigits("a currency code"),
  exponent: matching(/^\d$/, "one digit"),
  type: hexOf(1),
  "terminal-type": hexOf(1),
  capabilities: hexOf(3),
  "additional-capabilities": hexOf(5),
  entry: oneOf("contact", "contactless"),
  date: { wants: "a day, YYYY-MM-DD", canonical: canonicalDate },
  time: { wants: "a time of day, HHMMSS", canonical: canonicalTime },
  "unpredictable-number": hexOf(4),
  random: matching(/^[1-9]\d?$/, "a whole number from 1 to 99"),
  "sequence-counter": wholeNumber(8, "a count"),
  "force-online": yesNo,
  "already-spent": wholeNumber(12, "minor units"),
  "on-exception-file": yesNo,
  data: many({ wants: "a tag and its value in hex", canonical: canonicalData }),
  aid: many(hexOf(5, 16)),
  version: hexOf(2),
  partial: yesNo,
  "floor-limit": wholeNumber(10, "minor units"),
  "tac-denial": hexOf(5),
  "tac-online": hexOf(5),
  "tac-default": hexOf(5),
  "random-target": percent,
  "random-max-target": percent,
  "random-threshold": wholeNumber(10, "minor units"),
  "default-ddol": hexOf(1, 252),
  "default-tdol": hexOf(1, 252),
  choose: many(matching(/^(?:none|\d|[1-9]\d)$/, "the number of a candidate from 0 on, or none")),
  ask: oneOf("TC", "ARQC", "AAC"),
  online: oneOf("approved", "declined", "unable"),
  approvable: yesNo,
  "response-code": matching(/^[0-9A-Za-z]{2}$/, "two letters or digits"),
  "issuer-authentication-data": hexOf(0, 255),
  script: many(hexOf(2, SCRIPT_BYTES_MAX)),
} as const satisfies Record<string, KeyRule>;

export type TranscriptKey = keyof typeof RULES;

export const TRANSCRIPT_KEYS = Object.keys(RULES) as readonly TranscriptKey[];

/** Keys of one application: they follow its `aid`. */
export const APPLICATION_KEYS: ReadonlySet<TranscriptKey> = new Set([
  "version",
  "partial",
  "floor-limit",
  "tac-denial",
  "tac-online",
  "tac-default",
  "random-target",
  "random-max-target",
  "random-threshold",
  "default-ddol",
  "default-tdol",
]);

const isKey = (name: string): name is TranscriptKey => Object.hasOwn(RULES, name);

/** Throws Fault `codec.invalid` for a key that is none: a misspelt one would silently leave its default. */
export function keyRule(name: string): { readonly key: TranscriptKey; readonly rule: KeyRule } {
  if (!isKey(name)) {
    throw new Fault("codec.invalid", `"${name}" is no key; the keys are ${TRANSCRIPT_KEYS.join(", ")}`);
  }
  return { key: name, rule: RULES[name] };
}
