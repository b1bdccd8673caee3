import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { decodeAfl, encodeAfl } from "./afl.ts";
import { encodeCommand } from "./apdu.ts";
import {
  decodeCid,
  decodeCryptogram,
  decodeGetData,
  decodeInternalAuthenticate,
  decodeProcessingOptions,
  decodeRecord,
  externalAuthenticateCommand,
  generateAcCommand,
  getDataCommand,
  getProcessingOptionsCommand,
  internalAuthenticateCommand,
  PSE_NAME,
  readRecordCommand,
  selectCommand,
} from "./commands.ts";
import {
  decodeCompressed,
  decodeNumeric,
  decodeTrack2,
  encodeCompressed,
  encodeNumeric,
  encodeTrack2,
  luhnHolds,
} from "./numeric.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/emv/afl.json", import.meta.url), "utf8")) as {
  readonly read: readonly { readonly hex: string; readonly records: readonly string[] }[];
  readonly refused: readonly string[];
};

describe("the file locator", () => {
  test.each(vectors.read)("$hex names its records in order", ({ hex, records }) => {
    const afl = decodeAfl(fromHex(hex));
    const named = afl.flatMap(({ sfi, firstRecord, lastRecord }) =>
      Array.from({ length: lastRecord - firstRecord + 1 }, (_, index) => `${sfi}.${firstRecord + index}`),
    );
    expect(named).toEqual(records);
    expect(encodeAfl(afl)).toEqual(fromHex(hex));
  });

  // Book 3, 10.2 and 6.3.6.
  test("the reserved bits of an entry are not looked at", () => {
    expect(decodeAfl(fromHex("0F010100"))).toEqual(decodeAfl(fromHex("08010100")));
  });

  // Book 3, 7.5.
  test.each(["00010100", "F8010100", "08000100", "08020100", "08010203"])("the entry %s names no records", (hex) => {
    expect(() => decodeAfl(fromHex(hex))).toThrow(expect.objectContaining({ code: "codec.invalid" }));
  });

  test.each(vectors.refused)("the malformed %s is refused", (hex) => {
    expect(() => decodeAfl(fromHex(hex))).toThrow(expect.objectContaining({ code: "codec.invalid" }));
  });
});

describe("commands", () => {
  test.each([
    ["00A404000E315041592E5359532E444446303100", selectCommand(PSE_NAME)],
    ["00A4040207A000000003101000", selectCommand(fromHex("A0000000031010"), "next")],
    ["00B2020C00", readRecordCommand({ sfi: 1, record: 2 })],
    ["00B2015C00", readRecordCommand({ sfi: 11, record: 1 })],
    ["80A8000002830000", getProcessingOptionsCommand(new Uint8Array(0))],
    ["80AE40000200FF00", generateAcCommand("TC", fromHex("00FF"))],
    ["80AE80000200FF00", generateAcCommand("ARQC", fromHex("00FF"))],
    ["80AE00000200FF00", generateAcCommand("AAC", fromHex("00FF"))],
    ["80AE90000200FF00", generateAcCommand("ARQC", fromHex("00FF"), "cda")],
    ["80AE50000200FF00", generateAcCommand("TC", fromHex("00FF"), "cda")],
    ["80AE88000200FF00", generateAcCommand("ARQC", fromHex("00FF"), "xda")],
    ["80AE400000", generateAcCommand("TC", new Uint8Array(0))],
    ["0088000004DEADBEEF00", internalAuthenticateCommand(fromHex("DEADBEEF"))],
    ["00820000081122334455667788", externalAuthenticateCommand(fromHex("1122334455667788"))],
    ["80CA9F3600", getDataCommand(0x9f36)],
    ["80CA9F1700", getDataCommand(0x9f17)],
  ])("%s", (hex, command) => {
    expect(toHex(encodeCommand(command)).toUpperCase()).toBe(hex);
  });
});

