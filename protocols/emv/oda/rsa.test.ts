import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../base/bytes.ts";
import { made } from "./oda-fixture.ts";
import { recover } from "./rsa.ts";

const ZEROS = new Uint8Array(3);

test.each(made.raw.map((vector) => [vector.modulus.length * 4, vector] as const))(
  "recovers what pow() does under %d bits, short results with their zeros in front",
  (_, vector) => {
    const key = { modulus: fromHex(vector.modulus), exponent: fromHex(vector.exponent) };
    expect(toHex(recover(key, fromHex(vector.signed)) ?? ZEROS).toUpperCase()).toBe(vector.recovered);
    const two = recover(key, fromHex(vector.signedTwo)) ?? ZEROS;
    expect(two.length).toBe(key.modulus.length);
    expect([...two.subarray(-2)]).toEqual([0, 2]);
  },
);

test.each(made.raw.map((vector) => [vector.modulus.length * 4, vector] as const))(
  "a modulus of %d bits may have zeros in front, and so must then what was signed",
  (_, vector) => {
    const modulus = concat(ZEROS, fromHex(vector.modulus));
    const key = { modulus, exponent: fromHex(vector.exponent) };
    if (modulus.length > 248) {
      expect(recover(key, concat(ZEROS, fromHex(vector.signed)))).toBeUndefined();
      return;
    }
    expect(toHex(recover(key, concat(ZEROS, fromHex(vector.signed))) ?? ZEROS).toUpperCase()).toBe(
      `000000${vector.recovered}`,
    );
    expect(recover(key, concat(Uint8Array.of(0, 0, 1), fromHex(vector.signed)))).toBeUndefined();
  },
);

test("what is not below the modulus, of another length or under no key is not recovered", () => {
  const [vector] = made.raw;
  if (!vector) throw new Error("no vector");
  const modulus = fromHex(vector.modulus);
  const key = { modulus, exponent: fromHex(vector.exponent) };
  const signed = fromHex(vector.signed);
  expect(recover(key, signed)).toBeDefined();
  expect(recover(key, modulus)).toBeUndefined();
  expect(recover(key, new Uint8Array(modulus.length).fill(0xff))).toBeUndefined();
  expect(recover(key, signed.subarray(1))).toBeUndefined();
  expect(recover({ ...key, exponent: Uint8Array.of(5) }, signed)).toBeUndefined();
  expect(recover({ ...key, modulus: new Uint8Array(modulus.length) }, signed)).toBeUndefined();
  const even = modulus.slice();
  even[even.length - 1] = (even.at(-1) ?? 0) ^ 1;
  expect(recover({ ...key, modulus: even }, signed)).toBeUndefined();
  expect(recover({ modulus: new Uint8Array(0), exponent: Uint8Array.of(3) }, new Uint8Array(0))).toBeUndefined();
});

test("any modulus, exponent and bytes are recovered or not, and nothing is thrown", () => {
  const bytes = fc.uint8Array({ maxLength: 32 });
  fc.assert(
    fc.property(
      bytes,
      bytes,
      fc.constantFrom(Uint8Array.of(3), Uint8Array.of(1, 0, 1)),
      (modulus, signed, exponent) => {
        const result = recover({ modulus, exponent }, signed);
        expect(result?.length ?? modulus.length).toBe(modulus.length);
      },
    ),
  );
});
