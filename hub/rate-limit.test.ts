import { expect, test } from "vitest";
import { ManualClock } from "../base/clock.ts";
import { createRateLimit } from "./rate-limit.ts";

test("a source may ask a burst at once and then as time gives back; others are not touched by it", async () => {
  const clock = new ManualClock();
  const limit = createRateLimit({ clock, burst: 3, perMinute: 60 });
  expect([1, 2, 3, 4].map(() => limit("a"))).toEqual([0, 0, 0, 1]);
  expect(limit("b")).toBe(0);
  await clock.advance(999);
  expect(limit("a")).toBe(1);
  await clock.advance(1);
  expect([limit("a"), limit("a")]).toEqual([0, 1]);
  await clock.advance(3_600_000);
  expect([1, 2, 3, 4].map(() => limit("a"))).toEqual([0, 0, 0, 1]);
});

test("whoever has to wait is told for how long", async () => {
  const clock = new ManualClock();
  const limit = createRateLimit({ clock, burst: 1, perMinute: 2 });
  expect([limit("a"), limit("a")]).toEqual([0, 30]);
  await clock.advance(10_000);
  expect(limit("a")).toBe(20);
});
