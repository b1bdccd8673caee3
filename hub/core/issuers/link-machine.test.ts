import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type LinkEffect, type LinkEvent, type LinkState, linkMachine, MISSED_MAX } from "./link-machine.ts";

const NETWORK = ["sign-on", "sign-off", "echo"] as const;

const anyEvent: fc.Arbitrary<LinkEvent> = fc.oneof(
  fc
    .constantFrom("start", "retry-due", "connected", "connection-ended", "echo-due", "stop")
    .map((on): LinkEvent => ({ on }) as LinkEvent),
  fc.record({ on: fc.constant("notice" as const), what: fc.constantFrom("sign-on", "sign-off") }),
  fc.record({
    on: fc.constant("exchanged" as const),
    what: fc.constantFrom(...NETWORK),
    result: fc.constantFrom("accepted", "refused", "unanswered"),
  }),
);

function run(events: readonly LinkEvent[], from: LinkState = { at: "stopped" }) {
  const effects: LinkEffect[] = [];
  let state = from;
  for (const event of events) {
    const step = linkMachine(state, event);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}

const signedOn: readonly LinkEvent[] = [
  { on: "start" },
  { on: "connected" },
  { on: "exchanged", what: "sign-on", result: "accepted" },
];
const unansweredEcho: readonly LinkEvent[] = [
  { on: "echo-due" },
  { on: "exchanged", what: "echo", result: "unanswered" },
];

describe("a link", () => {
  test("connects, signs on and is up", () => {
    expect(run(signedOn)).toEqual({
      state: { at: "up", missed: 0 },
      effects: [{ do: "connect" }, { do: "exchange", what: "sign-on" }, { do: "watch" }],
    });
  });

  test("is signed off when the issuer refuses its sign-on, and asks again at each interval", () => {
    const refused = run([...signedOn.slice(0, 2), { on: "exchanged", what: "sign-on", result: "refused" }]);
    expect(refused.state.at).toBe("signed-off");
    const asked = run([{ on: "echo-due" }], refused.state);
    expect(asked.effects).toEqual([{ do: "exchange", what: "sign-on" }]);
    expect(run([{ on: "exchanged", what: "sign-on", result: "accepted" }], asked.state).state.at).toBe("up");
  });

  test("does not take an echo that is answered for the end of a sign-off", () => {
    const off = run([...signedOn, { on: "notice", what: "sign-off" }]);
    expect(off.state.at).toBe("signed-off");
    expect(run([{ on: "exchanged", what: "echo", result: "accepted" }], off.state).state.at).toBe("signed-off");
  });

  test("signs on itself when the issuer says that he is back, as he may have refused it while he was away", () => {
    const off = run([...signedOn, { on: "notice", what: "sign-off" }]);
    const back = run([{ on: "notice", what: "sign-on" }], off.state);
    expect(back).toMatchObject({ state: { at: "signed-off" }, effects: [{ do: "exchange", what: "sign-on" }] });
    expect(run([{ on: "exchanged", what: "sign-on", result: "accepted" }], back.state).state.at).toBe("up");
    expect(run([{ on: "notice", what: "sign-on" }], { at: "up", missed: 0 }).effects).toEqual([]);
  });

  test("closes and begins anew after a sign-on without an answer", () => {
    const { state, effects } = run([
      ...signedOn.slice(0, 2),
      { on: "exchanged", what: "sign-on", result: "unanswered" },
    ]);
    expect(state.at).toBe("disconnected");
    expect(effects.slice(-2)).toEqual([{ do: "close" }, { do: "retry-later" }]);
  });

  test("gives a connection up after so many echoes in a row without an answer", () => {
    const once = run([...signedOn, ...unansweredEcho]);
    expect(once.state).toEqual({ at: "up", missed: 1 });
    const healed = run([{ on: "exchanged", what: "echo", result: "accepted" }], once.state);
    expect(healed.state).toEqual({ at: "up", missed: 0 });
    const twice = run(Array.from({ length: MISSED_MAX }, () => unansweredEcho).flat(), healed.state);
    expect(twice.state.at).toBe("disconnected");
    expect(twice.effects).toContainEqual({ do: "close" });
  });

  test("stays up while its echo is answered, even by a refusal", () => {
    const { state } = run([...signedOn, { on: "echo-due" }, { on: "exchanged", what: "echo", result: "refused" }]);
    expect(state).toEqual({ at: "up", missed: 0 });
  });

  test("signs off before it stops, and stops whatever the answer", () => {
    const leaving = run([...signedOn, { on: "stop" }]);
    expect(leaving.state.at).toBe("leaving");
    expect(leaving.effects.at(-1)).toEqual({ do: "exchange", what: "sign-off" });
    const ended = run([{ on: "exchanged", what: "sign-off", result: "unanswered" }], leaving.state);
    expect(ended).toEqual({ state: { at: "stopped" }, effects: [{ do: "close" }] });
  });

  test("never stands still: where it is not stopped, something is under way that ends", () => {
    const wakes: Readonly<Record<LinkState["at"], LinkEffect["do"] | undefined>> = {
      stopped: undefined,
      disconnected: "retry-later",
      connecting: "connect",
      "signing-on": "exchange",
      up: "watch",
      "signed-off": "watch",
      leaving: "exchange",
    };
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        let state: LinkState = { at: "stopped" };
        for (const event of events) {
          const step = linkMachine(state, event);
          const wake = wakes[step.state.at];
          const entered = step.state.at !== state.at;
          if (entered && wake !== undefined) expect(step.effects.map((effect) => effect.do)).toContain(wake);
          state = step.state;
        }
      }),
    );
  });

  test("is over once it is stopped, until it is started again", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        const { state } = run(events.filter(({ on }) => on !== "start"));
        expect(state.at).toBe("stopped");
      }),
    );
  });

  test("closes every connection that it leaves by itself", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        let open = false;
        let state: LinkState = { at: "stopped" };
        for (const event of [...signedOn.slice(0, 2), ...events]) {
          const { effects, state: next } = linkMachine(state, event);
          if (event.on === "connection-ended") open = false;
          if (effects.some((effect) => effect.do === "close")) open = false;
          for (const effect of effects) {
            if (effect.do !== "connect") continue;
            expect(open).toBe(false);
            open = true;
          }
          state = next;
        }
        if (state.at === "stopped" || state.at === "disconnected") expect(open).toBe(false);
      }),
    );
  });
});