describe("answers", () => {
  test.each(["8006 1800 08010200", "770A 8202 1800 9404 08010200"])("processing options %s", (hex) => {
    const { aip, afl } = decodeProcessingOptions(fromHex(hex));
    expect(aip).toEqual(fromHex("1800"));
    expect(afl).toEqual([{ sfi: 1, firstRecord: 1, lastRecord: 2, authenticatedRecords: 0 }]);
  });

  test.each([
    "80124000020102030405060708 06011203600000",
    "771E9F2701409F360200029F260801020304050607089F100706011203600000",
  ])("cryptogram %s", (hex) => {
    expect(decodeCryptogram(fromHex(hex))).toEqual({
      type: "TC",
      cid: 0x40,
      atc: fromHex("0002"),
      cryptogram: fromHex("0102030405060708"),
      issuerApplicationData: fromHex("06011203600000"),
    });
  });

  test.each([
    ["no cryptogram", "770C9F2701409F360200029F1000"],
    ["a cryptogram of the reserved type", "800BC000020102030405060708"],
    ["a counter of one byte", "77139F2701409F3601029F26080102030405060708"],
    ["something behind the template", "800B40000201020304050607085A00"],
    ["nothing", ""],
  ])("with %s are refused", (_, hex) => {
    expect(() => decodeCryptogram(fromHex(hex))).toThrow(expect.objectContaining({ name: "Fault" }));
  });

  test.each([
    ["an AFL entry without records, in format 1", "8006 1800 08000200", 4],
    ["an AFL entry without records, in format 2", "770E 8202 1800 9408 0801020008000200", 12],
    ["an AFL that is not whole", "8005 1800 080102", 7],
    ["an AIP of one byte", "7709 8201 18 9404 08010200", 4],
    ["nothing after the template's length", "7702 8202", 4],
  ])("of %s are at fault there", (_, hex, offset) => {
    expect(() => decodeProcessingOptions(fromHex(hex))).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ offset }) }),
    );
  });

  test("a signature comes in either format", () => {
    expect(decodeInternalAuthenticate(fromHex("8003AABBCC"))).toEqual(fromHex("AABBCC"));
    expect(decodeInternalAuthenticate(fromHex("77069F4B03AABBCC"))).toEqual(fromHex("AABBCC"));
    expect(() => decodeInternalAuthenticate(fromHex("77039F3600"))).toThrow("lacks tag 9F4B");
    expect(() => decodeInternalAuthenticate(fromHex("7003AABBCC"))).toThrow();
  });

  // Book 3, 5.2.
  test("an object of length zero in an answer counts as absent", () => {
    const signed = decodeCryptogram(fromHex("7712 9F270140 9F36020002 9F2600 9F4B03AABBCC"));
    expect(signed).toEqual({
      type: "TC",
      cid: 0x40,
      atc: fromHex("0002"),
      issuerApplicationData: fromHex(""),
      signedDynamicData: fromHex("AABBCC"),
    });
    expect(() => decodeCryptogram(fromHex("770F 9F270140 9F36020002 9F2600 9F4B00"))).toThrow("without a cryptogram");
    expect(() => decodeInternalAuthenticate(fromHex("77039F4B00"))).toThrow("lacks tag 9F4B");
  });

  test("GET DATA is answered by the object that was asked for", () => {
    expect(decodeGetData(fromHex("9F170103"), 0x9f17)).toEqual(fromHex("03"));
    expect(() => decodeGetData(fromHex("9F360200FF"), 0x9f17)).toThrow("has tag 9F36 and not 9F17");
  });

  // Book 3, table 15.
  test.each([
    [0x00, { type: "AAC", paymentSystemType: 0, adviceRequired: false, reason: "none" }],
    [0x40, { type: "TC", paymentSystemType: 0, adviceRequired: false, reason: "none" }],
    [0x80, { type: "ARQC", paymentSystemType: 0, adviceRequired: false, reason: "none" }],
    [0xc0, { type: undefined, paymentSystemType: 0, adviceRequired: false, reason: "none" }],
    [0x09, { type: "AAC", paymentSystemType: 0, adviceRequired: true, reason: "service-not-allowed" }],
    [0x0a, { type: "AAC", paymentSystemType: 0, adviceRequired: true, reason: "pin-try-limit-exceeded" }],
    [0x83, { type: "ARQC", paymentSystemType: 0, adviceRequired: false, reason: "issuer-authentication-failed" }],
    [0x34, { type: "AAC", paymentSystemType: 3, adviceRequired: false, reason: "reserved" }],
  ] as const)("Cryptogram Information Data %i", (cid, expected) => {
    expect(decodeCid(cid)).toEqual(expected);
  });

  test("a record is one template 70", () => {
    expect(decodeRecord(fromHex("70035A0147"))).toEqual([{ tag: 0x5a, value: fromHex("47") }]);
    expect(() => decodeRecord(fromHex("7100"))).toThrow("template 70");
    expect(() => decodeRecord(fromHex("70035A0147 FFFF"))).toThrow(expect.objectContaining({ name: "Fault" }));
  });

  test.each([
    decodeProcessingOptions,
    decodeCryptogram,
    decodeInternalAuthenticate,
    decodeRecord,
    decodeAfl,
    decodeTrack2,
    decodeCompressed,
    decodeNumeric,
  ])("$name reads any bytes or throws a Fault with the offset", (decode: (bytes: Uint8Array) => unknown) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom("", "77", "80", "70"), (bytes, tag) => {
        const length = tag === "" ? "" : bytes.length.toString(16).padStart(2, "0");
        try {
          decode(fromHex(`${tag}${length}${toHex(bytes)}`));
        } catch (error) {
          if (!isFault(error)) throw error;
          expect(Number(error.details["offset"])).toBeLessThanOrEqual(bytes.length + 2);
        }
      }),
    );
  });
});

