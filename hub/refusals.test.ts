import { expect, test } from "vitest";
import { ManualClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { type Fields, type Log, silentLog } from "../base/log.ts";
import { createMetrics } from "./metrics.ts";
import { ALARM_AT, createRefusals } from "./refusals.ts";

function world() {
  const clock = new ManualClock();
  const lines: [string, string, Fields | undefined][] = [];
  const log: Log = {
    ...silentLog,
    warn: (message, fields) => lines.push(["warn", message, fields]),
    error: (message, fields) => lines.push(["error", message, fields]),
  };
  const metrics = createMetrics();
  return { clock, lines, metrics, refusals: createRefusals({ clock, log, metrics }) };
}

test("a source that is refused again and again is one line for a reason, with the count of the others", async () => {
  const { clock, lines, refusals } = world();
  for (let n = 0; n < 5; n += 1) refusals.note("T1", "malformed");
  refusals.note("T2", "malformed");
  expect(lines.map(([, , fields]) => fields?.["source"])).toEqual(["T1", "T2"]);
  refusals.note("T1", "topic");
  expect(lines.at(-1)?.[2]).toMatchObject({ source: "T1", reason: "topic" });
  await clock.advance(600_000);
  refusals.note("T1", "malformed");
  expect(lines.at(-1)?.[2]).toMatchObject({ source: "T1", unloggedBefore: 4 });
});

test("a wrong certificate, a foreign topic or a claim that is tried again and again is one alarm, a bad line is none", async () => {
  const { lines, metrics, refusals } = world();
  for (const reason of ["certificate", "topic", "claim", "connection"] as const)
    for (let n = 0; n < 3 * ALARM_AT; n += 1) refusals.note("T1", reason);
  const alarms = lines.filter(([level]) => level === "error").map(([, , fields]) => fields?.["reason"]);
  expect(alarms).toEqual(["certificate", "topic", "claim"]);
  expect(await metrics.text()).toMatch(/tillway_hub_alarms_total\{reason="claim"\} 1\n/);
  expect(lines).toHaveLength(7);
});

test("an alarm wants its refusals within one quiet time, and from one source", async () => {
  const { clock, lines, refusals } = world();
  for (let n = 0; n < ALARM_AT - 1; n += 1) refusals.note("T1", "certificate");
  for (let n = 0; n < ALARM_AT - 1; n += 1) refusals.note("T2", "certificate");
  await clock.advance(600_000);
  refusals.note("T1", "certificate");
  expect(lines.filter(([level]) => level === "error")).toEqual([]);
  for (let n = 0; n < ALARM_AT - 1; n += 1) refusals.note("T1", "certificate");
  expect(lines.filter(([level]) => level === "error")).toHaveLength(1);
});

test("what a sender put into a field is cut, so that no line is longer than it need be", () => {
  const { lines, refusals } = world();
  refusals.note("T1", "identity", { username: "u".repeat(60_000) });
  expect(JSON.stringify(lines).length).toBeLessThan(1_000);
});

test("a store that takes nothing is one line a minute, however many messages meet it", async () => {
  const { clock, lines, refusals } = world();
  const full = new Fault("store.failed", "the hub cannot store: database or disk is full");
  for (let n = 0; n < 1_000; n += 1) refusals.trouble(full);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject(["error", expect.any(String), { reason: full.message }]);
  await clock.advance(60_000);
  refusals.trouble(full);
  expect(lines[1]?.[2]).toMatchObject({ unloggedBefore: 999 });
});
