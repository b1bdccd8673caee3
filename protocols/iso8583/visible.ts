/** Messages as people may see them: each field by path and name, what it means, and what nobody should see masked. */
import { toHex } from "../../base/bytes.ts";
import { encodeTlv, findValue, type Tlv } from "../emv/ber-tlv.ts";
import { type Explanation, explainTlv, type Secrets } from "../emv/explain.ts";
import { type JsonMessage, type JsonTlv, type JsonValue, messageToJson } from "./json.ts";
import { meaningOf } from "./meanings.ts";
import { type FieldValue, type Iso8583Message, isTlvList } from "./message.ts";
import { describeMti } from "./mti.ts";
import type { FieldContent, FieldSpec, MessageSpec, Sensitivity } from "./spec.ts";

/** A field, sub-field or data object. */
interface Visible {
  readonly path: string;
  readonly name: string;
  /** Absent where there are `children`. */
  readonly text?: string;
  readonly masked?: true;
  readonly notes: readonly string[];
  readonly children?: readonly Visible[];
  readonly kind: "field" | "tlv";
  /** What it really is: to compare, and never to show. */
  readonly raw: string;
}

/** One line for each field, and its notes below it. */
export function describeMessage(
  message: Iso8583Message,
  spec: MessageSpec,
  secrets: Secrets = "masked",
): readonly string[] {
  return [
    `MTI ${message.mti} ${describeMti(message.mti)}`,
    ...visibleFields(message, spec, secrets).flatMap((field) => linesOf(field, "")),
  ];
}

/** For logs, reports and whoever reads JSON. */
export function maskMessage(message: Iso8583Message, spec: MessageSpec): JsonMessage {
  const fields = visibleFields(message, spec, "masked");
  return { mti: message.mti, fields: Object.fromEntries(fields.map((field) => [lastOf(field.path), jsonOf(field)])) };
}

export interface Difference {
  readonly path: string;
  readonly name: string;
  /** Absent where one of the two has none. Two that are masked may look the same. */
  readonly left?: string;
  readonly right?: string;
}

/** Field by field, down to sub-fields and data objects. */
export function diffMessages(
  left: Iso8583Message,
  right: Iso8583Message,
  { spec, secrets = "masked" }: { readonly spec: MessageSpec; readonly secrets?: Secrets },
): readonly Difference[] {
  const mti = left.mti === right.mti ? [] : [{ path: "mti", name: "MTI", left: left.mti, right: right.mti }];
  const [before, now] = [leavesOf(left, spec, secrets), leavesOf(right, spec, secrets)];
  const paths = [...before.keys(), ...[...now.keys()].filter((path) => !before.has(path))].sort(byNumbers);
  const differences = paths.flatMap((path) => {
    const [was, is] = [before.get(path), now.get(path)];
    if (was?.raw === is?.raw) return [];
    const name = (was ?? is)?.name ?? "";
    return [{ path, name, ...(was && { left: was.text ?? "" }), ...(is && { right: is.text ?? "" }) }];
  });
  return [...mti, ...differences];
}

function leavesOf(message: Iso8583Message, spec: MessageSpec, secrets: Secrets): ReadonlyMap<string, Visible> {
  const leaves = new Map<string, Visible>();
  const visit = (field: Visible): void => {
    if (field.children) {
      field.children.forEach(visit);
      return;
    }
    // Issuer scripts may come more than once.
    let path = field.path;
    for (let copy = 2; leaves.has(path); copy += 1) path = `${field.path}#${copy}`;
    leaves.set(path, field);
  };
  visibleFields(message, spec, secrets).forEach(visit);
  return leaves;
}

const byNumbers = (a: string, b: string): number => a.localeCompare(b, "en", { numeric: true });
const lastOf = (path: string): string => path.slice(path.lastIndexOf(".") + 1);

interface View {
  readonly message: Iso8583Message;
  readonly secrets: Secrets;
  /** Account numbers of the message, each with what is shown for it: sought in every text. */
  readonly pans: readonly (readonly [digits: string, shown: string])[];
}

function visibleFields(message: Iso8583Message, spec: MessageSpec, secrets: Secrets): readonly Visible[] {
  const view: View = { message, secrets, pans: secrets === "masked" ? pansOf(message, spec) : [] };
  return Object.entries(message.fields).map(([de, value]) =>
    visible(value, spec.fields[Number(de)], { path: de, view }),
  );
}

interface At {
  readonly path: string;
  readonly view: View;
}

/** A field that the table does not have cannot be judged, and so it is hidden. */
const UNKNOWN: Pick<FieldSpec, "name" | "sensitive"> & { readonly content?: FieldContent } = {
  name: "Unknown",
  sensitive: "hidden",
};

function visible(value: FieldValue, spec: FieldSpec | undefined, { path, view }: At): Visible {
  const { name, sensitive, content } = spec ?? UNKNOWN;
  if (typeof value === "string" || value instanceof Uint8Array) {
    const raw = typeof value === "string" ? value : toHex(value).toUpperCase();
    const shown = view.secrets === "shown" ? raw : swept(masked(raw, sensitive), view);
    const meaning = sensitive ? undefined : meaningOf(name, raw, view.message);
    const notes = meaning === undefined ? [] : [meaning];
    return { path, name, text: printable(shown), ...(shown !== raw && { masked: true }), notes, kind: "field", raw };
  }
  if (isTlvList(value))
    return { path, name, notes: [], kind: "tlv", raw: "", children: dataObjects(value, { path, view }) };
  const inOrder = Object.entries(value).sort(([a], [b]) => byNumbers(a, b));
  const children = inOrder.map(([id, inner]) =>
    visible(inner, withSensitivity(subSpec(content, id), sensitive), { path: `${path}.${id}`, view }),
  );
  return { path, name, notes: [], kind: "field", raw: "", children };
}

