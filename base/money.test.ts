import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFault } from "./fault.ts";
import { exponentOf, isCurrency, money, numericCodeOf, parseDecimal, toDecimal } from "./money.ts";

/** ISO 4217 list one, published codes: alphabetic, numeric, exponent. */
const PUBLISHED = [
  ["EUR", 978, 2],
  ["USD", 840, 2],
  ["JPY", 392, 0],
  ["KWD", 414, 3],
  ["CLP", 152, 0],
  ["TND", 788, 3],
] as const;

describe("a currency", () => {
  test.each(PUBLISHED)("%s has numeric code %i and %i decimal places", (code, numeric, exponent) => {
    const { currency } = money(1n, code);
    expect([numericCodeOf(currency), exponentOf(currency)]).toEqual([numeric, exponent]);
  });

  test("is known by its upper-case code only, and by no name that objects inherit", () => {
    expect(["eur", "EURO", "toString", "__proto__", ""].filter(isCurrency)).toEqual([]);
    expect(() => money(1n, "XXX")).toThrow(/ISO 4217/);
  });
});

describe("an amount as people write it", () => {
  test.each([
    [1234n, "EUR", "12.34"],
    [5n, "EUR", "0.05"],
    [1234n, "JPY", "1234"],
    [1234n, "KWD", "1.234"],
    [-5n, "EUR", "-0.05"],
  ] as const)("%s minor units of %s are %s", (minor, code, text) => {
    expect(toDecimal(money(minor, code))).toBe(text);
  });

  test.each([
    ["12.34", "EUR", 1234n],
    ["12,3", "EUR", 1230n],
    ["12", "EUR", 1200n],
    ["12", "JPY", 12n],
    ["1.234", "KWD", 1234n],
  ] as const)("%s in %s is %s minor units", (text, code, minor) => {
    expect(parseDecimal(text, code).minor).toBe(minor);
  });

  test.each([
    ["12.345", "EUR"],
    ["12.3", "JPY"],
    ["1e3", "EUR"],
    ["-1", "EUR"],
    ["", "EUR"],
    ["1.", "EUR"],
    [".5", "EUR"],
  ])("%s in %s is refused, and the decimal places of the currency are named", (text, code) => {
    expect(() => parseDecimal(text, code)).toThrow(/decimal places/);
  });

  test("reads back what it wrote, for every currency and amount", () => {
    fc.assert(
      fc.property(fc.constantFrom(...PUBLISHED), fc.bigInt(0n, 999_999_999_999n), ([code], minor) => {
        expect(parseDecimal(toDecimal(money(minor, code)), code).minor).toBe(minor);
      }),
    );
  });

  test("throws nothing but a Fault for any text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseDecimal(text, "EUR");
        } catch (error) {
          expect(isFault(error, "codec.invalid")).toBe(true);
        }
      }),
    );
  });
});
