import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isConstructed, tagName } from "./ber-tlv.ts";
import {
  ADDITIONAL_TERMINAL_CAPABILITIES,
  AIP,
  AUC,
  BIOMETRIC_TERMINAL_CAPABILITIES,
  type Bit,
  bitsOf,
  hasBit,
  reservedBitsOf,
  setBit,
  TERMINAL_CAPABILITIES,
  TSI,
  TTQ,
  TVR,
  terminalType,
} from "./bits.ts";
import { EMV_TAGS, MASKED_TAGS, tagEntry } from "./tags.ts";

const vectors = JSON.parse(
  readFileSync(new URL("../../test/vectors/emv/dictionary.json", import.meta.url), "utf8"),
) as {
  readonly tags: readonly string[];
  readonly elements: readonly (readonly [string, string, string, number, number])[];
  readonly masks: Readonly<Record<string, Readonly<Record<string, string>>>>;
};

describe("tags", () => {
  test("every tag of Book 3, table 38 is known", () => {
    expect(vectors.tags.filter((tag) => !EMV_TAGS.has(Number.parseInt(tag, 16)))).toEqual([]);
  });

  test.each(vectors.elements)("%s is of format %s, from the %s, of %i to %i bytes", (tag, format, source, min, max) => {
    expect(EMV_TAGS.get(Number.parseInt(tag, 16))).toMatchObject({ format, source, length: { min, max } });
  });

  test("templates are constructed, and everything else is not", () => {
    for (const [tag, { format }] of EMV_TAGS)
      expect([tagName(tag), isConstructed(tag)]).toEqual([tagName(tag), format === "template"]);
  });

  test("no tag is twice in the table, and lengths are ranges", () => {
    for (const [tag, { length, name }] of EMV_TAGS) {
      expect(name).not.toBe("");
      expect([tagName(tag), (length?.min ?? 0) <= (length?.max ?? 0)]).toEqual([tagName(tag), true]);
    }
  });

  test("a tag has the meaning that its template gives it", () => {
    expect(tagEntry(0xdf51)).toBeUndefined();
    expect(tagEntry(0xdf51, 0xbf4c)?.name).toBe("Finger Try Counter");
    expect(tagEntry(0xdf54, 0xbf4d)?.name).toBe("Preferred Voice Attempts");
    expect(tagEntry(0x90)?.name).toBe("Issuer Public Key Certificate");
    expect(tagEntry(0x90, 0xa1)?.name).toBe("Biometric Solution ID");
    expect(tagEntry(0x9f02, 0x70)).toBe(EMV_TAGS.get(0x9f02));
  });

  test("RM6 the masked view hides what holds a card number or gives it away", () => {
    expect([0x57, 0x5a, 0x5f20, 0x9f1f, 0x9f20, 0x9f46].filter((tag) => !MASKED_TAGS.has(tag))).toEqual([]);
  });
});

describe("bits", () => {
  const TABLES: Readonly<Record<string, Readonly<Record<string, Bit>>>> = {
    AIP,
    AUC,
    TVR,
    TSI,
    TERMINAL_CAPABILITIES,
    ADDITIONAL_TERMINAL_CAPABILITIES,
    BIOMETRIC_TERMINAL_CAPABILITIES,
    TTQ,
  };

  test.each(Object.entries(vectors.masks))("of %s are where the published constants have them", (table, masks) => {
    const bits = TABLES[table] ?? {};
    for (const [key, mask] of Object.entries(masks)) {
      const [byte, value] = mask.split(":");
      const { byte: at, bit } = bits[key] ?? { byte: 0, bit: 0 };
      expect([key, at, 1 << (bit - 1)]).toEqual([key, Number(byte), Number.parseInt(value ?? "", 16)]);
    }
    expect(Object.keys(masks)).toHaveLength(Object.keys(bits).length);
  });

  test.each(Object.entries(TABLES))("of %s are set, found and told from reserved ones", (_, table) => {
    const places = Object.values(table).map(({ byte, bit }) => byte * 10 + bit);
    expect(new Set(places).size).toBe(places.length);
    for (const bit of Object.values(table)) {
      const value = new Uint8Array(5);
      setBit(value, bit);
      expect(hasBit(value, bit)).toBe(true);
      expect(bitsOf(value, table)).toEqual([bit]);
      expect(reservedBitsOf(value, table)).toEqual([]);
    }
    const all = new Uint8Array(5).fill(0xff);
    expect(bitsOf(all, table).length + reservedBitsOf(all, table).length).toBe(40);
  });

  test("a value that is too short has no bits behind its end", () => {
    expect(bitsOf(new Uint8Array(1).fill(0xff), TVR).every(({ byte }) => byte === 1)).toBe(true);
  });
});

test("the fifteen terminal types of Book 4, table 24 exist, and no others", () => {
  const known = Array.from({ length: 256 }, (_, value) => value).filter((value) => terminalType(value));
  expect(known.map((value) => value.toString(16))).toEqual([
    "11",
    "12",
    "13",
    "14",
    "15",
    "16",
    "21",
    "22",
    "23",
    "24",
    "25",
    "26",
    "34",
    "35",
    "36",
  ]);
  expect(terminalType(0x22)).toEqual({
    operator: "merchant",
    attended: true,
    communication: "offline with online capability",
  });
  expect(terminalType(0x16)).toEqual({
    operator: "financial institution",
    attended: false,
    communication: "offline only",
  });
});
