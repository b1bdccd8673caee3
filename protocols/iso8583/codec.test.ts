import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../base/bytes.ts";
import { Fault, isFault } from "../../base/fault.ts";
import { arbitraryMessage } from "../../test/rules/iso8583-messages.ts";
import { createIso8583Codec } from "./codec.ts";
import { MESSAGE_BYTES_MAX } from "./cursor.ts";
import type { Iso8583Message } from "./message.ts";
import { SPEC_1987_ASCII, SPEC_1987_BCD, SPEC_1987_BINARY, SPEC_1987_NESTED, SPEC_1993_ASCII, SPECS } from "./specs.ts";

/** Messages of many fields take minutes to shrink, and the seed alone tells enough. */
const RUNS = { numRuns: 60, endOnFailure: true };
const ascii = createIso8583Codec(SPEC_1987_ASCII);
const bcd = createIso8583Codec(SPEC_1987_BCD);
const binary = createIso8583Codec(SPEC_1987_BINARY);
const nested = createIso8583Codec(SPEC_1987_NESTED);

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");
const message = (fields: Iso8583Message["fields"], mti = "0100"): Iso8583Message => ({ mti, fields });

function faultOf(work: () => unknown): Fault {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe.each(SPECS)("$name", (spec) => {
  const codec = createIso8583Codec(spec);

  test("every message that suits the table comes back as it was", () => {
    fc.assert(
      fc.property(arbitraryMessage(spec), (given) => {
        const bytes = codec.pack(given);
        const unpacked = codec.unpack(bytes);
        expect(unpacked).toEqual(given);
        expect(codec.pack(unpacked)).toEqual(bytes);
      }),
      RUNS,
    );
  });

  test("whatever bytes come, they are a message or a Fault", () => {
    const start = codec.pack({ mti: `${spec.version}100`, fields: {} }).subarray(0, spec.mti === "bcd" ? 2 : 4);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.uint8Array({ maxLength: 400 }).map((rest) => concat(start, rest)),
    );
    fc.assert(
      fc.property(bytes, (given) => void orFault(() => codec.unpack(given))),
      { numRuns: 400 },
    );
  });

  test("a message that ends early is truncated, wherever it ends", () => {
    fc.assert(
      fc.property(arbitraryMessage(spec), (given) => {
        const bytes = codec.pack(given);
        for (let length = 0; length < bytes.length; length += 1) {
          expect(faultOf(() => codec.unpack(bytes.subarray(0, length))).code).toBe("codec.truncated");
        }
      }),
      { numRuns: 5, endOnFailure: true },
    );
  });

  test("a message with a bit turned is another message or a Fault", () => {
    fc.assert(
      fc.property(arbitraryMessage(spec), fc.nat(), (given, at) => {
        const bytes = new Uint8Array(codec.pack(given));
        const index = Math.floor(at / 8) % bytes.length;
        const before = bytes[index] ?? 0;
        bytes[index] = before ^ (1 << (at % 8));
        // Hexadecimal characters are read in either case.
        if (isHexLetter(before) && at % 8 === 5) return;
        const other = orFault(() => codec.unpack(bytes));
        if (other) expect(other).not.toEqual(given);
      }),
      { numRuns: 200, endOnFailure: true },
    );
  });

  test("bytes behind a message are refused", () => {
    const bytes = concat(codec.pack({ mti: `${spec.version}800`, fields: { 11: "000001" } }), Uint8Array.of(0x30));
    expect(faultOf(() => codec.unpack(bytes))).toMatchObject({
      code: "codec.too-long",
      message: expect.stringContaining("1 bytes too many"),
    });
  });
});

const isHexLetter = (byte: number): boolean => /[A-Fa-f]/.test(String.fromCharCode(byte));

/** Undefined for a Fault; anything else that is thrown fails the test. */
function orFault<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (isFault(error) && typeof error.details["path"] === "string") return undefined;
    throw error;
  }
}

test("a second bitmap is there when a field above 64 is, and says so in bit 1", () => {
  expect(toHex(binary.pack(message({ 11: "000001" })))).toBe("3031303000200000000000003030303030" + "31");
  expect(toHex(binary.pack(message({ 70: "301" }, "0800")))).toBe(
    "303830308000000000000000" + "0400000000000000333031",
  );
});

test("a second bitmap without fields is read", () => {
  const bytes = fromHex(`30313030 8020000000000000 0000000000000000 ${toHex(latin1("000001"))}`);
  expect(binary.unpack(bytes)).toEqual(message({ 11: "000001" }));
});

test("the third bitmap stands in DE 65, between the fields of the first and of the second", () => {
  const bytes = nested.pack(message({ 11: "000001", 70: "301", 129: "a", 192: "zz" }));
  expect(toHex(bytes)).toBe(
    [
      "30313030",
      "8020000000000000",
      "8400000000000000",
      "303030303031",
      "8000000000000001",
      "333031",
      "30303161",
      "3030327a7a",
    ].join(""),
  );
  expect(nested.unpack(bytes)).toEqual(message({ 11: "000001", 70: "301", 129: "a", 192: "zz" }));
  const third = message({ 11: "000001", 130: "b" });
  expect(nested.unpack(nested.pack(third))).toEqual(third);
});

