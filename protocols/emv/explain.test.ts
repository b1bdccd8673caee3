import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../base/bytes.ts";
import { encodeTlv, type Tlv } from "./ber-tlv.ts";
import { explainTlv, explainValue, explanationLines } from "./explain.ts";
import { EMV_TAGS, MASKED_TAGS } from "./tags.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/emv/explained.json", import.meta.url), "utf8")) as {
  readonly values: readonly { readonly tag: string; readonly hex: string; readonly notes: readonly string[] }[];
};

const notesOf = (tag: number, hex: string) => explainValue(tag, fromHex(hex)).notes;
const linesOf = (hex: string) => explanationLines(explainTlv(fromHex(hex)));

test.each(vectors.values)("the published $tag $hex is told bit by bit", ({ tag, hex, notes }) => {
  expect(notesOf(Number.parseInt(tag, 16), hex)).toEqual(notes);
});

describe("values", () => {
  test.each([
    [0x9a, "260131", "2026-01-31"],
    [0x9a, "491231", "2049-12-31"],
    [0x5f24, "500101", "1950-01-01"],
    [0x9a, "260231", "no date of the calendar"],
    [0x9a, "2601AA", "no date of the calendar"],
    [0x9f21, "235959", "23:59:59"],
    [0x9f21, "240000", "no time of day"],
    [0x9f21, "236000", "no time of day"],
    [0x9f21, "235960", "no time of day"],
    [0x9f35, "22", "attended, offline with online capability, operated by merchant"],
    [0x9f35, "34", "unattended, online only, operated by cardholder"],
    [0x9f35, "31", "a value without a meaning here"],
    [0x9f35, "17", "a value without a meaning here"],
    [0x9c, "20", "refund"],
    [0x8a, "5933", "unable to go online, offline approved"],
    [0x84, "A0000000031010", "RID A000000003, PIX 1010"],
    [0x84, "325041592E5359532E4444463031", '"2PAY.SYS.DDF01"'],
    [0x9f4d, "0B0A", "transaction log in SFI 11, at most 10 records"],
    [0x9f5b, "2300000001", "script 00000001: successful, command 3"],
    [0x86, "8424000008AABBCCDDAABBCCDD", "PIN CHANGE/UNBLOCK, 8 bytes of data"],
    [0x50, "56495341", '"VISA"'],
    [0x50, "1B5B324A", '"\\x1b[2J"'],
    [0x9f02, "000000001234", "1234 minor units"],
    [0x81, "000004D2", "1234 minor units"],
  ])("%# of tag %i, %s: %s", (tag, hex, note) => {
    expect(notesOf(tag, hex)).toEqual([note]);
  });

  test("an advice and its reason are told", () => {
    expect(notesOf(0x9f27, "4B")).toEqual(["TC (approved)", "advice required", "reason: issuer authentication failed"]);
    expect(notesOf(0x9f27, "C0")).toContain("a reserved type of cryptogram");
  });

  test("an application that wants confirmation says so beside its priority", () => {
    expect(notesOf(0x87, "81")).toEqual([
      "priority 1",
      "Application cannot be selected without confirmation by the cardholder",
    ]);
  });

  test.each([
    ["82", "8000", "byte 1 bit 8: XDA supported"],
    ["9F07", "8000", "byte 1 bit 8: Valid for domestic cash transactions"],
    ["95", "0000008000", "byte 4 bit 8: Transaction exceeds floor limit"],
    ["9F0D", "0000008000", "byte 4 bit 8: Transaction exceeds floor limit"],
    ["9F0E", "0000008000", "byte 4 bit 8: Transaction exceeds floor limit"],
    ["9F0F", "0000008000", "byte 4 bit 8: Transaction exceeds floor limit"],
    ["9B", "4000", "byte 1 bit 7: Cardholder verification was performed"],
    ["9F33", "000080", "byte 3 bit 8: SDA"],
    ["9F40", "0000000080", "byte 5 bit 8: Code table 8"],
    ["9F30", "008000", "byte 2 bit 8: Facial biometric for online verification"],
    ["9F66", "00800000", "byte 2 bit 8: Online cryptogram required"],
  ])("%s has its own table of bits", (tag, hex, note) => {
    expect(notesOf(Number.parseInt(tag, 16), hex)).toEqual([note]);
  });

  test.each(["8C", "8D", "97", "9F38", "9F49", "9F4F"])("%s is a list of data objects", (tag) => {
    expect(notesOf(Number.parseInt(tag, 16), "9F3704")).toEqual([
      "9F37 Unpredictable Number, 4 bytes",
      "4 bytes in all",
    ]);
  });

  test.each(["4F", "9D", "9F06"])("%s is an AID", (tag) => {
    expect(notesOf(Number.parseInt(tag, 16), "A0000000031010")).toEqual(["RID A000000003, PIX 1010"]);
  });

  test.each(["9F13", "9F36"])("%s is a count", (tag) => {
    expect(notesOf(Number.parseInt(tag, 16), "0100")).toEqual(["256"]);
  });

  test("an answer in format 1 that is neither of the two says nothing", () => {
    expect(notesOf(0x80, "80002901020304050607")).toEqual([]);
    expect(notesOf(0x80, "C000290102030405060708")).toEqual([]);
  });

  test("bits that are set and reserved are told apart from those with a meaning", () => {
    expect(notesOf(0x9b, "8201")).toEqual([
      "byte 1 bit 8: Offline data authentication was performed",
      "byte 1 bit 2: set, but reserved",
      "byte 2 bit 1: set, but reserved",
    ]);
  });

  test.each([
    ["000000001234 5F2A020978", "12.34 EUR"],
    ["000000001234 5F2A020392", "1234 JPY"],
    ["000000001234 5F2A020978 5F360103", "1.234 EUR"],
    ["000000000005 5F2A020978", "0.05 EUR"],
    ["000000001234 5F2A020999", "1234 minor units of currency 0999"],
  ])("the amount 9F02 06 %s is %s", (rest, amount) => {
    expect(explainTlv(fromHex(`9F0206 ${rest}`)).objects[0]?.notes).toEqual([amount]);
  });

  test("what has the wrong length or form says so, and is shown", () => {
    expect(notesOf(0x95, "8000")).toEqual([
      "wrong length: 2 bytes where 5 belong",
      "byte 1 bit 8: Offline data authentication was not performed",
    ]);
    expect(notesOf(0x9f02, "0000000012AB")).toEqual([
      "malformed: a half byte that is no digit in a numeric value, at byte 5",
    ]);
    expect(notesOf(0x8c, "9F02")).toEqual(["malformed: ended at byte 2"]);
  });

  test("a tag means what its template says", () => {
    expect(linesOf("BF4C04DF510103 82021C00")).toEqual([
      "BF4C Biometric Try Counters Template",
      "  DF51 Finger Try Counter (1 byte): 03",
      "82 Application Interchange Profile (2 bytes): 1C00",
      "  byte 1 bit 5: Cardholder verification is supported",
      "  byte 1 bit 4: Terminal risk management is to be performed",
      "  byte 1 bit 3: Issuer authentication is supported",
    ]);
    expect(linesOf("A103820101")[1]).toBe("  82 Biometric Subtype (1 byte): 01");
  });
});

