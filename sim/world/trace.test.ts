import { expect, test } from "vitest";
import { TRACE_TAIL_LINES, Trace } from "./trace.ts";

const now = () => 0;

test("the same events give the same hash; another text, order or time another", () => {
  const hash = (...events: readonly (readonly [number, string, string])[]) => {
    let at = 0;
    const trace = new Trace({ now: () => at });
    for (const [time, name, text] of events) {
      at = time;
      trace.record(name, text);
    }
    return trace.hash();
  };
  const whole = hash([1, "a", "x"], [2, "b", "y"]);
  expect(hash([1, "a", "x"], [2, "b", "y"])).toBe(whole);
  expect(
    new Set([whole, hash([1, "a", "x"]), hash([1, "b", "y"], [2, "a", "x"]), hash([1, "a", "x"], [3, "b", "y"])]).size,
  ).toBe(4);
});

test("asking for the hash changes nothing", () => {
  const one = new Trace({ now });
  const other = new Trace({ now });
  for (const trace of [one, other]) {
    trace.record("a", "x");
    if (trace === one) trace.hash();
    trace.record("b", "y");
  }
  expect(one.hash()).toBe(other.hash());
});

test("the tail keeps the newest lines in their order, and no more than it may", () => {
  const trace = new Trace({ now });
  for (let event = 0; event < TRACE_TAIL_LINES + 500; event += 1) trace.record("event", String(event));
  expect(trace.events).toBe(TRACE_TAIL_LINES + 500);
  expect(trace.tail()).toHaveLength(TRACE_TAIL_LINES);
  expect(trace.tail()[0]).toBe("0 event 500");
  expect(trace.tail(2)).toEqual([`0 event ${TRACE_TAIL_LINES + 498}`, `0 event ${TRACE_TAIL_LINES + 499}`]);
});

test("what differs from run to run is taken out before it counts", () => {
  const trace = (run: string) => {
    const made = new Trace({ now, canonical: (line) => line.replaceAll(run, "<run>") });
    made.record("open", `${run}/journal.db`);
    return made;
  };
  expect(trace("one").hash()).toBe(trace("two").hash());
  expect(trace("one").tail()).toEqual(["0 open <run>/journal.db"]);
});
