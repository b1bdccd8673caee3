import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SimulatedClock, Timeline } from "./clock.ts";

const WALL = Date.UTC(2026, 0, 5);

function runAll(timeline: Timeline): void {
  while (timeline.step(Number.POSITIVE_INFINITY));
}

function runTo(timeline: Timeline, ms: number): void {
  while (timeline.step(ms * 1_000));
  timeline.moveTo(ms * 1_000);
}

const clockOn = (timeline: Timeline) => new SimulatedClock({ timeline, wall: WALL });

describe("the timeline", () => {
  test("calls in the order of due times, then of making, and never what was cancelled", () => {
    const step = fc.record({ due: fc.nat(50), cancels: fc.option(fc.nat(200), { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const timeline = new Timeline();
        const called: number[] = [];
        const cancels: (() => void)[] = [];
        const gone = new Set<number>();
        for (const [index, { due, cancels: target }] of steps.entries()) {
          cancels.push(timeline.at(due, () => called.push(index)));
          if (target === undefined || target > index) continue;
          cancels[target]?.();
          gone.add(target);
        }
        expect(timeline.size).toBe(steps.length - gone.size);
        runAll(timeline);
        const wanted = [...steps.keys()].filter((index) => !gone.has(index));
        wanted.sort((a, b) => (steps[a]?.due ?? 0) - (steps[b]?.due ?? 0) || a - b);
        expect(called).toEqual(wanted);
        expect(timeline.size).toBe(0);
      }),
    );
  });

  test("keeps no heap of cancelled timers", () => {
    const timeline = new Timeline();
    const fired: number[] = [];
    for (let index = 0; index < 200_000; index += 1) {
      const cancel = timeline.after(30_000, () => fired.push(index));
      if (index % 100 !== 0) cancel();
    }
    expect(timeline.size).toBe(2_000);
    runAll(timeline);
    expect(fired).toHaveLength(2_000);
    expect(fired).toEqual(fired.toSorted((a, b) => a - b));
  });

  test("passes over no event and does not go back", () => {
    const timeline = new Timeline();
    timeline.at(500, () => undefined);
    expect(() => timeline.moveTo(501)).toThrow("passed over");
    timeline.moveTo(400);
    expect(() => timeline.moveTo(399)).toThrow("go back");
    expect(timeline.step(499)).toBe(false);
    expect(timeline.step(500)).toBe(true);
    expect(timeline.nowUs).toBe(500);
  });
});

describe("a node's clock", () => {
  test("shows the time of the world when it is a good one", () => {
    const timeline = new Timeline();
    const clock = clockOn(timeline);
    const seen: number[] = [];
    clock.after(1_500, () => seen.push(clock.monotonic(), clock.now() - WALL));
    runTo(timeline, 2_000);
    expect(seen).toEqual([1_500, 1_500]);
    expect(clock.now()).toBe(WALL + 2_000);
  });

  test("that runs fast counts more, and its timers come early", () => {
    const timeline = new Timeline();
    const clock = clockOn(timeline);
    const seen: number[] = [];
    clock.setDrift(100_000);
    clock.after(1_100, () => seen.push(timeline.now, clock.monotonic()));
    runTo(timeline, 10_000);
    expect(seen[0]).toBeCloseTo(1_000, 2);
    expect(seen[1]).toBeGreaterThanOrEqual(1_100);
    expect(clock.monotonic()).toBeCloseTo(11_000, 2);
    clock.setDrift(-100_000);
    runTo(timeline, 20_000);
    expect(clock.monotonic()).toBeCloseTo(20_000, 2);
  });

  test("never fires before its own time, whatever the drift", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -100_000, max: 100_000 }),
        fc.double({ min: 1, max: 1e7, noNaN: true }),
        (ppm, ms) => {
          const timeline = new Timeline();
          const clock = clockOn(timeline);
          clock.setDrift(ppm);
          let fired = -1;
          clock.after(ms, () => {
            fired = clock.monotonic();
          });
          runAll(timeline);
          expect(fired).toBeGreaterThanOrEqual(ms * (1 - 1e-12));
          expect(fired).toBeLessThan(ms + 0.01);
        },
      ),
    );
  });

  test("is stepped on the wall alone", () => {
    const timeline = new Timeline();
    const clock = clockOn(timeline);
    runTo(timeline, 100);
    clock.stepWall(-3_600_000);
    expect(clock.now()).toBe(WALL + 100 - 3_600_000);
    clock.setWall(0);
    expect(clock.now()).toBe(0);
    runTo(timeline, 150);
    expect([clock.now(), clock.monotonic()]).toEqual([50, 150]);
  });

  test("of a machine that is gone fires nothing and sets nothing; after a reboot it counts anew", () => {
    const timeline = new Timeline();
    const clock = clockOn(timeline);
    const fired: string[] = [];
    clock.after(100, () => fired.push("old"));
    runTo(timeline, 50);
    clock.stop();
    clock.after(10, () => fired.push("dead"));
    expect(clock.timers).toBe(0);
    runTo(timeline, 200);
    clock.reboot();
    expect([clock.monotonic(), clock.now()]).toEqual([0, WALL + 200]);
    clock.after(10, () => fired.push("new"));
    runTo(timeline, 300);
    expect(fired).toEqual(["new"]);
  });

  test("takes a millisecond for no delay, so that what polls lets time go on", () => {
    const timeline = new Timeline();
    const clock = clockOn(timeline);
    let polls = 0;
    const poll = () => {
      polls += 1;
      clock.after(0, poll);
    };
    poll();
    runTo(timeline, 100);
    expect(polls).toBe(101);
  });
});
