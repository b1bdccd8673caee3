import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addDays, businessDayAt, cutoverOf, isTimeZone } from "./business-day.ts";

const at = (text: string) => Date.parse(text);
const BERLIN = { timeZone: "Europe/Berlin", cutover: "00:00" };
const night = (timeZone: string) => ({ timeZone, cutover: "02:30" });

describe("RM17 the cutover of a site", () => {
  test("is at its own time in its own zone", () => {
    expect(cutoverOf("2026-01-05", BERLIN)).toBe(at("2026-01-04T23:00:00Z"));
    expect(cutoverOf("2026-07-05", BERLIN)).toBe(at("2026-07-04T22:00:00Z"));
    expect(cutoverOf("2026-01-05", { timeZone: "Asia/Kathmandu", cutover: "04:00" })).toBe(at("2026-01-04T22:15:00Z"));
    expect(cutoverOf("2026-01-05", { timeZone: "UTC", cutover: "23:59" })).toBe(at("2026-01-05T23:59:00Z"));
  });
  test("comes once on the night on which clocks show its time twice, and on that on which they leap over it", () => {
    // 2026-10-25: 03:00 becomes 02:00. 2026-03-29: 02:00 becomes 03:00.
    expect(cutoverOf("2026-10-25", night("Europe/Berlin"))).toBe(at("2026-10-25T00:30:00Z"));
    expect(cutoverOf("2026-03-29", night("Europe/Berlin"))).toBe(at("2026-03-29T01:30:00Z"));
    // 2026-11-01 and 2026-03-08.
    expect(cutoverOf("2026-11-01", { timeZone: "America/New_York", cutover: "01:30" })).toBe(
      at("2026-11-01T05:30:00Z"),
    );
    expect(cutoverOf("2026-03-08", night("America/New_York"))).toBe(at("2026-03-08T07:30:00Z"));
  });
});

describe("RM17 the business day of an instant", () => {
  test("begins with the cutover", () => {
    const terms = { timeZone: "Europe/Berlin", cutover: "04:00" };
    expect(businessDayAt(at("2026-01-06T02:59:59.999Z"), terms)).toEqual({
      date: "2026-01-05",
      fromMs: at("2026-01-05T03:00:00Z"),
      toMs: at("2026-01-06T03:00:00Z"),
    });
    expect(businessDayAt(at("2026-01-06T03:00:00Z"), terms).date).toBe("2026-01-06");
  });
  test("has 23 and 25 hours when the clocks change", () => {
    const hours = (text: string) => {
      const { fromMs, toMs } = businessDayAt(at(text), BERLIN);
      return (toMs - fromMs) / 3_600_000;
    };
    expect([hours("2026-03-29T12:00:00Z"), hours("2026-10-25T12:00:00Z"), hours("2026-01-05T12:00:00Z")]).toEqual([
      23, 25, 24,
    ]);
  });
  test("is exactly one, in whatever zone and at whatever cutover", () => {
    const zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Africa/Cairo"];
    const terms = fc.record({
      timeZone: fc.constantFrom(...zones),
      cutover: fc.constantFrom("00:00", "00:30", "01:30", "02:30", "03:00", "12:00", "23:59"),
    });
    const instants = fc.integer({ min: at("2024-01-01T00:00:00Z"), max: at("2028-01-01T00:00:00Z") });
    fc.assert(
      fc.property(terms, instants, (given, instant) => {
        const { date, fromMs, toMs } = businessDayAt(instant, given);
        expect(fromMs <= instant && instant < toMs).toBe(true);
        expect(businessDayAt(toMs, given)).toMatchObject({ date: addDays(date, 1), fromMs: toMs });
        expect(businessDayAt(fromMs - 1, given).date).toBe(addDays(date, -1));
      }),
      { numRuns: 300 },
    );
  });
});

test("a time zone has a name", () => {
  const given = ["Europe/Berlin", "UTC", "+01:00", "Mars/Olympus", "", "Europe/Berlin; x"];
  expect(given.map(isTimeZone)).toEqual([true, true, false, false, false, false]);
});