test("a third bitmap is refused by a table that has none", () => {
  const bytes = fromHex("30313030 8000000000000000 8000000000000000 8000000000000000");
  expect(faultOf(() => binary.unpack(bytes)).details).toMatchObject({ path: "65" });
});

test("digits are packed with zeros in front, and an odd number of a variable field with a zero behind", () => {
  const packed = toHex(bcd.pack(message({ 2: "4761739001010119123", 4: "5000", 22: "051" })));
  expect(packed).toBe(["0100", "5000040000000000", "1947617390010101191230", "000000005000", "0051"].join(""));
});

test("a track keeps its separator, as a half byte D when it is packed", () => {
  const given = message({ 35: "4761739001010119=2212" });
  expect(toHex(bcd.pack(given))).toBe(["0100", "0000000020000000", "21", "4761739001010119d22120"].join(""));
  expect(bcd.unpack(bcd.pack(given))).toEqual(given);
  expect(bcd.pack(message({ 35: "4761739001010119D2212" }))).toEqual(bcd.pack(given));
});

test("texts are filled with spaces behind, which are gone when they are read", () => {
  const bytes = ascii.pack(message({ 41: "TERM1" }));
  expect(Buffer.from(bytes).toString("latin1")).toBe("01000000000000800000TERM1   ");
  expect(ascii.unpack(bytes)).toEqual(message({ 41: "TERM1" }));
});

test("DE 55 is a list of data objects; in a table of characters in hex, and the length counts bytes", () => {
  const given = message({
    55: [
      { tag: 0x9f02, value: fromHex("000000005000") },
      { tag: 0x95, value: fromHex("8000000000") },
    ],
  });
  const tlv = "9F0206000000005000" + "95058000000000";
  expect(Buffer.from(ascii.pack(given)).toString("latin1")).toBe(`01000000000000000200016${tlv}`);
  expect(toHex(bcd.pack(given)).toUpperCase()).toBe(`01000000000000000200${"0016"}${tlv}`);
});

test("sub-fields of DE 48 stand behind tag and length, those of DE 127 behind a bitmap", () => {
  const given = message({ 48: { "92": "123", "07": "abc" }, 127: { 2: "key", 20: "20260105" } });
  const bytes = nested.pack(given);
  expect(Buffer.from(bytes.subarray(20)).toString("latin1")).toBe(
    `0140703abc9203123${"000021"}${"\x40\x00\x10\x00\x00\x00\x00\x00"}03key20260105`,
  );
  expect(nested.unpack(bytes)).toEqual(given);
});

