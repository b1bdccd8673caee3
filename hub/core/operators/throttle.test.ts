import { expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { createThrottle } from "./throttle.ts";

test("the waiting doubles with each wrong try up to a quarter of an hour, and ends with a right one", async () => {
  const clock = new ManualClock();
  const throttle = createThrottle({ clock, free: 3 });
  const waits: number[] = [];
  for (let n = 0; n < 15; n += 1) {
    throttle.charge("ann");
    waits.push(throttle.waitSec("ann"));
    await clock.advance(waits[n] ?? 0);
  }
  expect(waits.slice(0, 6)).toEqual([0, 0, 1, 2, 4, 8]);
  expect(waits.at(-1)).toBe(900);
  expect(throttle.waitSec("ben")).toBe(0);
  throttle.forgive("ann");
  expect(throttle.waitSec("ann")).toBe(0);
});

test("many names do not fill the memory: the one not tried for longest is forgotten", () => {
  const throttle = createThrottle({ clock: new ManualClock(), free: 1 });
  throttle.charge("first");
  for (let n = 0; n < 9_999; n += 1) throttle.charge(`name-${n}`);
  expect(throttle.waitSec("first")).toBe(1);
  throttle.charge("one more");
  expect(throttle.waitSec("first")).toBe(0);
  expect(throttle.waitSec("name-0")).toBe(1);
});
