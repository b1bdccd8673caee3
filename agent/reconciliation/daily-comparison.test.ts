/** RM17: a day that has ended is compared with the hub without being asked for. */
import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Epoch } from "../../base/ids.ts";
import { type Fields, silentLog } from "../../base/log.ts";
import type { DayReport } from "../../wire/reconciliation.ts";
import type { KeptFact } from "../journal/journal.ts";
import { LOOK_EVERY_MS, SPREAD_MS, startDailyComparison, TRY_AGAIN_MS } from "./daily-comparison.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function shop({ chance = 0, compared = "" } = {}) {
  const clock = new ManualClock();
  const kept = new Map<KeptFact, string>(compared === "" ? [] : [["day-compared", compared]]);
  const state = { hub: "up" as "up" | "down", depth: 0, fault: undefined as Fault | undefined, unexplained: 0 };
  const days: string[] = [];
  const errors: unknown[] = [];
  const comparison = startDailyComparison({
    reconciler: {
      reconcile(day = "") {
        days.push(day);
        return state.fault ? Promise.reject(state.fault) : Promise.resolve(reportOf(day, state.unexplained));
      },
    },
    journal: {
      recall: (fact) => kept.get(fact),
      keep: async (fact, text) => void kept.set(fact, text),
      backlog: () => ({ depth: state.depth }),
    },
    hub: {
      get state() {
        return state.hub;
      },
    },
    clock,
    random: (count) => new Uint8Array(count).fill(chance),
    timeZone: "Europe/Berlin",
    now: () => clock.now(),
    log: { ...silentLog, error: (message: string, fields?: Fields) => void errors.push([message, fields]) },
  });
  return { clock, kept, state, days, errors, comparison };
}

const reportOf = (businessDate: string, unexplained: number): DayReport => ({
  ...{ summaryId: "0".repeat(24), businessDate, epoch: "0123456789abcdef" as Epoch, at: "2026-01-06T00:00:00.000Z" },
  ...{ agreed: 3, differences: [], more: unexplained, unexplained },
});

test("each day is compared once, after the site's midnight, and never the running one", async () => {
  const { clock, days, kept } = shop({ compared: "2026-01-04" });
  // It is 10:00 on the fifth in Berlin.
  await clock.advance(14 * HOUR_MS - 1);
  expect(days).toEqual([]);
  await clock.advance(LOOK_EVERY_MS);
  expect(days).toEqual(["2026-01-05"]);
  await clock.advance(23 * HOUR_MS);
  expect(days).toEqual(["2026-01-05"]);
  await clock.advance(2 * HOUR_MS);
  expect(days).toEqual(["2026-01-05", "2026-01-06"]);
  expect(kept.get("day-compared")).toBe("2026-01-06");
});

test("terminals wait for a while by chance, and for what is on its way to the hub", async () => {
  const late = shop({ chance: 255, compared: "2026-01-04" });
  await late.clock.advance(14 * HOUR_MS + SPREAD_MS - 2 * LOOK_EVERY_MS);
  expect(late.days).toEqual([]);
  await late.clock.advance(2 * LOOK_EVERY_MS);
  expect(late.days).toEqual(["2026-01-05"]);
  const busy = shop({ compared: "2026-01-04" });
  busy.state.depth = 1;
  await busy.clock.advance(19 * HOUR_MS);
  expect(busy.days).toEqual([]);
  await busy.clock.advance(2 * HOUR_MS);
  expect(busy.days).toEqual(["2026-01-05"]);
});

test("days without a link are made up for in their order, but not those of more than a month ago", async () => {
  const { clock, state, days } = shop({ compared: "2025-11-01" });
  state.hub = "down";
  await clock.advance(DAY_MS);
  expect(days).toEqual([]);
  state.hub = "up";
  await clock.advance(12 * HOUR_MS);
  expect([days[0], days.at(-1), days.length]).toEqual(["2025-12-06", "2026-01-05", 31]);
});

test("a terminal that never compared a day begins with yesterday, and a failed comparison is made again", async () => {
  const { clock, state, days, comparison } = shop();
  state.fault = new Fault("uplink.timeout", "no report");
  await clock.advance(LOOK_EVERY_MS + TRY_AGAIN_MS - 1);
  expect(days).toEqual(["2026-01-04"]);
  state.fault = undefined;
  await clock.advance(1);
  await clock.advance(4 * LOOK_EVERY_MS);
  expect(days).toEqual(["2026-01-04", "2026-01-04"]);
  comparison[Symbol.dispose]();
  await clock.advance(3 * DAY_MS);
  expect(days).toHaveLength(2);
});

test("a difference that nobody can explain is an error that says what to do", async () => {
  const { clock, state, errors } = shop();
  state.unexplained = 2;
  await clock.advance(LOOK_EVERY_MS);
  expect(errors).toEqual([
    [expect.any(String), expect.objectContaining({ unexplained: 2, whatToDo: "tillway reconcile --day 2026-01-04" })],
  ]);
});
