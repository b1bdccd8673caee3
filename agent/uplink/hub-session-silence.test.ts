/** A broker that holds the link with no hub behind it: who waits, who does not, and how it ends. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { answeredTime, HOUR, NINE, signedLease, signedTime, strangerKeys } from "../../test/rules/lease-fixture.ts";
import { answerTo, codeOf, forEver, leaseMessage, requestOf, world } from "../../test/rules/session-fixture.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import { signText } from "../../wire/signing.ts";

/** A hub behind the broker that answers while it lives, each time with a time of its own. */
function stand({ heard = true } = {}) {
  const parts = world({ heard });
  const { uplink, hub, clock } = parts;
  const living = { hub: true, losesAnswers: 0, behindMs: 0 };
  let words = 0;
  const time = (nonce?: string) => {
    words += 1;
    return answeredTime(NINE + clock.monotonic() + words - living.behindMs, nonce);
  };
  uplink.reply = (envelope) => {
    if (!living.hub) return;
    if (envelope.type === "presence") uplink.deliver(leaseMessage(time(envelope.body.nonce)));
    if (envelope.type !== "authorisation.request") return;
    if (living.losesAnswers > 0) living.losesAnswers -= 1;
    else uplink.deliver(answerTo(envelope.body, { time: time() }));
  };
  const states: string[] = [];
  hub.onState((state) => states.push(state));
  const stop = new AbortController();
  const running = hub.run(stop.signal);
  let sales = 0;
  /** Back when the request has left; `ended` is what it comes to. */
  const sell = async () => {
    sales += 1;
    const ended = codeOf(hub.authorise(requestOf(`p${sales}`), sales, forEver));
    await clock.advance(0);
    return { ended };
  };
  return {
    ...parts,
    living,
    states,
    time,
    sell,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
const presences = (sent: readonly UpEnvelope[]) => sent.filter(({ type }) => type === "presence").length;

test("the first sale waits its time out; the next are told at once that the hub does not answer, and nothing is sent", async () => {
  await using at = stand();
  await at.clock.advance(0);
  at.living.hub = false;
  const first = await at.sell();
  await at.clock.advance(4_999);
  expect(at.hub).toMatchObject({ state: "up", silent: false });
  await at.clock.advance(1);
  expect(await first.ended).toBe("uplink.timeout");
  expect(at.hub).toMatchObject({ state: "down", silent: true });
  await expect(at.hub.authorise(requestOf("next"), 2, forEver)).rejects.toMatchObject({
    code: "uplink.down",
    message: "connected, but the hub does not answer; nothing was sent",
  });
  expect(at.uplink.requests()).toHaveLength(1);
  expect(at.states).toEqual(["down"]);
});

test("a silent hub is asked at once and at growing pauses up to a minute, and sales go online as soon as it is heard", async () => {
  await using at = stand();
  await at.clock.advance(0);
  at.living.hub = false;
  const first = await at.sell();
  await at.clock.advance(4_999);
  const asked = presences(at.uplink.sent);
  await at.clock.advance(1);
  expect(presences(at.uplink.sent)).toBe(asked + 1);
  for (const [index, pause] of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000].entries()) {
    await at.clock.advance(pause - 1);
    expect(presences(at.uplink.sent)).toBe(asked + 1 + index);
    await at.clock.advance(1);
    expect(presences(at.uplink.sent)).toBe(asked + 2 + index);
  }
  at.living.hub = true;
  await at.clock.advance(60_000);
  expect(at.hub).toMatchObject({ state: "up", silent: false });
  expect(await (await at.sell()).ended).toBe("fulfilled");
  expect(await first.ended).toBe("uplink.timeout");
  expect(at.states).toEqual(["down", "up"]);
});

test.each([
  ["that was never heard", false],
  ["whose lease has run out", true],
])("a hub %s is asked at growing pauses where nobody sells as well", async (_what, heard) => {
  await using at = stand({ heard });
  at.living.hub = false;
  if (heard) at.leases.offer(signedLease({ expiresAt: new Date(NINE + 1_000).toISOString() }));
  at.uplink.set("down", "the broker restarts");
  at.uplink.set("up", "the broker is back");
  await at.clock.advance(0);
  const asked = presences(at.uplink.sent);
  await at.clock.advance(5_000 + 10_000 + 20_000 + 40_000 + 60_000);
  expect(presences(at.uplink.sent)).toBe(asked + 5);
  at.living.hub = true;
  await at.clock.advance(60_000);
  const heardAt = presences(at.uplink.sent);
  await at.clock.advance(60_000);
  expect(presences(at.uplink.sent)).toBeGreaterThan(heardAt);
});

test("after a reboot a hub that does not tell its time is silent as well, until it does", async () => {
  await using at = stand({ heard: false });
  at.living.hub = false;
  await at.clock.advance(0);
  const first = await at.sell();
  await at.clock.advance(1_500);
  expect(await first.ended).toBe("uplink.down");
  expect(at.hub).toMatchObject({ state: "down", silent: true });
  expect(await (await at.sell()).ended).toBe("uplink.down");
  at.living.hub = true;
  await at.clock.advance(10_000);
  expect(at.hub).toMatchObject({ state: "up", silent: false });
  expect(await (await at.sell()).ended).toBe("fulfilled");
});

test.each([
  ["that lives", 0],
  ["whose clock was set back", HOUR],
])("one lost answer of a hub %s sends no other sale offline", async (_which, behindMs) => {
  await using at = stand();
  await at.clock.advance(0);
  Object.assign(at.living, { behindMs, losesAnswers: 1 });
  const lost = await at.sell();
  await at.clock.advance(5_000);
  expect(await lost.ended).toBe("uplink.timeout");
  expect(at.hub).toMatchObject({ state: "up", silent: false });
  expect(await (await at.sell()).ended).toBe("fulfilled");
});

test("a hub that was heard while the answer was waited for is not silent", async () => {
  await using at = stand();
  await at.clock.advance(0);
  at.living.hub = false;
  const lost = await at.sell();
  await at.clock.advance(2_000);
  at.uplink.deliver(leaseMessage(at.time()));
  await at.clock.advance(3_000);
  expect(await lost.ended).toBe("uplink.timeout");
  expect(at.hub.state).toBe("up");
});

test.each([
  ["a word that it said before", () => signedTime(NINE - 1)],
  ["a stranger's word", () => signText("time", signedTime(NINE + 60_000).text, strangerKeys.privateKey)],
])("%s does not end the silence; a late answer does", async (_what, time) => {
  await using at = stand();
  await at.clock.advance(0);
  at.living.hub = false;
  const lost = await at.sell();
  await at.clock.advance(5_000);
  at.uplink.deliver(leaseMessage(time()));
  expect(at.hub.silent).toBe(true);
  at.uplink.deliver(answerTo(requestOf("p1"), { time: at.time() }));
  expect(at.hub).toMatchObject({ state: "up", silent: false, lateAnswers: 1 });
  expect(await lost.ended).toBe("uplink.timeout");
});

test("a link that comes back says nothing of the hub: it is asked at once, and believed when it is heard", async () => {
  await using at = stand();
  await at.clock.advance(0);
  at.living.hub = false;
  const lost = await at.sell();
  await at.clock.advance(5_000);
  expect(await lost.ended).toBe("uplink.timeout");
  at.uplink.set("down", "the broker went too");
  expect(at.hub).toMatchObject({ state: "down", silent: false });
  await at.clock.advance(60_000);
  at.uplink.set("up", "a broker is back");
  await at.clock.advance(0);
  expect(at.hub).toMatchObject({ state: "down", silent: true });
  at.living.hub = true;
  at.uplink.set("down", "to another broker");
  at.uplink.set("up", "to another broker");
  await at.clock.advance(0);
  expect(at.hub).toMatchObject({ state: "up", silent: false });
  expect(at.states).toEqual(["down", "up"]);
});

const Step = fc.oneof(
  fc.constant({ do: "sell" } as const),
  fc.record({ do: fc.constant("live" as const), hub: fc.boolean() }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 12_000 }) }),
);

test("however the hub comes and goes, it costs one wait at a time, and a minute after it is back sales are online", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(Step, { maxLength: 30 }), async (steps) => {
      await using at = stand();
      await at.clock.advance(0);
      for (const step of steps) {
        if (step.do === "live") at.living.hub = step.hub;
        else if (step.do === "wait") await at.clock.advance(step.ms);
        else {
          const wasSilent = at.hub.silent;
          const sent = at.uplink.requests().length;
          const { ended } = await at.sell();
          await at.clock.advance(5_000);
          const expected = wasSilent ? "uplink.down" : at.living.hub ? "fulfilled" : "uplink.timeout";
          expect(await ended).toBe(expected);
          expect(at.uplink.requests()).toHaveLength(wasSilent ? sent : sent + 1);
          // Nobody waits for a hub twice: after a sale there was an answer, or silence is known.
          if (!wasSilent) expect(at.hub.silent).toBe(!at.living.hub);
        }
      }
      at.living.hub = true;
      await at.clock.advance(60_000);
      expect(at.hub.state).toBe("up");
      expect(await (await at.sell()).ended).toBe("fulfilled");
    }),
  );
});
