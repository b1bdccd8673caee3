import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { buildDol, decodeDol, dolDataLength, encodeDol, splitDol } from "./dol.ts";
import { EMV_TAGS } from "./tags.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/emv/dol.json", import.meta.url), "utf8")) as {
  readonly values: Readonly<Record<string, string>>;
  readonly built: readonly { readonly dol: string; readonly data: string }[];
  readonly refused: readonly string[];
};
const values = new Map(Object.entries(vectors.values).map(([tag, hex]) => [Number.parseInt(tag, 16), fromHex(hex)]));

test.each(vectors.built)("the published list $dol is filled as published", ({ dol, data }) => {
  expect(buildDol(decodeDol(fromHex(dol)), values)).toEqual(fromHex(data));
});

test.each(vectors.refused)("the malformed list %s is refused", (dol) => {
  expect(() => decodeDol(fromHex(dol))).toThrow(expect.objectContaining({ code: "codec.truncated" }));
});

test("an unknown value and a template are zeros of the wanted length", () => {
  const entries = [
    { tag: 0x9f7a, length: 2 },
    { tag: 0x70, length: 3 },
  ];
  expect(buildDol(entries, new Map([[0x70, fromHex("112233")]]))).toEqual(fromHex("0000 000000"));
});

test("a compressed numeric value is filled with F behind, and cut behind", () => {
  const pan = new Map([[0x5a, fromHex("4761739001010010")]]);
  expect(buildDol([{ tag: 0x5a, length: 10 }], pan)).toEqual(fromHex("4761739001010010FFFF"));
  expect(buildDol([{ tag: 0x5a, length: 6 }], pan)).toEqual(fromHex("476173900101"));
});

// openemv/emv-utils tests/emv_str_parse_test.c at 2cc7a11: formats cn and n into buffers of 2 to 4 bytes (Book 3, 4.3).
test.each([
  [0x5a, "123456", 2, "1234"],
  [0x5a, "123456", 3, "123456"],
  [0x5a, "123456", 4, "123456FF"],
  [0x5a, "12345F", 3, "12345F"],
  [0x5a, "12345F", 4, "12345FFF"],
  [0x9f02, "123456", 2, "3456"],
  [0x9f02, "123456", 3, "123456"],
  [0x9f02, "123456", 4, "00123456"],
  [0x9f02, "012345", 4, "00012345"],
] as const)("the published value of tag %i, %s, in %i bytes is %s", (tag, value, length, built) => {
  expect(buildDol([{ tag, length }], new Map([[tag, fromHex(value)]]))).toEqual(fromHex(built));
});

test.each([
  ["9F02069F", 4],
  ["9F02069F37", 5],
  ["DF81828301", 0],
  ["9F0206 DF81828301", 3],
  ["9A".repeat(253), 252],
])("the malformed list %s is at fault at byte %i", (hex, offset) => {
  expect(() => decodeDol(fromHex(hex))).toThrow(expect.objectContaining({ details: { offset } }));
});

test("data that are longer or shorter than their list are at fault where they differ", () => {
  const list = decodeDol(fromHex("9A03 9C01"));
  expect(() => splitDol(list, fromHex("26013100FF"))).toThrow(expect.objectContaining({ details: { offset: 4 } }));
  expect(() => splitDol(list, fromHex("260131"))).toThrow(expect.objectContaining({ details: { offset: 3 } }));
});

const entries = fc.array(
  fc.record({ tag: fc.constantFrom(...EMV_TAGS.keys()), length: fc.integer({ min: 0, max: 40 }) }),
  { maxLength: 12 },
);

test("lists come back from their bytes, and their data have the length they ask for", () => {
  fc.assert(
    fc.property(entries, fc.uint8Array({ maxLength: 40 }), (list, value) => {
      expect(decodeDol(encodeDol(list))).toEqual(list);
      const data = buildDol(list, new Map(list.map(({ tag }) => [tag, value])));
      expect(data).toHaveLength(dolDataLength(list));
      expect([...splitDol(list, data).keys()]).toEqual([...new Set(list.map(({ tag }) => tag))]);
    }),
  );
});

test("any bytes are read or refused with a Fault", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        decodeDol(bytes);
      } catch (error) {
        if (!isFault(error)) throw error;
        expect(error.details["offset"]).toBeTypeOf("number");
      }
    }),
  );
});
