import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CardNumberForm, sweepForCardNumbers } from "./pan-sweep.ts";

const EVEN = "4761739001010119";
const ODD = "6799998900000200018";
const ascii = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const hex = (digits: string) => new Uint8Array(Buffer.from(digits, "hex"));
const forms = (bytes: Uint8Array) => sweepForCardNumbers(bytes, [EVEN, ODD]).map(({ form }) => form);

describe("RM5: the sweep sees a planted card number", () => {
  test.each<[string, Uint8Array, CardNumberForm]>([
    ["digits in a log line", ascii(`{"pan":"${EVEN}"}`), "ascii"],
    ["digits with an odd count", ascii(`x${ODD}y`), "ascii"],
    ["groups of four", ascii("4761 7390 0101 0119"), "ascii"],
    ["groups with dashes", ascii("4761-7390-0101-0119"), "ascii"],
    ["hex text of packed digits", ascii(`5A08${EVEN}5F24`), "ascii"],
    ["hex text of padded packed digits", ascii(`5a0a${ODD}f5f24`), "ascii"],
    ["a hex dump", ascii("5A 08 47 61 73 90 01 01 01 19"), "ascii"],
    ["hex text of ASCII digits", ascii(`57${Buffer.from(EVEN).toString("hex")}00`), "ascii-hex"],
    ["UTF-16", new Uint8Array(Buffer.from(`x${EVEN}`, "utf16le")), "utf16"],
    ["raw packed digits", hex(`5a08${EVEN}5f24`), "bcd"],
    ["raw packed digits, padded", hex(`5a0a${ODD}f5f24`), "bcd"],
    ["raw packed digits, shifted by half a byte", hex(`570${EVEN}1`), "bcd"],
  ])("as %s", (_name, bytes, form) => {
    expect(forms(bytes)).toEqual([form]);
  });

  test.each([0, 1, 2, 3, 4, 5])("as base64 of ASCII behind %i bytes", (shift) => {
    for (const tail of ["", "x", "xy", '"}']) {
      const encoded = Buffer.from(`${"{".repeat(shift)}${EVEN}${tail}`).toString("base64");
      expect(forms(ascii(`"${encoded}"`))).toEqual(["base64-of-ascii"]);
    }
  });

  test.each([0, 1, 2, 3, 4, 5, 6])("as base64 of packed digits behind %i half bytes", (shift) => {
    for (const pan of [EVEN, ODD]) {
      const digits = `${"a".repeat(shift)}${pan}d2512201`;
      const encoded = Buffer.from(digits.padEnd(digits.length + (digits.length % 2), "f"), "hex").toString("base64");
      expect(forms(ascii(encoded))).toContain("base64-of-bcd");
      expect(forms(ascii(encoded.replaceAll("+", "-").replaceAll("/", "_")))).toContain("base64-of-bcd");
    }
  });

  test.each([
    ["with =", ascii(`;${EVEN}=25122011143?`)],
    ["with D", ascii(`57 12 ${EVEN}D25122011143`)],
    ["packed", hex(`5712${EVEN}d25122011143f0`)],
    ["as hex of ASCII", ascii(Buffer.from(`${EVEN}=2512`).toString("hex"))],
  ])("and tells track 2 %s", (_name, bytes) => {
    expect(sweepForCardNumbers(bytes, [EVEN])).toMatchObject([{ track2: true }]);
  });

  test("wherever it lies among other bytes", () => {
    const around = fc.uint8Array({ maxLength: 64 });
    fc.assert(
      fc.property(around, around, fc.constantFrom(EVEN, ODD), fc.boolean(), (before, after, pan, packed) => {
        const planted = packed ? hex(pan.padEnd(pan.length + (pan.length % 2), "f")) : ascii(pan);
        const bytes = Buffer.concat([before, planted, after]);
        expect(sweepForCardNumbers(bytes, [pan])).toContainEqual(expect.objectContaining({ offset: before.length }));
      }),
    );
  });
});

test("a finding tells where, and masks the number", () => {
  expect(sweepForCardNumbers(ascii(`..${EVEN}`), [EVEN])).toEqual([
    { form: "ascii", offset: 2, masked: "476173******0119", track2: false },
  ]);
});

test("counts every occurrence", () => {
  expect(forms(ascii(`${EVEN} ${EVEN} ${ODD}`))).toHaveLength(3);
});

test("lets masked numbers, other numbers and noise pass", () => {
  expect(forms(ascii("476173******0119 4761739001010118 476173900101011"))).toEqual([]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
      expect(forms(bytes)).toEqual([]);
    }),
  );
});

test("refuses a known number that is none, for nothing would be found", () => {
  expect(() => sweepForCardNumbers(ascii("x"), ["4761 7390"])).toThrow(/12 to 19/);
});
