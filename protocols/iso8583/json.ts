/** Messages as JSON, for people and for files: texts as they are, bytes in hex, data objects as a list, sub-fields as an object. */
import { fromHex, toHex } from "../../base/bytes.ts";
import { Fault, isFault } from "../../base/fault.ts";
import { decodeTlv, encodeTag, type Tlv, tagName } from "../emv/ber-tlv.ts";
import { type Place, placeWithin, writeFault } from "./cursor.ts";
import { type FieldValue, type Iso8583Message, isTlvList } from "./message.ts";
import type { FieldContent, FieldSpec, FieldTable, MessageSpec } from "./spec.ts";

export type JsonValue = string | readonly JsonTlv[] | { readonly [id: string]: JsonValue };

export type JsonTlv =
  | { readonly tag: string; readonly value: string }
  | { readonly tag: string; readonly children: readonly JsonTlv[] };

export interface JsonMessage {
  readonly mti: string;
  readonly fields: { readonly [de: string]: JsonValue };
}

export const messageToJson = ({ mti, fields }: Iso8583Message): JsonMessage => ({
  mti,
  fields: mapped(fields, (value) => valueToJson(value)),
});

function valueToJson(value: FieldValue): JsonValue {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return toHex(value).toUpperCase();
  return isTlvList(value) ? value.map(tlvToJson) : mapped(value, (inner) => valueToJson(inner));
}

function tlvToJson(object: Tlv): JsonTlv {
  const tag = tagName(object.tag);
  if ("children" in object) return { tag, children: object.children.map(tlvToJson) };
  return { tag, value: toHex(object.value).toUpperCase() };
}

/** The table says which text is hex. Faults carry `details.path`; what a value must be like is for the codec to say. */
export function messageFromJson(json: unknown, spec: MessageSpec): Iso8583Message {
  const message = wantObject(json, { path: "", name: "message" });
  const { mti, fields, ...rest } = message;
  const [stray] = Object.keys(rest);
  if (stray !== undefined)
    throw invalid({ path: stray, name: stray }, "is no part of a message, which has mti and fields");
  if (typeof mti !== "string") throw invalid({ path: "mti", name: "MTI" }, "is not a text");
  const given = wantObject(fields, { path: "fields", name: "fields" });
  return { mti, fields: tableFromJson(given, spec.fields, { path: "", name: `of ${spec.name}` }) };
}

function tableFromJson(given: Record<string, unknown>, table: FieldTable, outer: Place): Record<string, FieldValue> {
  return mapped(given, (value, id) => {
    const spec = Object.hasOwn(table, id) ? table[Number(id)] : undefined;
    if (!spec) throw invalid(placeWithin(outer, id, outer.name), "is not in the table");
    return valueFromJson(value, spec, placeWithin(outer, id, spec.name));
  });
}

function valueFromJson(value: unknown, spec: FieldSpec, place: Place): FieldValue {
  if (spec.content) return contentFromJson(value, spec.content, place);
  if (typeof value !== "string") throw invalid(place, "is not a text");
  return spec.format === "b" ? hexFromJson(value, place) : value;
}

function contentFromJson(value: unknown, content: FieldContent, place: Place): FieldValue {
  if (content.kind === "ber-tlv") return tlvListFromJson(value, place);
  const given = wantObject(value, place);
  if (content.kind === "bitmap") return tableFromJson(given, content.fields, place);
  if (content.kind === "positional") {
    const table = Object.fromEntries(content.fields.map((spec, index) => [index + 1, spec]));
    return tableFromJson(given, table, place);
  }
  return mapped(given, (inner, tag) => {
    const spec = (Object.hasOwn(content.fields, tag) ? content.fields[tag] : undefined) ?? content.others;
    if (!spec) throw invalid(placeWithin(place, tag, place.name), "is not in the table");
    return valueFromJson(inner, spec, placeWithin(place, tag, spec.name));
  });
}

/** As a list, or all of it in hex. */
function tlvListFromJson(value: unknown, place: Place): readonly Tlv[] {
  if (typeof value === "string") return withPlace(place, () => decodeTlv(hexFromJson(value, place)));
  if (!Array.isArray(value)) throw invalid(place, "is neither a list of data objects nor hex");
  return value.map((object: unknown) => tlvFromJson(object, place));
}

function tlvFromJson(json: unknown, place: Place): Tlv {
  const { tag: name, value, children } = wantObject(json, place);
  if (typeof name !== "string" || !/^[0-9A-Fa-f]{2,6}$/.test(name))
    throw invalid(place, "has a data object without a tag in hex");
  const here = placeWithin(place, name.toUpperCase(), place.name);
  const tag = Number.parseInt(name, 16);
  withPlace(here, () => encodeTag(tag));
  if (typeof value === "string" && children === undefined) return { tag, value: hexFromJson(value, here) };
  if (Array.isArray(children) && value === undefined) {
    return { tag, children: children.map((child: unknown) => tlvFromJson(child, here)) };
  }
  throw invalid(here, "has neither a value in hex nor children");
}

const hexFromJson = (text: string, place: Place): Uint8Array => withPlace(place, () => fromHex(text));

function withPlace<T>(place: Place, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!isFault(error)) throw error;
    throw new Fault(error.code, invalid(place, error.message).message, { details: { path: place.path }, cause: error });
  }
}

function wantObject(value: unknown, place: Place): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw invalid(place, "is not an object");
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const invalid = (place: Place, reason: string): Fault => writeFault("codec.invalid", place, reason);

const mapped = <From, To>(
  from: Readonly<Record<string, From>>,
  change: (value: From, id: string) => To,
): Record<string, To> => Object.fromEntries(Object.entries(from).map(([id, value]) => [id, change(value, id)]));