const AMOUNT = "1000000000000000"; // DE 4 alone
const refused: readonly (readonly [string, () => unknown, object])[] = [
  ["no bytes at all", () => ascii.unpack(latin1("")), { code: "codec.truncated", path: "mti" }],
  ["an MTI that is no number", () => ascii.unpack(latin1("01X0")), { path: "mti", offset: 2 }],
  ["an MTI of 1993", () => ascii.unpack(latin1(`1100${AMOUNT}000000005000`)), { path: "mti" }],
  [
    "a bitmap that is not hex",
    () => ascii.unpack(latin1(`0100${AMOUNT.replace("1", "G")}`)),
    { path: "bitmap", offset: 4 },
  ],
  [
    "a letter in an amount",
    () => ascii.unpack(latin1(`0100${AMOUNT}00000000500A`)),
    { path: "4", offset: 31, field: "AmountTransaction" },
  ],
  [
    "an amount of eleven digits",
    () => ascii.unpack(latin1(`0100${AMOUNT}00000000500`)),
    { code: "codec.truncated", path: "4" },
  ],
  [
    "a field that the table has not",
    () => bcd.unpack(fromHex("0800 8000000000000000 8000000000000000 00")),
    { path: "65" },
  ],
  [
    "a length above the field's",
    () => ascii.unpack(latin1(`0100400000000000000020${"4".repeat(20)}`)),
    { code: "codec.too-long", path: "2" },
  ],
  ["a length that is no number", () => ascii.unpack(latin1("010040000000000000001x4")), { path: "2", offset: 21 }],
  ["a length that is not packed", () => bcd.unpack(fromHex("0100 4000000000000000 1A")), { path: "2", offset: 10 }],
  [
    "half a byte that is no digit",
    () => bcd.unpack(fromHex("0100 1000000000000000 00000000500C")),
    { path: "4", offset: 15 },
  ],
  [
    "an odd number with a wrong pad in front",
    () => bcd.unpack(fromHex("0100 0000040000000000 1051")),
    { path: "22", offset: 10 },
  ],
  [
    "an odd number with a wrong pad behind",
    () => bcd.unpack(fromHex("0100 4000000000000000 03 123F")),
    { path: "2", offset: 12 },
  ],
  [
    "an amount without C or D",
    () => binary.unpack(latin1("0100\0\0\0\x10\0\0\0\x00X00000000")),
    { path: "28", offset: 12 },
  ],
  [
    "a control character in a text",
    () => ascii.unpack(latin1("01000000000000800000TERM\n   ")),
    { path: "41", offset: 24 },
  ],
  [
    "a data object that is cut off",
    () => bcd.unpack(fromHex("0100 0000000000000200 0004 9F260811")),
    { code: "codec.truncated", path: "55.9F26", offset: 15 },
  ],
  [
    "a data object that is there twice",
    () => bcd.unpack(fromHex("0100 0000000000000200 0006 9A01019A0102")),
    { path: "55.9A" },
  ],
  [
    "a sub-field that is cut off",
    () => nested.unpack(latin1("0100\0\0\0\0\0\x01\0\x000060705ab")),
    { code: "codec.truncated", path: "48.07", offset: 19 },
  ],
  [
    "a sub-field that is there twice",
    () => nested.unpack(latin1("0100\0\0\0\0\0\x01\0\x000080700070007".replace("008", "008"))),
    { path: "48.07" },
  ],
  [
    "a sub-field that its table has not",
    () => nested.unpack(fromHex("30313030 8000000000000000 0000000000000002 303030303038 0000000000000001")),
    { path: "127.64" },
  ],
  ["an unknown field to write", () => binary.pack(message({ 1: "x" })), { path: "1" }],
  ["a field beyond all bitmaps to write", () => binary.pack(message({ 193: "x" })), { path: "193" }],
  [
    "too many digits to write",
    () => binary.pack(message({ 4: "1234567890123" })),
    { code: "codec.too-long", path: "4" },
  ],
  [
    "too few bytes to write",
    () => binary.pack(message({ 52: fromHex("00") })),
    { code: "codec.truncated", path: "52" },
  ],
  ["a letter in a number to write", () => bcd.pack(message({ 11: "00000A" })), { path: "11" }],
  ["a character outside of ISO 8859-1 to write", () => binary.pack(message({ 43: "Łódź" })), { path: "43" }],
  ["bytes where a text belongs", () => binary.pack(message({ 11: fromHex("00") })), { path: "11" }],
  ["a text where data objects belong", () => binary.pack(message({ 55: "9A" })), { path: "55" }],
  [
    "a data object twice to write",
    () =>
      binary.pack(
        message({
          55: [
            { tag: 0x9a, value: fromHex("01") },
            { tag: 0x9a, value: fromHex("01") },
          ],
        }),
      ),
    { path: "55.9A" },
  ],
  ["an unknown sub-field to write", () => nested.pack(message({ 127: { 5: "x" } })), { path: "127.5" }],
  ["an MTI of 1993 to write", () => binary.pack(message({}, "1100")), { path: "mti" }],
];

test.each(refused)("refused, with the path: %s", (_, work, { code, ...details }: { code?: string }) => {
  expect(faultOf(work)).toMatchObject({ code: code ?? "codec.invalid", details });
});

test("a Fault names the field and never has its value", () => {
  const text = "0100" + "4000000000000000" + "16476173900101011X";
  expect(faultOf(() => ascii.unpack(latin1(text))).message).toBe("DE 2 Pan: 0x58 where digits belong, at byte 37");
  expect(faultOf(() => ascii.pack(message({ 2: "476173900101011X" }))).message).not.toContain("4761739");
});

test("more bytes than two bytes of length can say are refused, read or written", () => {
  expect(faultOf(() => binary.unpack(new Uint8Array(MESSAGE_BYTES_MAX + 1))).code).toBe("codec.too-long");
  const full = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [129 + at, "x".repeat(999)]));
  const fields = { ...full, 120: "x".repeat(999), 121: "x".repeat(999) };
  expect(faultOf(() => nested.pack(message(fields))).code).toBe("codec.too-long");
});

test("nothing of a message that was refused is in the next one", () => {
  expect(() => ascii.pack(message({ 2: "4761739001010119", 43: "\n" }))).toThrow(Fault);
  expect(Buffer.from(ascii.pack(message({ 11: "000001" }))).toString("latin1")).toBe("01000020000000000000000001");
});

test("1993 has its own widths: local date and time, function code, action code", () => {
  const codec = createIso8583Codec(SPEC_1993_ASCII);
  const given = { mti: "1110", fields: { 12: "260105101112", 24: "100", 39: "000", 43: "A shop" } };
  expect(Buffer.from(codec.pack(given)).toString("latin1")).toBe("11100010010002200000260105101112100000" + "06A shop");
  expect(codec.unpack(codec.pack(given))).toEqual(given);
});

test("a table that contradicts itself makes no codec", () => {
  const spec = (field: object) =>
    ({
      ...SPEC_1987_BINARY,
      fields: { 2: { name: "X", format: "n", length: 3, encoding: "ascii", ...field } },
    }) as typeof SPEC_1987_BINARY;
  expect(() => createIso8583Codec(spec({}))).not.toThrow();
  for (const wrong of [
    { encoding: "binary" },
    { format: "ans", encoding: "bcd" },
    { length: 0 },
    { length: { max: 100, digits: 2, encoding: "bcd" } },
    { padding: "right-space", encoding: "bcd" },
  ]) {
    expect(() => createIso8583Codec(spec(wrong))).toThrow("broken invariant");
  }
});
