import fc from "fast-check";
import { expect, test } from "vitest";
import { businessDate } from "../payment/business-date.ts";
import { dayRange } from "./day-range.ts";

const HOUR = 3_600_000;
const hours = (day: string, zone: string) => {
  const { fromMs, toMs } = dayRange(day, zone);
  return [new Date(fromMs).toISOString(), (toMs - fromMs) / HOUR];
};

test("a day is as long as the site's clocks say", () => {
  expect(hours("2026-01-05", "Europe/Berlin")).toEqual(["2026-01-04T23:00:00.000Z", 24]);
  expect(hours("2026-03-29", "Europe/Berlin")).toEqual(["2026-03-28T23:00:00.000Z", 23]);
  expect(hours("2026-10-25", "Europe/Berlin")).toEqual(["2026-10-24T22:00:00.000Z", 25]);
  expect(hours("2026-01-05", "Pacific/Kiritimati")).toEqual(["2026-01-04T10:00:00.000Z", 24]);
  expect(hours("2026-01-05", "UTC")).toEqual(["2026-01-05T00:00:00.000Z", 24]);
});

test("what is no day is refused by its name", () => {
  for (const day of ["2026-02-30", "today", ""]) expect(() => dayRange(day, "UTC")).toThrow(/is not a day/);
});

test("days follow each other with no gap, and hold exactly their own instants", () => {
  const zones = fc.constantFrom("Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu", "UTC");
  fc.assert(
    fc.property(zones, fc.integer({ min: 1_500_000_000_000, max: 2_000_000_000_000 }), (zone, atMs) => {
      const day = businessDate(atMs, zone);
      const { fromMs, toMs } = dayRange(day, zone);
      expect(fromMs <= atMs && atMs < toMs).toBe(true);
      expect(businessDate(toMs - 1, zone)).toBe(day);
      expect(dayRange(businessDate(toMs, zone), zone).fromMs).toBe(toMs);
    }),
  );
});
