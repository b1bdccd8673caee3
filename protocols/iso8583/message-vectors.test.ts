import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { createIso8583Codec } from "./codec.ts";
import { type JsonValue, messageFromJson, messageToJson } from "./json.ts";
import type { FieldTable } from "./spec.ts";
import { SPEC_1987_BINARY, specNamed, withFields } from "./specs.ts";

interface Vectors {
  readonly messages: readonly {
    readonly source: string;
    readonly spec: string;
    /** Where its sender's table differs. */
    readonly table?: FieldTable;
    readonly hex: string;
    readonly mti: string;
    readonly fields: Readonly<Record<string, JsonValue>>;
  }[];
  readonly bitmaps: { readonly values: readonly { readonly hex: string; readonly fields: readonly number[] }[] };
}

const vectors = JSON.parse(
  readFileSync(new URL("../../test/vectors/iso8583/messages.json", import.meta.url), "utf8"),
) as Vectors;

test.each(vectors.messages)("the published message has its values, and is written the same: $source", (vector) => {
  const changes = { name: "published", description: "a sender's own", fields: vector.table ?? {} };
  const spec = withFields(specNamed(vector.spec), changes);
  const codec = createIso8583Codec(spec);
  const message = codec.unpack(fromHex(vector.hex));
  expect(messageToJson(message)).toEqual({ mti: vector.mti, fields: vector.fields });
  expect(toHex(codec.pack(message)).toUpperCase()).toBe(vector.hex);
  expect(messageFromJson(messageToJson(message), spec)).toEqual(message);
});

test.each(vectors.bitmaps.values)("the published bitmap $hex announces its fields", ({ hex, fields }) => {
  const oneByte = { format: "b", encoding: "binary", length: 1 } as const;
  const spec = {
    ...SPEC_1987_BINARY,
    fields: Object.fromEntries(fields.map((de) => [de, { ...oneByte, name: `Field${de}` }])),
  };
  const codec = createIso8583Codec(spec);
  const bytes = fromHex(`30313030${hex}${"AA".repeat(fields.length)}`);
  const message = codec.unpack(bytes);
  expect(Object.keys(message.fields).map(Number)).toEqual(fields);
  expect(codec.pack(message)).toEqual(bytes);
});