describe("digits", () => {
  test("amounts are written as Book 3 writes them", () => {
    expect(encodeNumeric(12_345n, 6)).toEqual(fromHex("000000012345"));
    expect(() => encodeNumeric(1_000_000_000_000n, 6)).toThrow("does not fit");
    expect(() => encodeNumeric(-1n, 6)).toThrow("does not fit");
    expect(() => decodeNumeric(fromHex("0A"))).toThrow("no digit");
  });

  test("numbers, account numbers and tracks come back as they were", () => {
    const digits = (min: number, max: number) => fc.stringMatching(new RegExp(`^[0-9]{${min},${max}}$`));
    fc.assert(
      fc.property(fc.bigInt(0n, 999_999_999_999n), (n) => {
        expect(decodeNumeric(encodeNumeric(n, 6))).toBe(n);
      }),
    );
    fc.assert(
      fc.property(digits(0, 19), (pan) => {
        expect(decodeCompressed(encodeCompressed(pan))).toBe(pan);
      }),
    );
    const track = fc.record({
      pan: digits(1, 19),
      expiry: digits(4, 4),
      serviceCode: digits(3, 3),
      discretionary: digits(0, 10),
    });
    fc.assert(
      fc.property(track, (fields) => {
        expect(decodeTrack2(encodeTrack2(fields))).toEqual(fields);
      }),
    );
  });

  test.each([
    ["no separator", "4761739001010119", 8],
    ["a separator in front", "D22122011758928889", 0],
    ["no service code", "4761D2212", 4],
    ["a letter among the digits", "4761D221220117589A", 8],
    ["more than one F behind", "4761D22122011FFF", 7],
    ["more than 19 digits", "12345678901234567890D2212201", 9],
    ["more than 19 bytes", "47".repeat(20), 19],
  ])("a track with %s is at fault there", (_, hex, offset) => {
    const even = hex.length % 2 === 0 ? hex : `${hex}F`;
    expect(() => decodeTrack2(fromHex(even))).toThrow(expect.objectContaining({ details: { offset } }));
  });

  test("a number is at fault at its first half byte that is no digit", () => {
    expect(() => decodeNumeric(fromHex("00001A"))).toThrow(expect.objectContaining({ details: { offset: 2 } }));
    expect(() => decodeCompressed(fromHex("1234F5"))).toThrow(expect.objectContaining({ details: { offset: 2 } }));
    expect(() => decodeCompressed(fromHex("12A4FF"))).toThrow(expect.objectContaining({ details: { offset: 1 } }));
    expect(() => decodeNumeric(new Uint8Array(253))).toThrow(expect.objectContaining({ details: { offset: 252 } }));
  });

  test("the published track of a test card is read", () => {
    expect(decodeTrack2(fromHex("4761739001010119D22122011758928889"))).toEqual({
      pan: "4761739001010119",
      expiry: "2212",
      serviceCode: "201",
      discretionary: "1758928889",
    });
  });

  test("the check digit is seen when one digit is wrong", () => {
    expect(luhnHolds("4761739001010119")).toBe(true);
    expect(luhnHolds("4761739001010118")).toBe(false);
    expect(luhnHolds("")).toBe(false);
  });
});
