import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, concat, fromBase64, fromHex, sameBytes, toBase64, toHex } from "./bytes.ts";
import { isFault } from "./fault.ts";
import { retrySchedule } from "./retry-schedule.ts";

describe("bytes as text", () => {
  test("read back from hex and base64 as they were", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(sameBytes(fromHex(toHex(bytes)), bytes)).toBe(true);
        expect(sameBytes(fromBase64(toBase64(bytes)), bytes)).toBe(true);
      }),
    );
  });

  test.each(["0", "0g", "zz", "12 3"])("%s is no hex", (text) => {
    expect(() => fromHex(text)).toThrow(/hex digit/);
  });

  test.each(["A", "AA", "AA=", "A===", "AAA*", "YQ==\n"])("%j is no base64", (text) => {
    expect(() => fromBase64(text)).toThrow(/base64/);
  });
});

describe("a reader of bytes", () => {
  test("gives each byte once, and a Fault at the end instead of nothing", () => {
    const reader = new ByteReader(concat(Uint8Array.of(1), Uint8Array.of(2, 3, 4)));
    expect([reader.u8(), reader.u16(), reader.remaining]).toEqual([1, 0x0203, 1]);
    expect(() => reader.take(2)).toThrow(/has 1/);
    expect([...reader.take(1)]).toEqual([4]);
    try {
      reader.u8();
    } catch (error) {
      expect(isFault(error, "codec.truncated")).toBe(true);
    }
  });
});

describe("backoff", () => {
  test("grows to its limit and never beyond, jitter only takes away", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 20, maxLength: 20 }),
        (chances) => {
          const draws = chances.values();
          const policy = { firstMs: 100, maxMs: 1_000, factor: 2, jitter: 0.5 };
          const schedule = retrySchedule(policy, () => draws.next().value ?? 0);
          const delays = Array.from({ length: 20 }, () => schedule.next().value);
          expect(delays.every((delay, at) => delay <= Math.min(100 * 2 ** at, 1_000))).toBe(true);
          expect(delays.every((delay, at) => delay >= Math.min(100 * 2 ** at, 1_000) / 2 - 1)).toBe(true);
        },
      ),
    );
  });
});
