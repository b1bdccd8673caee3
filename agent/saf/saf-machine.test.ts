/** What may happen to a queued entry, in every order of events. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type SafEvent, type SafState, safStep } from "./saf-machine.ts";

const event: fc.Arbitrary<SafEvent> = fc.oneof(
  fc.constant<SafEvent>({ on: "send" }),
  fc.constant<SafEvent>({ on: "void" }),
  fc
    .constantFrom("processed", "declined", "duplicate", "quarantined")
    .map((status): SafEvent => ({ on: "receipt", status: status as "processed" })),
);

const OPEN = ["eligible", "forwarding"];

test("an ended entry never moves, and its sealed data are erased exactly once, when it ends", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 12 }), (events) => {
      let state: SafState = { at: "eligible" };
      let erased = 0;
      for (const each of events) {
        const step = safStep(state, each);
        erased += step.effects.length;
        if (!OPEN.includes(state.at)) expect(step.state).toBe(state);
        state = step.state;
        expect(erased).toBe(OPEN.includes(state.at) ? 0 : 1);
      }
    }),
  );
});

test("RM12 once sent an entry is never voided, and every sending is counted", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 12 }), (events) => {
      let state: SafState = { at: "eligible" };
      let sends = 0;
      for (const each of events) {
        if (each.on === "send" && OPEN.includes(state.at)) sends += 1;
        state = safStep(state, each).state;
        if (sends > 0) expect(state.at).not.toBe("voided");
        if (state.at === "forwarding") expect(state.attempts).toBe(sends);
      }
    }),
  );
});

test("a duplicate at the hub is as good as processed", () => {
  const state: SafState = { at: "forwarding", attempts: 2 };
  expect(safStep(state, { on: "receipt", status: "duplicate" }).state).toEqual({ at: "processed" });
});
