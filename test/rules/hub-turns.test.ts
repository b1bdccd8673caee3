/** Messages that come in one turn share one commit, and in it the books in memory: each ends as if it had come alone. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { PaymentId, TerminalId } from "../../base/ids.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import { type HubFixture, hubFixture } from "./hub-fixture.ts";
import { cardFacts } from "./issuer-fixture.ts";

/** Few payments, so that messages of one meet; amounts that soon exceed the account. */
const step = fc.record({
  what: fc.constantFrom(
    ...["purchase", "purchase", "purchase", "second attempt", "late", "unknown card", "refund", "presence"],
    ...["tip", "tip", "foreign"],
  ),
  payment: fc.integer({ min: 1, max: 4 }).map((n) => `sale-${n}`),
  minor: fc.constantFrom("1000", "1000", "1000", "4000", "7000"),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const turns = fc.array(fc.array(step, { minLength: 1, maxLength: 8, size: "max" }), { minLength: 1, maxLength: 4 });

function messageOf({ terminal, clock }: HubFixture, { what, payment, minor }: Step): UpEnvelope {
  const amount = { minor, currency: terminal.decision(payment).amount.currency };
  switch (what) {
    case "second attempt":
      return terminal.request(payment, { amount, attempt: 2 });
    case "late":
      return terminal.request(payment, { amount, answerBy: new Date(clock.now() - 1).toISOString() });
    case "unknown card":
      return terminal.request(payment, { amount, card: terminal.seal(payment, "9999990000000999") });
    case "refund":
      return terminal.request(`of-${payment}`, { amount, kind: "refund", originalPaymentId: payment as PaymentId });
    case "tip": {
      const tip = { ...amount, minor: minor.slice(0, -1) };
      const originalPaymentId = "sale-1" as PaymentId;
      return terminal.request(`on-${payment}`, { amount: tip, kind: "tip", originalPaymentId });
    }
    case "presence":
      return {
        ...terminal.head(),
        type: "presence",
        body: { status: "online", version: "1", clock: "2026-01-05T00:00:00Z" },
      };
    // Of a terminal that was never enrolled, which breaks what is applied together.
    case "foreign":
      return { ...terminal.request(payment, { amount }), terminalId: "T9" as TerminalId };
    default:
      return terminal.request(payment, { amount });
  }
}

/** All that matters, but for what is drawn by chance. */
const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}n` : part), 1).replace(
    /(approvalCode\W+)\w{6}/g,
    "$1",
  );

async function play(history: readonly (readonly Step[])[], together: boolean) {
  const fixture = await hubFixture({ seed: "turns" });
  const { hub, terminal, clock } = fixture;
  await terminal.tell(terminal.advice("sale-1", { card: cardFacts("00") }));
  const ends: unknown[] = [];
  const send = async (envelope: UpEnvelope) => {
    const [answer] = await hub.receive(envelope);
    return answer?.type === "authorisation.response" ? { ...answer.body, time: "" } : answer?.type;
  };
  for (const turn of history) {
    const messages = turn.map((next) => messageOf(fixture, next));
    const settled: PromiseSettledResult<unknown>[] = [];
    if (together) settled.push(...(await Promise.allSettled(messages.map(send))));
    else for (const message of messages) settled.push(...(await Promise.allSettled([send(message)])));
    ends.push(settled.map((end) => (end.status === "fulfilled" ? end.value : String(end.reason))));
    await clock.advance(1_000);
  }
  const books = await hub.store.read(async (reading) => ({
    accounts: await hub.ledger.accounts(reading, { limit: 100 }),
    payments: await hub.authorisation.transactions(reading, { afterNumber: 0, limit: 100 }),
    terminals: await hub.terminals.list(reading, { after: "", limit: 10 }),
  }));
  return textOf({ ends, books });
}

test("RM1 requests of one turn end as they do one by one: answers, payments, transfers and balances", async () => {
  await fc.assert(
    fc.asyncProperty(turns, async (history) => {
      expect(await play(history, true)).toBe(await play(history, false));
    }),
    { numRuns: 40 },
  );
});
