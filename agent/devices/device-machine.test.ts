import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type DeviceEvent,
  type DeviceLife,
  deviceMachine,
  FIRST_LIFE,
  STEADY_MS,
  shownState,
} from "./device-machine.ts";

const event = fc.oneof(
  fc.record({ on: fc.constant("opened" as const), description: fc.constant("d"), monotonic: fc.nat(60_000) }),
  fc.record({ on: fc.constant("failed" as const), reason: fc.constant("no") }),
  fc.record({ on: fc.constant("lost" as const), reason: fc.constant("gone"), monotonic: fc.nat(60_000) }),
  fc.record({ on: fc.constant("retry" as const) }),
  fc.record({ on: fc.constant("stop" as const) }),
);

test("in any order of events: one open at a time, a retry only when none runs, closed for good", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      let life: DeviceLife = FIRST_LIFE;
      let wasReady = false;
      for (const next of events) {
        const before: DeviceLife = life;
        const step = deviceMachine(life, next);
        life = step.state;
        const doing = step.effects.map((effect) => effect.do);
        if (doing.includes("open")) expect([before.at, life.at]).toEqual(["waiting", "opening"]);
        if (life.at === "opening" && before.at !== "opening") expect(doing).toContain("open");
        expect(doing.filter((what) => what === "retry-later")).toHaveLength(
          life.at === "waiting" && before.at !== "waiting" ? 1 : 0,
        );
        if (before.at === "ready" && life.at !== "ready") expect(doing).toContain("close");
        if (before.at === "closed") expect(life.at).toBe("closed");
        if (shownState(life) === "lost") expect(wasReady).toBe(true);
        if (life.at === "ready") wasReady = true;
        if (wasReady && life.at !== "closed") expect(["ready", "lost"]).toContain(shownState(life));
      }
    }),
    { numRuns: 500 },
  );
});

const after = (...events: DeviceEvent[]) =>
  events.reduce<ReturnType<typeof deviceMachine>>((step, next) => deviceMachine(step.state, next), {
    state: FIRST_LIFE,
    effects: [],
  });

test("backoff starts afresh only after a steady time, so that a flapping plug does not spin", () => {
  const opened = { on: "opened", description: "d", monotonic: 0 } as const;
  const lost = (monotonic: number) => ({ on: "lost", reason: "gone", monotonic }) as const;
  expect(after(opened, lost(STEADY_MS - 1)).effects).toContainEqual({ do: "retry-later", backoff: "next" });
  expect(after(opened, lost(STEADY_MS)).effects).toContainEqual({ do: "retry-later", backoff: "first" });
});

test("a device that opens after the stop is closed", () => {
  expect(after({ on: "stop" }, { on: "opened", description: "d", monotonic: 0 }).effects).toEqual([{ do: "close" }]);
});
