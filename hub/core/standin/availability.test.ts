/** When an issuer goes down, when it comes back, and that nothing else moves it. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  AVAILABILITY_DEFAULTS,
  type Availability,
  type AvailabilityEvent,
  availabilityMachine,
  FIRST_AVAILABILITY,
  mayDrain,
  routeOf,
} from "./availability.ts";

const step = availabilityMachine(AVAILABILITY_DEFAULTS);
const { failThreshold, upProbes } = AVAILABILITY_DEFAULTS;

const answered = (asked: "request" | "echo"): AvailabilityEvent => ({ on: "answered", asked });
const timedOut = (asked: "request" | "echo"): AvailabilityEvent => ({ on: "timed-out", asked });
const times = <T>(count: number, event: T): T[] => Array.from({ length: count }, () => event);

/** The states that an issuer goes through, the first one included. */
function walk(events: readonly AvailabilityEvent[], from: Availability = FIRST_AVAILABILITY): Availability[] {
  const states = [from];
  for (const event of events) states.push(step(states.at(-1) ?? from, event).state);
  return states;
}
const lastOf = (events: readonly AvailabilityEvent[], from?: Availability): Availability =>
  walk(events, from).at(-1) ?? FIRST_AVAILABILITY;

const SILENT = times(failThreshold, timedOut("request"));
const GOOD_ECHOES = times(upProbes, answered("echo"));
const DOWN = lastOf(SILENT);
const RECOVERING = lastOf([...SILENT, ...GOOD_ECHOES]);
const STATES: readonly Availability[] = [FIRST_AVAILABILITY, DOWN, lastOf([{ on: "signed-off" }]), RECOVERING];

const anyEvent: fc.Arbitrary<AvailabilityEvent> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("request" as const, "echo" as const).map(answered) },
  { weight: 6, arbitrary: fc.constantFrom("request" as const, "echo" as const).map(timedOut) },
  fc.constantFrom<AvailabilityEvent>(
    { on: "answered-late" },
    { on: "signed-off" },
    { on: "signed-on" },
    { on: "drained" },
  ),
);
const anyEvents = fc.array(anyEvent, { maxLength: 40 });

test("DOWN -> RECOVERING -> UP: three time-outs, three good echoes, the emptied log", () => {
  const events: readonly AvailabilityEvent[] = [...SILENT, ...GOOD_ECHOES, { on: "drained" }];
  expect(walk(events).map(({ at }) => at)).toEqual([
    ...["up", "up", "up"],
    ...["down", "down", "down"],
    "recovering",
    "up",
  ]);
  const effects = events.map((event, index) => step(walk(events)[index] ?? DOWN, event).effects.map((each) => each.do));
  expect(effects).toEqual([["stand-in"], ["stand-in"], ["stand-in", "probe"], [], [], ["drain"], ["reset-counters"]]);
});

test("AC3.2 every request that times out is stood in at once, in every state, and no other event asks for it", () => {
  fc.assert(
    fc.property(anyEvents, anyEvent, (events, event) => {
      const { effects } = step(lastOf(events), event);
      const wanted = event.on === "timed-out" && event.asked === "request" ? 1 : 0;
      expect(effects.filter((effect) => effect.do === "stand-in").length).toBe(wanted);
      if (wanted === 1) expect(effects[0]).toEqual({ do: "stand-in" });
    }),
  );
});

test("an issuer goes down only after three consecutive time-outs or its sign-off, and then at once", () => {
  fc.assert(
    fc.property(anyEvents, (events) => {
      let silence = 0;
      let state: Availability = FIRST_AVAILABILITY;
      for (const event of events) {
        const next: Availability = step(state, event).state;
        if (state.at !== "down") {
          if (event.on === "answered") silence = 0;
          if (event.on === "timed-out") silence += 1;
          expect(next.at === "down").toBe(event.on === "signed-off" || silence === failThreshold);
        }
        if (next.at === "down") silence = 0;
        state = next;
      }
    }),
  );
});

test("an issuer comes back only by three consecutive good echoes since it went down, or since it signed on", () => {
  fc.assert(
    fc.property(anyEvents, (events) => {
      let echoes = 0;
      let signedOff = false;
      let state: Availability = FIRST_AVAILABILITY;
      for (const event of events) {
        const next: Availability = step(state, event).state;
        if (event.on === "signed-off") signedOff = true;
        if (event.on === "signed-on") signedOff = false;
        const echo = (event.on === "answered" || event.on === "timed-out") && event.asked === "echo";
        if (state.at !== "down" || event.on === "signed-off") echoes = 0;
        else if (echo) echoes = event.on === "answered" && !signedOff ? echoes + 1 : 0;
        if (state.at === "down") expect(next.at).toBe(echoes === upProbes ? "recovering" : "down");
        if (next.at === "up" && state.at !== "up") expect([state.at, event.on]).toEqual(["recovering", "drained"]);
        state = next;
      }
    }),
  );
});