describe("nesting and faults", () => {
  test("templates are nested by indentation, and unknown tags shown", () => {
    expect(linesOf("6F0B 8405A000000003 DF0101FF")).toEqual([
      "6F File Control Information (FCI) Template",
      "  84 Dedicated File (DF) Name (5 bytes): A000000003",
      "    RID A000000003",
      "  DF01 unknown tag (1 byte): FF",
    ]);
  });

  test("what cannot be read comes last, with the byte, and without the bytes themselves", () => {
    expect(linesOf("9C0100 5A08 4761")).toEqual([
      "9C Transaction Type (1 byte): 00",
      "  goods and services",
      "undecodable: tag 5A wants 8 bytes, has 2, at byte 5",
    ]);
  });

  test("the status word behind an answer is not taken for a certificate", () => {
    expect(linesOf("9F36020001 9000").at(-1)).toBe("  as it is empty and the last: the status word 9000");
    expect(linesOf("9F36020001 9001AA").at(-1)).toBe("90 Issuer Public Key Certificate (1 byte): AA");
    expect(linesOf("9000")).toEqual(["90 Issuer Public Key Certificate (0 bytes)"]);
  });
});

describe("secrets", () => {
  const record = fromHex(
    "703857104761340000000050D1712201125234515F20104341524420352F5649534120544553549F1F1031323532333030343531303030303030",
  );

  test("RM6 a card number shows its first six and last four digits, names and tracks nothing", () => {
    const text = explanationLines(explainTlv(record)).join("\n");
    expect(text).toContain("57 Track 2 Equivalent Data (16 bytes): 476134******0050 (masked)");
    expect(text).not.toContain("4761340000000050");
    expect(text).not.toContain("CARD 5");
    expect(text).not.toContain("125234");
    expect(text.toUpperCase()).not.toContain(toHex(Buffer.from("CARD 5")).toUpperCase());
  });

  test("whoever asks is shown them", () => {
    const text = explanationLines(explainTlv(record, "shown")).join("\n");
    expect(text).toContain("PAN 4761340000000050");
    expect(text).toContain('"CARD 5/VISA TEST"');
  });

  test("RM6 an issuer's own object that repeats the card number is masked as well", () => {
    const digits = "4761340000000050";
    const copies = encodeTlv([
      { tag: 0x5a, value: fromHex(digits) },
      { tag: 0xdf01, value: concat(fromHex("00"), fromHex(digits)) },
      { tag: 0xdf02, value: new Uint8Array(Buffer.from(`;${digits}=`, "ascii")) },
    ]);
    const shown = explainTlv(copies).objects.map(({ value }) => value);
    expect(shown).toEqual(["476134******0050", "*".repeat(18), "*".repeat(36)]);
  });

  test("RM6 certificates that give the card number away are hidden whole", () => {
    for (const tag of [0x9f46, 0x9f2d]) {
      const hidden = { value: "*".repeat(288), masked: true, notes: [] };
      expect(explainValue(tag, new Uint8Array(144).fill(0xab))).toMatchObject(hidden);
    }
  });

  test("RM5 every tag that must not be stored is masked, and a short number wholly", () => {
    for (const tag of [0x57, 0x5a, 0x5f20, 0x9f1f, 0x9f20]) {
      expect(EMV_TAGS.get(tag)?.secret).toBe(true);
      expect(MASKED_TAGS.has(tag)).toBe(true);
      expect(explainValue(tag, fromHex("12345678"))).toMatchObject({ value: "********", masked: true });
    }
  });
});

