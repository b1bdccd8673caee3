import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteReader, concat, fromHex, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import {
  decodeTlv,
  decodeTlvPartly,
  encodeTlv,
  findTlv,
  findValue,
  flattenTlv,
  offsetWithin,
  readTag,
  TLV_BYTES_MAX,
  TLV_DEPTH_MAX,
  TLV_OBJECTS_MAX,
  type Tlv,
  tagName,
  wholeObjects,
} from "./ber-tlv.ts";

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

test.each([
  ["a length that is missing", "5A", 1],
  ["a value that ends early", "5A0247", 2],
  ["a tag that is not complete", "9F", 0],
  ["a length that is not complete", "5382FF", 1],
  ["a tag of four bytes, as ISO/IEC 7816-4 reserves them", "DF81828301FF", 0],
  ["an object that is longer than its template", "7003 5A0247", 4],
  ["an object that runs over its template into the next object", "7003 5A0247 9C0100", 4],
  ["a tag that does not end within its template", "7001 9F 020100", 2],
  ["a length that is not within its template", "7001 5A 00", 3],
  ["a length that does not end within its template", "7003 5A82FF 0000", 3],
  ["a fault behind sound objects", "9A03240217 9C0100 5A08", 10],
  ["a fault four levels down", "6F0D A50B BF0C08 6106 5005 41424344", 11],
  ["an indefinite length within a template", "6F05 A503 8480 00", 5],
])("the offset of %s counts from the first byte of all", (_, hex, offset) => {
  expect(() => decodeTlv(fromHex(hex))).toThrow(
    expect.objectContaining({ details: expect.objectContaining({ offset }) }),
  );
});

test("the limits on bytes and objects hold, and say where they were reached", () => {
  const many = new Uint8Array((TLV_OBJECTS_MAX + 1) * 2).fill(0x5a).map((byte, index) => (index % 2 === 0 ? byte : 0));
  expect(() => decodeTlv(many)).toThrow(expect.objectContaining({ details: { offset: TLV_OBJECTS_MAX * 2 } }));
  expect(() => decodeTlv(new Uint8Array(TLV_BYTES_MAX + 1))).toThrow(
    expect.objectContaining({ code: "codec.too-long", details: { offset: TLV_BYTES_MAX } }),
  );
});

test("what stands before a fault is not lost to a reader who asks for it", () => {
  const { objects, fault } = decodeTlvPartly(fromHex("9C0100 7007 5F340101 5A0247"));
  expect(objects).toEqual([
    { tag: 0x9c, value: fromHex("00") },
    { tag: 0x70, children: [{ tag: 0x5f34, value: fromHex("01") }] },
  ]);
  expect(fault).toMatchObject({ code: "codec.truncated", details: { offset: 11 } });
  expect(decodeTlvPartly(fromHex("9C0100"))).toEqual({ objects: [{ tag: 0x9c, value: fromHex("00") }] });
});

test("of templates that are cut the parts are read that are there, and the outer one is at fault", () => {
  const { objects, fault } = decodeTlvPartly(fromHex("70 10 A5 0D 9C0100 5A08 4761"));
  expect(objects).toEqual([{ tag: 0x70, children: [{ tag: 0xa5, children: [{ tag: 0x9c, value: fromHex("00") }] }] }]);
  expect(fault).toMatchObject({ code: "codec.truncated", details: { offset: 2 } });
});

test("a value knows where it stood", () => {
  const bytes = fromHex("FF FF 7003 5A0147").subarray(2);
  const value = findValue(decodeTlv(bytes), 0x5a);
  expect(value && offsetWithin(bytes, value)).toBe(4);
});

test("a tag in a list has at most three bytes, and its Fault says where it begins", () => {
  const reader = new ByteReader(fromHex("9F02 DF818283"));
  expect(readTag(reader)).toBe(0x9f02);
  expect(() => readTag(reader)).toThrow(expect.objectContaining({ details: { offset: 2 } }));
});

test("whole objects keep the length as it was written, and leave out the filler between them", () => {
  const objects = wholeObjects(fromHex("00 5A810147 0000 9F3602ABCD"));
  expect(objects.map(({ tag, whole }) => [tag, toHex(whole)])).toEqual([
    [0x5a, "5a810147"],
    [0x9f36, "9f3602abcd"],
  ]);
});

test("whole objects are the bytes they were read from, whatever their lengths", () => {
  const objects = fc.array(
    fc.record({ tag: fc.constantFrom(0x5a, 0x9f4b, 0xdf8101), value: fc.uint8Array({ maxLength: 300 }) }),
  );
  fc.assert(
    fc.property(objects, (given) => {
      const bytes = encodeTlv(given);
      const whole = wholeObjects(bytes);
      expect(concat(...whole.map((object) => object.whole))).toEqual(bytes);
      expect(whole.map(({ tag, value }) => [tag, toHex(value)])).toEqual(
        given.map(({ tag, value }) => [tag, toHex(value)]),
      );
    }),
  );
});

test.each(["5A", "5A80", "5A84FFFFFFFF", "5A8201", "5A02FF"])("%s is no whole object", (hex) => {
  expect(() => wholeObjects(fromHex(hex))).toThrow(
    expect.objectContaining({ code: expect.stringMatching(/^codec\./) }),
  );
});

/** Bytes that look like TLV, so that decoding gets past the first tag. */
const almostTlv = fc
  .array(
    fc.oneof(
      fc.constantFrom("70", "A5", "BF0C", "5A", "9F02", "9F", "DF8101", "00", "80", "81", "82", "83", "84"),
      fc.integer({ min: 0, max: 40 }).map((length) => length.toString(16).padStart(2, "0")),
    ),
    { maxLength: 120 },
  )
  .map((parts) => fromHex(parts.join("")));

test("any bytes are read, or refused with a Fault whose offset lies within them", () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), almostTlv), (bytes) => {
      try {
        decodeTlv(bytes);
      } catch (error) {
        if (!isFault(error)) throw error;
        const offset = Number(error.details["offset"]);
        expect(offset).toBeGreaterThanOrEqual(0);
        expect(offset).toBeLessThanOrEqual(bytes.length);
        expect(decodeTlvPartly(bytes).fault).toEqual(error);
      }
    }),
    { numRuns: 2_000 },
  );
});