/** What is in a field that nobody should see is not seen either. */
const withSensitivity = (spec: FieldSpec | undefined, outer: Sensitivity | undefined): FieldSpec | undefined =>
  spec && outer !== undefined ? { ...spec, sensitive: spec.sensitive ?? outer } : spec;

function subSpec(content: FieldContent | undefined, id: string): FieldSpec | undefined {
  switch (content?.kind) {
    case "positional":
      return content.fields[Number(id) - 1];
    case "bitmap":
      return content.fields[Number(id)];
    case "tagged":
      return (Object.hasOwn(content.fields, id) ? content.fields[id] : undefined) ?? content.others;
    default:
      return undefined;
  }
}

function dataObjects(objects: readonly Tlv[], { path, view }: At): readonly Visible[] {
  const { objects: raws } = explainTlv(encodeTlv(objects), "shown");
  const { objects: shown } = explainTlv(encodeTlv(objects), view.secrets);
  const both = (object: Explanation, raw: Explanation | undefined, outer: string): Visible => {
    const here = `${outer}.${object.tag}`;
    const text = object.value === undefined ? undefined : swept(object.value, view);
    return {
      path: here,
      name: object.name ?? "unknown tag",
      ...(text !== undefined && { text }),
      ...((object.masked || text !== object.value) && { masked: true }),
      notes: object.notes.map((note) => swept(note, view)),
      ...(object.children && { children: object.children.map((child, at) => both(child, raw?.children?.[at], here)) }),
      kind: "tlv",
      raw: raw?.value ?? "",
    };
  };
  return shown.map((object, at) => both(object, raws[at], path));
}

const FIRST_DIGITS = 6;
const LAST_DIGITS = 4;
/** A private field of 999 characters is hidden as well by fewer. */
const STARS_MAX = 32;
/** A shorter number would be shown nearly whole. */
const PAN_DIGITS_MIN = 12;

function masked(raw: string, sensitive: Sensitivity | undefined): string {
  switch (sensitive) {
    case undefined:
      return raw;
    case "pan":
      return maskedPan(raw);
    case "track":
      return maskedTrack(raw);
    case "hidden":
      return "*".repeat(Math.min(raw.length, STARS_MAX));
  }
}

function maskedPan(raw: string): string {
  if (raw.length < PAN_DIGITS_MIN) return "*".repeat(raw.length);
  return `${raw.slice(0, FIRST_DIGITS)}${"*".repeat(raw.length - FIRST_DIGITS - LAST_DIGITS)}${raw.slice(-LAST_DIGITS)}`;
}

function maskedTrack(raw: string): string {
  const pan = panOfTrack(raw);
  const shown = pan === undefined ? "" : maskedPan(pan);
  return shown + "*".repeat(raw.length - shown.length);
}

/** Track 1 has a format letter in front, track 3 two digits. */
const panOfTrack = (raw: string): string | undefined => /\d{12,19}/.exec(raw)?.[0];

/** An account number that stands where none belongs is masked there as well, in digits, packed, or as characters in hex. */
function swept(text: string, { pans }: View): string {
  let rest = text;
  for (const [digits, shown] of pans) {
    const inHex = digits.replace(/\d/g, "3$&");
    rest = rest.replaceAll(digits, shown).replaceAll(inHex, "*".repeat(inHex.length));
  }
  return rest;
}

function pansOf({ fields }: Iso8583Message, spec: MessageSpec): View["pans"] {
  const found = new Set<string>();
  const add = (digits: string | undefined): void => {
    if (digits !== undefined && digits.length >= PAN_DIGITS_MIN) found.add(digits);
  };
  for (const [de, value] of Object.entries(fields)) {
    const sensitive = spec.fields[Number(de)]?.sensitive;
    if (typeof value === "string" && sensitive === "pan") add(/^\d+$/.exec(value)?.[0]);
    if (typeof value === "string" && sensitive === "track") add(panOfTrack(value));
    if (isTlvList(value))
      for (const tag of [0x5a, 0x57]) add(/^\d+/.exec(toHex(findValue(value, tag) ?? new Uint8Array()))?.[0]);
  }
  return [...found].sort((a, b) => b.length - a.length).map((digits) => [digits, maskedPan(digits)]);
}

/** Nothing that a host sends can steer the terminal that shows it. */
const printable = (text: string): string =>
  [...text]
    .map((character) => (isControl(character) ? `\\x${toHex(Uint8Array.of(character.charCodeAt(0)))}` : character))
    .join("");

function isControl(character: string): boolean {
  const code = character.charCodeAt(0);
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

const INDENT = "  ";

function linesOf({ path, name, text, masked: isMasked, notes, children }: Visible, indent: string): readonly string[] {
  const shown = text === undefined ? "" : `: ${text}${isMasked ? " (masked)" : ""}`;
  return [
    `${indent}${path} ${name}${shown}`,
    ...notes.map((note) => `${indent}${INDENT}${note}`),
    ...(children ?? []).flatMap((child) => linesOf(child, `${indent}${INDENT}`)),
  ];
}

function jsonOf({ kind, children, text = "" }: Visible): JsonValue {
  if (!children) return text;
  if (kind === "tlv") return children.map(tlvJson);
  return Object.fromEntries(children.map((child) => [lastOf(child.path), jsonOf(child)]));
}

function tlvJson({ path, children, text = "" }: Visible): JsonTlv {
  const tag = lastOf(path);
  return children ? { tag, children: children.map(tlvJson) } : { tag, value: text };
}

/** What `--json` prints. */
export const visibleJson = (message: Iso8583Message, spec: MessageSpec, secrets: Secrets): JsonMessage =>
  secrets === "shown" ? messageToJson(message) : maskMessage(message, spec);
