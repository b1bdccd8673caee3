import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { decodeTlv, encodeTlv, findTlv, findValue, flattenTlv, TLV_DEPTH_MAX, type Tlv, tagName } from "./ber-tlv.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/emv/ber-tlv.json", import.meta.url), "utf8")) as {
  readonly objects: readonly { readonly hex: string; readonly values: Readonly<Record<string, string>> }[];
  readonly refused: readonly { readonly why: string; readonly hex: string }[];
};

test.each(vectors.objects)("the published object $hex has its values, and is written the same", ({ hex, values }) => {
  const objects = decodeTlv(fromHex(hex));
  for (const [tag, value] of Object.entries(values)) {
    expect(toHex(findValue(objects, Number.parseInt(tag, 16)) ?? new Uint8Array()).toUpperCase()).toBe(value);
  }
  expect(encodeTlv(objects)).toEqual(fromHex(hex));
});

test.each(vectors.refused)("refused: $why", ({ hex }) => {
  expect(() => decodeTlv(fromHex(hex))).toThrow(expect.objectContaining({ name: "Fault" }));
});

test("filler zeros before, between and after objects are skipped", () => {
  const objects = decodeTlv(fromHex("0000 5A0112 00 9F360200FF 00"));
  expect(objects.map((object) => tagName(object.tag))).toEqual(["5A", "9F36"]);
});

test.each([
  ["81", "80"],
  ["82", "0100"],
  ["83", "010000"],
])("a length in the form %s is read", (form, length) => {
  const bytes = Number.parseInt(length, 16);
  const value = new Uint8Array(bytes % 65_000);
  const encoded = concat(fromHex(`53${form}${Number(value.length).toString(16).padStart(length.length, "0")}`), value);
  expect(findValue(decodeTlv(encoded), 0x53)).toEqual(value);
});

test("a length of four bytes is refused", () => {
  expect(() => decodeTlv(fromHex("538400000001FF"))).toThrow("4 bytes");
});

test("nesting is limited", () => {
  const nested = (depth: number): string => {
    if (depth === 0) return "";
    const inside = nested(depth - 1);
    return `70${(inside.length / 2).toString(16).padStart(2, "0")}${inside}`;
  };
  expect(encodeTlv(decodeTlv(fromHex(nested(TLV_DEPTH_MAX - 1))))).toEqual(fromHex(nested(TLV_DEPTH_MAX - 1)));
  expect(() => decodeTlv(fromHex(nested(TLV_DEPTH_MAX + 1)))).toThrow("nested deeper");
});

test("an object is found inside its templates, and a template has no value", () => {
  const objects = decodeTlv(fromHex("6F0A A508 BF0C05 9F4D020B0A"));
  expect(findValue(objects, 0x9f4d)).toEqual(fromHex("0B0A"));
  expect(findTlv(objects, 0xbf0c)).toEqual({ tag: 0xbf0c, children: [{ tag: 0x9f4d, value: fromHex("0B0A") }] });
  expect(findValue(objects, 0xbf0c)).toBeUndefined();
  expect(flattenTlv(objects).map(({ tag }) => tag)).toEqual([0x9f4d]);
});

test("a tag of the other kind is not written", () => {
  expect(() => encodeTlv([{ tag: 0x70, value: fromHex("00") }])).toThrow("other kind");
  expect(() => encodeTlv([{ tag: 0x5a, children: [] }])).toThrow("other kind");
  expect(() => encodeTlv([{ tag: 0x9f, value: fromHex("00") }])).toThrow();
});

const { tree } = fc.letrec<{ tree: Tlv[]; object: Tlv }>((tie) => ({
  tree: fc.array(tie("object"), { maxLength: 4 }),
  object: fc.oneof(
    { maxDepth: 5, depthSize: "small" },
    fc.record({ tag: fc.constantFrom(0x5a, 0x9f02, 0xdf8101, 0x42), value: fc.uint8Array({ maxLength: 300 }) }),
    fc.record({ tag: fc.constantFrom(0x70, 0xa5, 0xbf0c, 0x6f), children: tie("tree") }),
  ),
}));

test("objects come back from their bytes as they were", () => {
  fc.assert(
    fc.property(tree, (objects) => {
      expect(decodeTlv(encodeTlv(objects))).toEqual(objects);
    }),
  );
});

test("any bytes are read or refused with a Fault", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      try {
        decodeTlv(bytes);
      } catch (error) {
        if (!isFault(error)) throw error;
      }
    }),
    { numRuns: 1_000 },
  );
});