test("any bytes are explained, with a fault that lies within them", () => {
  const tag = fc.constantFrom(...EMV_TAGS.keys());
  const soundTlv = fc
    .array(fc.record({ tag, value: fc.uint8Array({ maxLength: 40 }) }), { maxLength: 20 })
    .map((objects) =>
      encodeTlv(
        objects.map(
          ({ tag: each, value }): Tlv => (isTemplate(each) ? { tag: each, children: [] } : { tag: each, value }),
        ),
      ),
    );
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 300 }), soundTlv),
      fc.constantFrom("masked", "shown"),
      (bytes, of) => {
        const explained = explainTlv(bytes, of);
        expect(explained.fault?.offset ?? 0).toBeLessThanOrEqual(bytes.length);
        expect(explanationLines(explained).every((line) => /^[\x20-\x7e]*$/.test(line))).toBe(true);
      },
    ),
    { numRuns: 500 },
  );
});

test("any value of any tag is explained", () => {
  fc.assert(
    fc.property(fc.constantFrom(...EMV_TAGS.keys()), fc.uint8Array({ maxLength: 300 }), (tag, value) => {
      expect(explainValue(tag, value, "shown").length).toBe(value.length);
    }),
    { numRuns: 2_000 },
  );
});

const isTemplate = (tag: number): boolean => EMV_TAGS.get(tag)?.format === "template";
