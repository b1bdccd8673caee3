import fc from "fast-check";
import { expect, test } from "vitest";
import { CODE_ASKS_MAX, type CodeEffect, type CodeEvent, type CodeState, codeMachine } from "./code-machine.ts";

/** Runs events through the machine; events that do not fit where it stands change nothing. */
function run(events: readonly CodeEvent[]): { state: CodeState; effects: CodeEffect[] } {
  let state: CodeState = { at: "new" };
  const effects: CodeEffect[] = [];
  for (const event of events) {
    const step = codeMachine(state, event);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}
const decisionOf = (events: readonly CodeEvent[]) => {
  const { state } = run(events);
  if (state.at !== "storing-decision") throw new Error(`stands at ${state.at}`);
  return state.decision;
};

const asked: CodeEvent[] = [{ on: "pre-authorised-code", hub: "up" }, { on: "request-stored" }];
const noAnswer: CodeEvent[] = [{ on: "hub-unknown" }, { on: "unknown-stored" }];
const approval: CodeEvent = { on: "hub-approved", answer: { responseCode: "00", approvalCode: "A1B2C3" } };

test("RM10 with no hub in reach a pre-authorised code is refused at once, and nothing is queued", () => {
  const decision = decisionOf([{ on: "pre-authorised-code", hub: "down" }]);
  expect(decision).toMatchObject({ outcome: "declined", reason: "E_UNAVAILABLE", attempts: [], reversals: [] });
  expect(run([{ on: "pre-authorised-code", hub: "down" }]).effects.map((effect) => effect.do)).toEqual([
    "store-decision",
  ]);
});

test("RM1 a request is on disk before the hub is asked, and an answer that does not come is noted before anything else", () => {
  const { effects } = run([...asked, { on: "hub-unknown" }]);
  expect(effects.map((effect) => effect.do)).toEqual(["store-request", "ask-hub", "store-unknown"]);
});

test("AC1.5 the same attempt is asked for again when no answer came, and its answer counts", () => {
  const { effects } = run([...asked, ...noAnswer]);
  expect(effects.filter((effect) => effect.do === "ask-hub")).toEqual([
    { do: "ask-hub", attempt: 1 },
    { do: "ask-hub", attempt: 1 },
  ]);
  expect(decisionOf([...asked, ...noAnswer, approval])).toMatchObject({
    outcome: "approved",
    attempts: [1],
    reversals: [],
  });
});

test("RM1 with no answer at all the sale is declined and its attempt reversed", () => {
  const decision = decisionOf([...asked, ...Array.from({ length: CODE_ASKS_MAX }, () => noAnswer).flat()]);
  expect(decision).toMatchObject({ outcome: "declined", reason: "E_TIMEOUT", attempts: [1] });
  expect(decision.reversals.map(({ attempt }) => attempt)).toEqual([1]);
});

test("RM11 a note is taken only when it was checked and the lease has room", () => {
  expect(decisionOf([{ on: "note" }, { on: "note-accepted" }, { on: "reserved" }])).toMatchObject({
    outcome: "approved",
    mode: "offline",
    attempts: [],
  });
  const refusal = { reason: "E_LIMIT", detail: "above the offline limit" } as const;
  for (const way of [[], [{ on: "note-accepted" } as const]]) {
    expect(decisionOf([{ on: "note" }, ...way, { on: "refused", refusal }])).toMatchObject({
      outcome: "declined",
      ...refusal,
    });
  }
});

test("RM1 whatever comes in whatever order: one decision, which never changes, and a reversal of all that may stand", () => {
  const answer = { responseCode: "00" };
  const refusal = { reason: "E_SIG", detail: "forged" } as const;
  const event = fc.constantFrom<CodeEvent>(
    { on: "pre-authorised-code", hub: "up" },
    { on: "pre-authorised-code", hub: "down" },
    { on: "note" },
    { on: "request-stored" },
    { on: "hub-approved", answer },
    { on: "hub-declined", answer },
    { on: "hub-unknown" },
    { on: "cancelled" },
    { on: "unknown-stored" },
    { on: "note-accepted" },
    { on: "refused", refusal },
    { on: "reserved" },
    { on: "decision-stored" },
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const { effects } = run(events);
      const decisions = effects.flatMap((effect) => (effect.do === "store-decision" ? [effect.decision] : []));
      expect(decisions.length).toBeLessThanOrEqual(1);
      expect(effects.filter((effect) => effect.do === "ask-hub").length).toBeLessThanOrEqual(CODE_ASKS_MAX);
      const left = effects.some((effect) => effect.do === "ask-hub");
      for (const { outcome, mode, attempts, reversals, responseCode } of decisions) {
        expect(attempts).toEqual(left ? [1] : []);
        const answered = outcome === "approved" || responseCode !== undefined;
        expect(reversals.length).toBe(left && !answered ? 1 : 0);
        if (outcome === "approved") expect(mode).toBe(left ? "online" : "offline");
      }
    }),
  );
});
