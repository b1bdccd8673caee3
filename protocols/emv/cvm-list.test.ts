import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import {
  type CvmList,
  type CvmRule,
  cvmConditionName,
  cvmMethodName,
  decodeCvmList,
  decodeCvmResults,
  encodeCvmList,
} from "./cvm-list.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/emv/cvm-list.json", import.meta.url), "utf8")) as {
  readonly read: readonly {
    readonly hex: string;
    readonly amountX: string;
    readonly amountY: string;
    readonly rules: readonly CvmRule[];
  }[];
  readonly refused: readonly string[];
};

test.each(vectors.read)("the published list $hex has its amounts and rules", ({ hex, amountX, amountY, rules }) => {
  const list = decodeCvmList(fromHex(hex));
  expect(list).toEqual({ amountX: BigInt(amountX), amountY: BigInt(amountY), rules });
  expect(encodeCvmList(list)).toEqual(fromHex(hex));
});

test.each(vectors.refused)("the malformed %s is refused where it ends", (hex) => {
  expect(() => decodeCvmList(fromHex(hex))).toThrow(
    expect.objectContaining({ code: "codec.truncated", details: { offset: hex.length / 2 } }),
  );
});

test("a list without rules is one without rules, as for a card without a list", () => {
  expect(decodeCvmList(fromHex("000186A0 000003E8"))).toEqual({ amountX: 100_000n, amountY: 1_000n, rules: [] });
});

test("a list of more than 252 bytes is refused", () => {
  expect(() => decodeCvmList(new Uint8Array(254))).toThrow(expect.objectContaining({ code: "codec.too-long" }));
});

const rule = fc.record({
  method: fc.integer({ min: 0, max: 0x3f }),
  failIfUnsuccessful: fc.boolean(),
  condition: fc.integer({ min: 0, max: 0xff }),
});

test("lists come back from their bytes as they were", () => {
  const amount = fc.bigInt(0n, 0xffff_ffffn);
  const list = fc.record({ amountX: amount, amountY: amount, rules: fc.array(rule, { maxLength: 122 }) });
  fc.assert(
    fc.property(list, (original: CvmList) => {
      expect(decodeCvmList(encodeCvmList(original))).toEqual(original);
    }),
  );
});

test("what does not fit is not written", () => {
  const list = { amountX: 0n, amountY: 0n, rules: [] };
  const signature = { method: 0x1e, failIfUnsuccessful: true, condition: 3 };
  expect(() => encodeCvmList({ ...list, amountX: 0x1_0000_0000n })).toThrow("does not fit");
  expect(() => encodeCvmList({ ...list, amountY: -1n })).toThrow("does not fit");
  expect(() => encodeCvmList({ ...list, rules: [{ ...signature, method: 0x40 }] })).toThrow("method 64");
  expect(() => encodeCvmList({ ...list, rules: [{ ...signature, condition: 0x100 }] })).toThrow("condition 256");
  expect(() => encodeCvmList({ ...list, rules: Array.from({ length: 123 }, () => signature) })).toThrow("longer");
});

test("results say what was tried, when, and how it went", () => {
  expect(decodeCvmResults(fromHex("5E0300"))).toEqual({
    method: 0x1e,
    failIfUnsuccessful: false,
    condition: 3,
    result: 0,
  });
  expect(() => decodeCvmResults(fromHex("5E03"))).toThrow(expect.objectContaining({ details: { offset: 2 } }));
  expect(() => decodeCvmResults(fromHex("5E030000"))).toThrow(expect.objectContaining({ details: { offset: 3 } }));
});

test.each([decodeCvmList, decodeCvmResults])("$name reads any bytes or throws a Fault with the offset", (decode) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        decode(bytes);
      } catch (error) {
        if (!isFault(error)) throw error;
        expect(error.details["offset"]).toBeTypeOf("number");
      }
    }),
  );
});

test("codes without a meaning say for whom they are reserved", () => {
  expect(cvmMethodName(0x10)).toBe("Reserved by EMV");
  expect(cvmMethodName(0x2f)).toContain("payment systems");
  expect(cvmMethodName(0x30)).toContain("issuer");
  expect(cvmConditionName(0x0a)).toContain("EMV");
  expect(cvmConditionName(0x80)).toContain("payment systems");
});
