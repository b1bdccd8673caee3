import { expect, test } from "vitest";
import { ManualClock } from "../base/clock.ts";
import type { TerminalId } from "../base/ids.ts";
import { CloneWatch, SETTLED_MS, WATCH_MS } from "./clone-watch.ts";

const T1 = "T1" as TerminalId;

function world() {
  const clock = new ManualClock();
  const closed: object[] = [];
  const clones: string[] = [];
  const watch = new CloneWatch<object>({
    clock,
    close: (connection) => closed.push(connection),
    onClone: (terminalId) => clones.push(terminalId),
  });
  return { clock, closed, clones, watch };
}

test("an older connection that stays silent was lost half-way: it is closed, and nobody is named", async () => {
  const { clock, closed, clones, watch } = world();
  const older = {};
  watch.followed(T1, older);
  await clock.advance(WATCH_MS - 1);
  expect(closed).toEqual([]);
  await clock.advance(1);
  expect([closed, clones]).toEqual([[older], []]);
  watch.spoke(T1, older);
  expect(clones).toEqual([]);
});

test("what had left the terminal before it came back names nobody, a word later than that names a clone once", async () => {
  const { clock, closed, clones, watch } = world();
  const [older, newer] = [{}, {}];
  watch.followed(T1, older);
  await clock.advance(SETTLED_MS - 1);
  watch.spoke(T1, older);
  watch.spoke(T1, newer);
  expect(clones).toEqual([]);
  await clock.advance(1);
  watch.spoke(T1, newer);
  expect(clones).toEqual([]);
  watch.spoke(T1, older);
  watch.spoke(T1, older);
  expect([clones, closed]).toEqual([["T1"], [older]]);
});

test("a third connection ends the wait for the first, and one that has gone is not waited for", async () => {
  const { clock, closed, watch } = world();
  const [first, second] = [{}, {}];
  watch.followed(T1, first);
  watch.followed(T1, second);
  expect(closed).toEqual([first]);
  watch.closed(T1, second);
  await clock.advance(WATCH_MS);
  expect(closed).toEqual([first]);
});
