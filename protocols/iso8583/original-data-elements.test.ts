import { expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import { createIso8583Codec } from "./codec.ts";
import { textOf } from "./message.ts";
import {
  decodeOriginalDataElements,
  decodeOriginalDataElements1993,
  encodeOriginalDataElements,
  encodeOriginalDataElements1993,
} from "./original-data-elements.ts";
import { SPEC_1987_BCD, SPEC_1993_ASCII } from "./specs.ts";

const ORIGINAL = { mti: "0200", stan: "000331", acquirer: "20" };

/** As in DE 90 of the reversal of test/vectors/iso8583/messages.json. */
const PUBLISHED = "020000331609080645190000000020000000000000";

test("DE 90 of a published reversal names its original", () => {
  expect(PUBLISHED).toHaveLength(42);
  const original = decodeOriginalDataElements(PUBLISHED);
  expect(original).toMatchObject({ mti: "0200", stan: "003316", transmissionDateTime: "0908064519", acquirer: "200" });
  expect(encodeOriginalDataElements(original)).toBe(PUBLISHED);
});

test("DE 90 has institutions with zeros in front, and none where there is none", () => {
  const original = { ...ORIGINAL, transmissionDateTime: "0908064519", forwarder: "" };
  const text = encodeOriginalDataElements(original);
  expect(text).toBe("0200" + "000331" + "0908064519" + "00000000020" + "00000000000");
  expect(decodeOriginalDataElements(text)).toEqual(original);
  const codec = createIso8583Codec(SPEC_1987_BCD);
  const message = { mti: "0420", fields: { 90: text } };
  expect(textOf(codec.unpack(codec.pack(message)), 90)).toBe(text);
});

test("DE 56 of 1993 has the acquirer behind its length", () => {
  const original = { ...ORIGINAL, mti: "1200", localDateTime: "260105101112" };
  const text = encodeOriginalDataElements1993(original);
  expect(text).toBe("1200000331260105101112" + "0220");
  expect(decodeOriginalDataElements1993(text)).toEqual(original);
  const none = { ...original, acquirer: "" };
  expect(decodeOriginalDataElements1993(encodeOriginalDataElements1993(none))).toEqual(none);
  expect(createIso8583Codec(SPEC_1993_ASCII).pack({ mti: "1420", fields: { 56: text } }).length).toBe(20 + 2 + 26);
});

test.each([
  ["a short DE 90", () => decodeOriginalDataElements("0".repeat(41)), "90"],
  ["a DE 90 with letters", () => decodeOriginalDataElements("A".repeat(42)), "90"],
  ["a DE 56 whose length says more", () => decodeOriginalDataElements1993("1200000331260105101112" + "0320"), "56"],
  [
    "a short STAN",
    () => encodeOriginalDataElements({ ...ORIGINAL, stan: "1", transmissionDateTime: "0908064519", forwarder: "" }),
    "90.2",
  ],
  [
    "a long acquirer",
    () => encodeOriginalDataElements1993({ ...ORIGINAL, acquirer: "1".repeat(12), localDateTime: "260105101112" }),
    "56.4",
  ],
])("refused, with the path: %s", (_, work, path) => {
  expect(work).toThrow(expect.objectContaining({ code: "codec.invalid", details: { path } }));
});

test("a field of another kind than was asked for is a Fault", () => {
  expect(() => textOf({ mti: "0100", fields: { 52: fromHex("00") } }, 52)).toThrow("DE 52 is not a text");
});
