import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type PurchaseEffect, type PurchaseEvent, type PurchaseState, purchaseMachine } from "./purchase-machine.ts";

/** Runs events through the machine; events that do not fit where it stands change nothing. */
function run(events: readonly PurchaseEvent[]): { state: PurchaseState; effects: PurchaseEffect[] } {
  let state: PurchaseState = { at: "new" };
  const effects: PurchaseEffect[] = [];
  for (const event of events) {
    const step = purchaseMachine(state, event);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}

const begin: PurchaseEvent[] = [{ on: "start" }, { on: "intent-stored" }, { on: "card-presented" }];
const online: PurchaseEvent[] = [
  ...begin,
  { on: "card-read", hub: "up", proposed: "ARQC" },
  { on: "cryptogram", type: "ARQC" },
  { on: "request-stored" },
];
const decisionOf = (events: PurchaseEvent[]) => {
  const { state } = run(events);
  if (state.at !== "storing-decision") throw new Error(`stands at ${state.at}`);
  return state.decision;
};

describe("a purchase", () => {
  test("touches no card before its intent is stored", () => {
    expect(run([{ on: "start" }]).effects).toEqual([{ do: "store-intent" }]);
    expect(run([{ on: "start" }, { on: "card-presented" }]).effects).toEqual([{ do: "store-intent" }]);
  });

  test("counts an online approval only after the card's TC (RM3)", () => {
    const approved: PurchaseEvent[] = [
      ...online,
      { on: "hub-approved", answer: { responseCode: "00", approvalCode: "A1B2C3" } },
    ];
    expect(run(approved).state.at).toBe("second-cryptogram");
    expect(decisionOf([...approved, { on: "cryptogram", type: "TC" }])).toMatchObject({
      outcome: "approved",
      mode: "online",
      approvalCode: "A1B2C3",
      attempts: [1],
      reversals: [],
    });
  });

  test("RM3 reverses an online approval when the card answers AAC or is pulled", () => {
    const approved: PurchaseEvent[] = [...online, { on: "hub-approved", answer: { responseCode: "00" } }];
    for (const last of [
      { on: "cryptogram", type: "AAC" },
      { on: "card-failed", why: "removed", detail: "the card was pulled" },
    ] as const) {
      const decision = decisionOf([...approved, last]);
      expect(decision.outcome).not.toBe("approved");
      expect(decision.reversals.map((reversal) => reversal.attempt)).toEqual([1]);
    }
  });

  test("RM1 after a timeout stores what it does not know, then decides offline under the same id without a reversal", () => {
    const timedOut: PurchaseEvent[] = [...online, { on: "hub-unknown" }];
    expect(run(timedOut).effects.at(-1)).toEqual({ do: "store-unknown", attempt: 1 });
    const decision = decisionOf([
      ...timedOut,
      { on: "unknown-stored" },
      { on: "reserved" },
      { on: "cryptogram", type: "TC" },
    ]);
    expect(decision).toMatchObject({
      outcome: "approved",
      mode: "offline",
      attempts: [1],
      reversals: [],
      responseCode: "Y3",
    });
  });

  test("RM1 after a timeout and a refused lease asks the card for AAC and reverses", () => {
    const refusal = { reason: "E_LIMIT", detail: "above the lease" } as const;
    const events: PurchaseEvent[] = [
      ...online,
      { on: "hub-unknown" },
      { on: "unknown-stored" },
      { on: "lease-refused", refusal },
    ];
    expect(run(events).effects.at(-1)).toEqual({ do: "second-cryptogram", ask: "AAC", responseCode: "Z3" });
    expect(decisionOf([...events, { on: "cryptogram", type: "AAC" }])).toMatchObject({
      outcome: "declined",
      reason: "E_LIMIT",
      reversals: [{ attempt: 1 }],
    });
  });

  test("asks the lease before it asks the card for a TC when the hub is away", () => {
    const { effects } = run([...begin, { on: "card-read", hub: "down", proposed: "TC" }]);
    expect(effects.at(-1)).toEqual({ do: "reserve" });
  });

  test("RM13 asks the card for an AAC when action analysis refuses, and declines whatever the card answers", () => {
    for (const hub of ["up", "down"] as const) {
      const refused: PurchaseEvent[] = [...begin, { on: "card-read", hub, proposed: "AAC" }];
      expect(run(refused).effects.at(-1)).toEqual({ do: "first-cryptogram", ask: "AAC" });
      expect(decisionOf([...refused, { on: "cryptogram", type: "AAC" }])).toMatchObject({
        outcome: "declined",
        responseCode: "Z1",
      });
    }
  });

  test("RM13 asks for an ARQC that action analysis wants also with the hub away, and then lets the card decide", () => {
    const asked: PurchaseEvent[] = [...begin, { on: "card-read", hub: "down", proposed: "ARQC" }, { on: "reserved" }];
    expect(run(asked).effects.at(-1)).toEqual({ do: "first-cryptogram", ask: "ARQC" });
    const unable: PurchaseEvent[] = [...asked, { on: "cryptogram", type: "ARQC" }];
    expect(run(unable).effects.at(-1)).toEqual({ do: "second-cryptogram", ask: "TC", responseCode: "Y3" });
    expect(decisionOf([...unable, { on: "cryptogram", type: "AAC" }])).toMatchObject({
      outcome: "declined",
      responseCode: "Z3",
    });
  });

  test("sells below the floor limit without the hub, and asks it when the card wants to", () => {
    const below: PurchaseEvent[] = [...begin, { on: "card-read", hub: "up", proposed: "TC" }, { on: "reserved" }];
    expect(decisionOf([...below, { on: "cryptogram", type: "TC" }])).toMatchObject({
      outcome: "approved",
      mode: "offline",
    });
    expect(run([...below, { on: "cryptogram", type: "ARQC" }]).effects.at(-1)).toMatchObject({ do: "store-request" });
  });

  test("below the floor limit a refused lease declines nothing that the hub can be asked about", () => {
    const refusal = { reason: "E_LIMIT", detail: "above the lease" } as const;
    const refused = (hub: "up" | "down"): PurchaseEvent[] => [
      ...begin,
      { on: "card-read", hub, proposed: "TC" },
      { on: "lease-refused", refusal },
    ];
    expect(run(refused("up")).effects.at(-1)).toEqual({ do: "first-cryptogram", ask: "ARQC" });
    expect(run([...refused("up"), { on: "cryptogram", type: "ARQC" }]).effects.at(-1)).toMatchObject({
      do: "store-request",
    });
    expect(run(refused("down")).effects.at(-1)).toEqual({ do: "first-cryptogram", ask: "AAC" });
  });

  test("lets a late answer of the hub change nothing", () => {
    const ended: PurchaseEvent[] = [
      ...begin,
      { on: "card-read", hub: "down", proposed: "TC" },
      { on: "reserved" },
      { on: "cryptogram", type: "TC" },
      { on: "decision-stored" },
    ];
    const { state } = run(ended);
    expect(purchaseMachine(state, { on: "hub-declined", answer: { responseCode: "05" } })).toEqual({
      state,
      effects: [],
    });
  });
});

const cardFailures: PurchaseEvent[] = [{ on: "card-failed", why: "removed", detail: "pulled" }];
const cryptograms: PurchaseEvent[] = (["TC", "ARQC", "AAC"] as const).map((type) => ({ on: "cryptogram", type }));

/** Everything that can come back for an effect. */
const RESULTS: Readonly<Record<PurchaseEffect["do"], readonly PurchaseEvent[]>> = {
  "store-intent": [{ on: "intent-stored" }],
  "await-card": [{ on: "card-presented" }, { on: "card-failed", why: "no-card", detail: "nobody came" }],
  "read-card": [
    ...(["up", "down"] as const).flatMap((hub) =>
      (["TC", "ARQC", "AAC"] as const).map((proposed): PurchaseEvent => ({ on: "card-read", hub, proposed })),
    ),
    ...cardFailures,
  ],
  reserve: [{ on: "reserved" }, { on: "lease-refused", refusal: { reason: "E_LIMIT", detail: "sum" } }],
  "first-cryptogram": [...cryptograms, ...cardFailures],
  "store-request": [{ on: "request-stored" }],
  "ask-hub": [
    { on: "hub-approved", answer: { responseCode: "00" } },
    { on: "hub-declined", answer: { responseCode: "05" } },
    { on: "hub-unknown" },
    { on: "hub-cancelled" },
  ],
  "store-unknown": [{ on: "unknown-stored" }],
  "second-cryptogram": [...cryptograms, ...cardFailures],
  "store-decision": [{ on: "decision-stored" }],
};
const anyEvent = [{ on: "start" } as const, ...Object.values(RESULTS).flat()];

interface Seen {
  readonly before: PurchaseState;
  readonly event: PurchaseEvent;
  readonly effects: readonly PurchaseEffect[];
}

/** A life of a purchase: mostly the result that is due, now and then something out of place. */
function live(choices: readonly number[]): Seen[] {
  let state: PurchaseState = { at: "new" };
  let due: readonly PurchaseEvent[] = [{ on: "start" }];
  const seen: Seen[] = [];
  for (const choice of choices) {
    const pool: readonly PurchaseEvent[] = choice % 5 === 0 ? anyEvent : due;
    const event = pool[Math.floor(choice / 5) % pool.length];
    if (!event) continue;
    const step = purchaseMachine(state, event);
    seen.push({ before: state, event, effects: step.effects });
    state = step.state;
    const effect = step.effects[0];
    if (effect) due = RESULTS[effect.do];
  }
  return seen;
}

const lives = fc.array(fc.nat(9_999), { minLength: 5, maxLength: 60 });
const decisionsIn = (seen: Seen[]) =>
  seen.flatMap((step) => step.effects).filter((effect) => effect.do === "store-decision");

describe("whatever happens in whatever order", () => {
  test("RM1 there is at most one decision, and a full life has one", () => {
    let ended = 0;
    fc.assert(
      fc.property(lives, (choices) => {
        const decisions = decisionsIn(live(choices));
        expect(decisions.length).toBeLessThanOrEqual(1);
        ended += decisions.length;
      }),
      { numRuns: 2_000 },
    );
    expect(ended).toBeGreaterThan(1_000);
  });

  test("RM1 a request that may have left is confirmed by an approval, was declined by the hub, or is reversed", () => {
    fc.assert(
      fc.property(lives, (choices) => {
        const seen = live(choices);
        const asked = seen.some((step) => step.effects.some((effect) => effect.do === "ask-hub"));
        const declined = seen.some((step) => step.before.at === "asking-hub" && step.event.on === "hub-declined");
        for (const { decision } of decisionsIn(seen)) {
          const mustReverse = asked && decision.outcome !== "approved" && !declined;
          expect(decision.reversals.length).toBe(mustReverse ? 1 : 0);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test("RM3 no approval without a TC that was asked for; RM8 none offline without a lease", () => {
    fc.assert(
      fc.property(lives, (choices) => {
        const seen = live(choices);
        const reserved = seen.some((step) => step.before.at === "reserving" && step.event.on === "reserved");
        for (const step of seen) {
          const stored = step.effects.find((effect) => effect.do === "store-decision");
          if (stored?.do !== "store-decision" || stored.decision.outcome !== "approved") continue;
          expect(step.event).toEqual({ on: "cryptogram", type: "TC" });
          if (stored.decision.mode === "offline") expect(reserved).toBe(true);
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
