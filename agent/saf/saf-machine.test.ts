/** What may happen to a queued entry, in every order of events. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type SafEvent, type SafState, safStep } from "./saf-machine.ts";

const statuses = fc.constantFrom("processed", "declined", "expired", "duplicate", "quarantined");
/** Late, or of a hub that never contradicts itself. */
const received: fc.Arbitrary<SafEvent> = statuses.map((status) => ({ on: "receipt", status, fresh: false }));
const event: fc.Arbitrary<SafEvent> = fc.oneof(
  received,
  fc.constantFrom("send", "void", "retry", "cancel").map((on): SafEvent => ({ on: on as "send" })),
);
const events = fc.array(event, { maxLength: 16 });
const NEW = { at: "eligible", attempts: 0 } as const satisfies SafState;
const OPEN = ["eligible", "forwarding"];
const ENDED = ["processed", "declined", "expired", "voided"];

/** The states that an entry goes through, from the first. */
function walk(all: readonly SafEvent[]): SafState[] {
  const states: SafState[] = [NEW];
  for (const each of all) states.push(safStep(states.at(-1) ?? NEW, each).state);
  return states;
}

test("an ended entry never moves, and a quarantined one only by a person's retry or cancel, while the hub keeps what it has", () => {
  fc.assert(
    fc.property(events, (all) => {
      let state: SafState = NEW;
      for (const each of all) {
        const next: SafState = safStep(state, each).state;
        if (ENDED.includes(state.at)) expect(next).toBe(state);
        if (state.at === "quarantined" && next !== state) expect(["retry", "cancel", "resend"]).toContain(each.on);
        state = next;
      }
    }),
  );
});

test("RM5 sealed data are erased exactly once, when the entry ends, and never while it waits or is quarantined", () => {
  fc.assert(
    fc.property(events, (all) => {
      let state: SafState = NEW;
      let erased = 0;
      for (const each of all) {
        const step = safStep(state, each);
        erased += step.effects.length;
        state = step.state;
        expect(erased).toBe(ENDED.includes(state.at) ? 1 : 0);
      }
    }),
  );
});

test("RM12 what may be at the hub is not voided: only what was never sent, or what the hub set aside", () => {
  fc.assert(
    fc.property(events, (all) => {
      const states = walk(all);
      for (const [at, state] of states.entries()) {
        const before = states[at - 1];
        if (state.at !== "voided" || before === undefined || before === state) continue;
        expect(["eligible", "quarantined"]).toContain(before.at);
        if (before.at === "quarantined") expect(all[at - 1]?.on).toBe("cancel");
        else if (before.attempts > 0)
          expect(states.slice(0, at).some((earlier) => earlier.at === "quarantined")).toBe(true);
      }
    }),
  );
});

test("every sending is counted, whatever comes between", () => {
  fc.assert(
    fc.property(events, (all) => {
      const states = walk(all);
      const sends = all.filter((each, at) => each.on === "send" && OPEN.includes(states[at]?.at ?? "")).length;
      expect(states.at(-1)?.attempts).toBe(sends);
    }),
  );
});

test("RM18 what the hub lost of what it receipted is told again, as an entry that may be at the hub; the rest stays", () => {
  fc.assert(
    fc.property(events, (all) => {
      const state = walk(all).at(-1) ?? NEW;
      const { state: next, effects } = safStep(state, { on: "resend" });
      expect(effects).toEqual([]);
      if (["processed", "declined", "expired", "quarantined"].includes(state.at)) {
        expect(next).toEqual({ at: "forwarding", attempts: state.attempts });
        expect(safStep(next, { on: "cancel" }).state).toBe(next);
      } else expect(next).toBe(state);
    }),
  );
});

test("RM12 what was voided counts as processed once the hub declines the void, and nothing else does by that", () => {
  fc.assert(
    fc.property(events, (all) => {
      const state = walk(all).at(-1) ?? NEW;
      const { state: next, effects } = safStep(state, { on: "void-declined" });
      expect(effects).toEqual([]);
      if (state.at === "voided") expect(next).toEqual({ at: "processed", attempts: state.attempts });
      else expect(next).toBe(state);
    }),
  );
});

test("a duplicate at the hub is as good as processed", () => {
  const state: SafState = { at: "forwarding", attempts: 2 };
  const step = safStep(state, { on: "receipt", status: "duplicate", fresh: false });
  expect(step.state).toEqual({ at: "processed", attempts: 2 });
});

test("RM1 what was set aside at its first coming and taken at its second is processed, in whichever order the receipts come", () => {
  const sentTwice = walk([{ on: "send" }, { on: "send" }]).at(-1) ?? NEW;
  const [setAside, taken] = [
    { on: "receipt", status: "quarantined", fresh: true },
    { on: "receipt", status: "processed", fresh: true },
  ] as const;
  const inOrder = safStep(safStep(sentTwice, setAside).state, taken);
  expect(inOrder).toEqual({ state: { at: "processed", attempts: 2 }, effects: [{ do: "erase-sealed" }] });
  const overtaken = safStep(safStep(sentTwice, taken).state, { ...setAside, fresh: false });
  expect(overtaken).toEqual({ state: { at: "processed", attempts: 2 }, effects: [] });
});

test("RM18 of two receipts that contradict each other the newest holds, whichever ended the entry; a void stays", () => {
  fc.assert(
    fc.property(events, statuses, (all, status) => {
      const state = walk(all).at(-1) ?? NEW;
      const { state: next, effects } = safStep(state, { on: "receipt", status, fresh: true });
      const at = status === "duplicate" ? "processed" : status;
      if (state.at === "voided" || state.at === at) expect(next).toBe(state);
      else expect(next).toEqual({ at, attempts: state.attempts });
      const endsNow = !ENDED.includes(state.at) && ENDED.includes(next.at);
      expect(effects).toEqual(endsNow ? [{ do: "erase-sealed" }] : []);
    }),
  );
});
