/** Data objects in words: every tag named, every set bit said, what must not be seen masked. Pure; `tillway emv decode` prints it. */
import { toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { decodeTlvPartly, flattenTlv, type Tag, type Tlv, tagName } from "./ber-tlv.ts";
import { count, explainerOf, type ValueContext } from "./explain-values.ts";
import { decodeTrack2 } from "./numeric.ts";
import { MASKED_TAGS, type TagEntry, tagEntry } from "./tags.ts";

/** Whether values that RM5 and RM6 hide are written out. */
export type Secrets = "masked" | "shown";

export interface Explanation {
  /** `9F02`. */
  readonly tag: string;
  /** Undefined for a tag that neither the books nor this table have. */
  readonly name?: string;
  /** Bytes of the value; absent for a template. */
  readonly length?: number;
  /** Hex, or its masked form; absent for a template. */
  readonly value?: string;
  readonly masked?: true;
  /** What the value says, line by line; also what is wrong with it. */
  readonly notes: readonly string[];
  readonly children?: readonly Explanation[];
}

export interface ExplainedBytes {
  readonly objects: readonly Explanation[];
  /** Why the rest cannot be read, and from which byte of the input on. */
  readonly fault?: { readonly offset: number; readonly reason: string };
}

interface Surroundings {
  readonly context: ValueContext;
  readonly secrets: Secrets;
  readonly template?: Tag;
}

/** Never throws for any bytes: what can be read is explained, and `fault` says why the rest cannot. */
export function explainTlv(bytes: Uint8Array, secrets: Secrets = "masked"): ExplainedBytes {
  const { objects, fault } = decodeTlvPartly(bytes);
  const surroundings = { context: contextOf(objects), secrets };
  const explained = objects.map((object) => explainObject(object, surroundings));
  if (!fault) return { objects: withStatusWord(explained) };
  return { objects: explained, fault: { offset: Number(fault.details["offset"] ?? 0), reason: fault.message } };
}

/** A bare value, as it stands in a data object list's data or in a receipt. */
export function explainValue(tag: Tag, value: Uint8Array, secrets: Secrets = "masked"): Explanation {
  const context = new Map([[tag, value]]);
  return explainPrimitive({ tag, value }, { context, secrets });
}

function contextOf(objects: readonly Tlv[]): ValueContext {
  const context = new Map<Tag, Uint8Array>();
  for (const { tag, value } of flattenTlv(objects)) if (!context.has(tag)) context.set(tag, value);
  return context;
}

/** What follows an answer's data is its status word, although 9000 reads as tag 90 of no bytes. */
function withStatusWord(objects: readonly Explanation[]): readonly Explanation[] {
  const last = objects.at(-1);
  if (objects.length < 2 || last?.tag !== "90" || last.length !== 0) return objects;
  return [...objects.slice(0, -1), { ...last, notes: ["as it is empty and the last: the status word 9000"] }];
}

function explainObject(object: Tlv, surroundings: Surroundings): Explanation {
  if ("value" in object) return explainPrimitive(object, surroundings);
  const children = object.children.map((child) => explainObject(child, { ...surroundings, template: object.tag }));
  const entry = tagEntry(object.tag, surroundings.template);
  return {
    tag: tagName(object.tag),
    ...(entry && { name: entry.name }),
    notes: [],
    children,
  };
}

function explainPrimitive(
  { tag, value }: { readonly tag: Tag; readonly value: Uint8Array },
  surroundings: Surroundings,
): Explanation {
  const entry = tagEntry(tag, surroundings.template);
  const head = { tag: tagName(tag), ...(entry && { name: entry.name }), length: value.length };
  const lengthNotes = wrongLength(entry, value);
  if (surroundings.secrets === "masked" && isMasked({ tag, value, entry }, surroundings.context)) {
    return { ...head, value: maskedText(tag, value), masked: true, notes: lengthNotes };
  }
  return {
    ...head,
    value: toHex(value).toUpperCase(),
    notes: [...lengthNotes, ...meaning({ tag, value, entry }, surroundings)],
  };
}

function wrongLength(entry: TagEntry | undefined, { length }: Uint8Array): readonly string[] {
  const allowed = entry?.length;
  if (!allowed || (length >= allowed.min && length <= allowed.max)) return [];
  const range = allowed.min === allowed.max ? `${allowed.min}` : `${allowed.min} to ${allowed.max}`;
  return [`wrong length: ${count(length, "byte")} where ${range} belong`];
}

interface Element {
  readonly tag: Tag;
  readonly value: Uint8Array;
  readonly entry: TagEntry | undefined;
}

function meaning({ tag, value, entry }: Element, { context, template }: Surroundings): readonly string[] {
  // An explainer speaks of the tag outside of the templates that give it another meaning.
  const explain = entry === tagEntry(tag) || template === undefined ? explainerOf(tag) : undefined;
  if (value.length === 0) return [];
  if (!explain) return plainText(tag, value, entry);
  try {
    return explain(value, context);
  } catch (error) {
    if (!isFault(error)) throw error;
    return [`malformed: ${error.message}`];
  }
}

const TEXT_FORMATS = new Set(["a", "an", "ans"]);
/** Format `var.` in the books, but letters and digits: IBAN and BIC. */
const TEXT_TAGS = new Set([0x5f53, 0x5f54]);

function plainText(tag: Tag, value: Uint8Array, entry: TagEntry | undefined): readonly string[] {
  if (tag === 0x57) return track2Text(value);
  if (!entry || !(TEXT_FORMATS.has(entry.format) || TEXT_TAGS.has(tag))) return [];
  return [`"${printable(value)}"`];
}

function track2Text(value: Uint8Array): readonly string[] {
  try {
    const { pan, expiry, serviceCode, discretionary } = decodeTrack2(value);
    return [`PAN ${pan}`, `expires ${expiry} (YYMM)`, `service code ${serviceCode}`, `discretionary ${discretionary}`];
  } catch (error) {
    if (!isFault(error)) throw error;
    return [`malformed: ${error.message}`];
  }
}

/** Nothing that a card sends can steer the terminal that shows it. */
const printable = (value: Uint8Array): string =>
  [...value]
    .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${toHex(Uint8Array.of(byte))}`))
    .join("");

/** Shorter runs of digits are found by chance. */
const PAN_DIGITS_MIN = 12;

/** Secret by its tag, or because an issuer's own object repeats the account number. */
function isMasked({ tag, value, entry }: Element, context: ValueContext): boolean {
  if (entry?.secret || MASKED_TAGS.has(tag)) return true;
  const digits = panOf(context);
  if (digits === undefined) return false;
  return toHex(value).includes(digits) || Buffer.from(value).toString("latin1").includes(digits);
}

function panOf(context: ValueContext): string | undefined {
  const number = context.get(0x5a) ?? context.get(0x57);
  const [digits = ""] = /^\d*/.exec(number ? toHex(number) : "") ?? [];
  return digits.length >= PAN_DIGITS_MIN ? digits : undefined;
}

const FIRST_DIGITS = 6;
const LAST_DIGITS = 4;

/** Of an account number the first six and the last four digits, of everything else nothing. */
function maskedText(tag: Tag, value: Uint8Array): string {
  const digits = tag === 0x5a || tag === 0x57 ? panOf(new Map([[tag, value]])) : undefined;
  if (digits === undefined) return "*".repeat(value.length * 2);
  const hidden = "*".repeat(digits.length - FIRST_DIGITS - LAST_DIGITS);
  return `${digits.slice(0, FIRST_DIGITS)}${hidden}${digits.slice(-LAST_DIGITS)}`;
}

const INDENT = "  ";

/** One line per object and per note, nested by indentation. */
export function explanationLines({ objects, fault }: ExplainedBytes): readonly string[] {
  const lines = objects.flatMap((object) => objectLines(object, ""));
  return fault ? [...lines, `undecodable: ${fault.reason}`] : lines;
}

export function objectLines(object: Explanation, indent: string): readonly string[] {
  const { tag, name, length, value, masked, notes, children } = object;
  const size = length === undefined ? "" : ` (${count(length, "byte")})`;
  const shown = value === undefined || value === "" ? "" : `: ${value}${masked ? " (masked)" : ""}`;
  return [
    `${indent}${tag} ${name ?? "unknown tag"}${size}${shown}`,
    ...notes.map((note) => `${indent}${INDENT}${note}`),
    ...(children ?? []).flatMap((child) => objectLines(child, `${indent}${INDENT}`)),
  ];
}
