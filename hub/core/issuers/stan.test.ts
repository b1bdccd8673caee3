import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { randomStan, STAN_MAX, StanCounter } from "./stan.ts";

const free = () => false;

describe("the STAN", () => {
  test("RM14 begins again at 000001 after 999999, and is never 000000", () => {
    const counter = new StanCounter(999_997);
    expect([1, 2, 3, 4].map(() => counter.next(free))).toEqual(["999998", "999999", "000001", "000002"]);
  });

  test("RM14 passes over numbers that are in flight, also where it begins again", () => {
    const counter = new StanCounter(999_998);
    const inFlight = new Set(["999999", "000001", "000003"]);
    expect([1, 2].map(() => counter.next((stan) => inFlight.has(stan)))).toEqual(["000002", "000004"]);
  });

  test("RM14 gives no number twice in any 999999 that follow each other", () => {
    const counter = new StanCounter(500_000);
    const given = new Set(Array.from({ length: STAN_MAX }, () => counter.next(free)));
    expect(given.size).toBe(STAN_MAX);
    expect(counter.next(free)).toBe("500001");
  });

  test("begins anywhere a counter may begin", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 3, maxLength: 3 }), (bytes) => {
        const first = new StanCounter(randomStan(() => bytes)).next(free);
        expect(first).toMatch(/^\d{6}$/);
        expect(first).not.toBe("000000");
      }),
    );
  });

  test("is a bug with every number in flight", () => {
    expect(() => new StanCounter(0).next(() => true)).toThrow(/every STAN/);
  });
});