test("an issuer that answers every other time does not flap: it stays where it is", () => {
  const alternating = (asked: "request" | "echo") => times(50, [timedOut(asked), answered(asked)]).flat();
  for (const from of STATES) {
    for (const asked of ["request", "echo"] as const) {
      expect(new Set(walk(alternating(asked), from).map(({ at }) => at))).toEqual(new Set([from.at]));
    }
  }
});

test("RM15 no request moves an issuer that is down, nor takes from its echoes", () => {
  const traffic = fc.array(
    fc.constantFrom<AvailabilityEvent>(answered("request"), timedOut("request"), { on: "answered-late" }),
    { maxLength: 10 },
  );
  fc.assert(
    fc.property(traffic, traffic, traffic, (first, second, third) => {
      expect(lastOf(first, DOWN)).toBe(DOWN);
      const echo = answered("echo");
      expect(lastOf([echo, ...first, echo, ...second, echo], DOWN)).toEqual(RECOVERING);
      const up = lastOf([...SILENT, echo, ...first, echo, ...second, echo, { on: "drained" }]);
      expect(up).toEqual(FIRST_AVAILABILITY);
      expect(lastOf(third, DOWN)).toBe(DOWN);
    }),
  );
});

test("RM1 a late answer changes nothing, in any state", () => {
  fc.assert(
    fc.property(anyEvents, (events) => {
      const state = lastOf(events);
      expect(step(state, { on: "answered-late" })).toEqual({ state, effects: [] });
    }),
  );
});

test("after a sign-off echoes do not bring an issuer back before it signs on", () => {
  const away = lastOf([{ on: "signed-off" }]);
  expect(lastOf([...GOOD_ECHOES, ...GOOD_ECHOES], away)).toBe(away);
  const back = lastOf([{ on: "signed-on" }, ...GOOD_ECHOES], away);
  expect(back).toEqual({ at: "recovering", why: "signed-off", timeouts: 0 });
  expect(lastOf([{ on: "signed-off" }], RECOVERING)).toEqual(away);
});

test("a sign-off while it is down counts: what echoes it gave are void", () => {
  const echo = answered("echo");
  const state = lastOf([echo, echo, { on: "signed-off" }, { on: "signed-on" }, echo], DOWN);
  expect(state).toEqual({ at: "down", why: "signed-off", signedOff: false, echoes: 1 });
});

test("an issuer that falls silent again in recovery goes down again", () => {
  expect(lastOf(times(failThreshold, timedOut("echo")), RECOVERING)).toEqual(DOWN);
  expect(lastOf(times(failThreshold - 1, timedOut("echo")), RECOVERING).at).toBe("recovering");
});

test("counters are reset only by an emptied log, and never while the issuer is down", () => {
  fc.assert(
    fc.property(anyEvents, anyEvent, (events, event) => {
      const state = lastOf(events);
      const reset = step(state, event).effects.some((effect) => effect.do === "reset-counters");
      expect(reset).toBe(event.on === "drained" && state.at !== "down");
    }),
  );
});

test("a state survives being stored as text", () => {
  fc.assert(
    fc.property(anyEvents, anyEvents, (first, second) => {
      const state = lastOf(first);
      expect(lastOf(second, JSON.parse(JSON.stringify(state)))).toEqual(lastOf(second, state));
    }),
  );
});

test("a request is routed by the state, and by whether its account is held", () => {
  const held = { held: true };
  const free = { held: false };
  expect(routeOf(FIRST_AVAILABILITY, free)).toEqual({ to: "issuer" });
  expect(routeOf(FIRST_AVAILABILITY, held)).toEqual({ to: "stand-in", why: "timeout" });
  expect(routeOf(DOWN, free)).toEqual({ to: "stand-in", why: "timeout" });
  const away = lastOf([{ on: "signed-off" }]);
  expect(routeOf(away, free)).toEqual({ to: "stand-in", why: "signed-off" });
  const recovering = lastOf([{ on: "signed-on" }, ...GOOD_ECHOES], away);
  expect(routeOf(recovering, free)).toEqual({ to: "issuer" });
  expect(routeOf(recovering, held)).toEqual({ to: "stand-in", why: "signed-off" });
  expect([FIRST_AVAILABILITY, DOWN, RECOVERING].map(mayDrain)).toEqual([true, false, true]);
});
