/** A batch is a way to send entries, not a thing of its own: whatever is sent together ends as if it had come one by one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import type { ForwardedEntry } from "../../wire/advice.ts";
import { breakSale } from "./broken-sale.ts";
import { type FakeTerminal, type HubFixture, hubFixture } from "./hub-fixture.ts";

/** Few payments, so that entries of one meet; amounts that soon exceed the account. */
const step = fc.record({
  what: fc.constantFrom(
    "advice",
    "advice",
    "advice",
    "reversal",
    "void",
    "refund",
    "deferred",
    "unknown card",
    "broken",
  ),
  payment: fc.integer({ min: 1, max: 4 }).map((n) => `sale-${n}`),
  minor: fc.constantFrom("1000", "1000", "1000", "7000"),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const steps = fc.array(step, { minLength: 1, maxLength: 12, size: "max" });
/** Asked online before the entries come. */
const asked = fc.uniqueArray(fc.constantFrom("sale-1", "sale-2"), { maxLength: 2 });

function entryOf(terminal: FakeTerminal, { what, payment, minor }: Step): ForwardedEntry {
  const amount = { minor, currency: terminal.decision(payment).amount.currency };
  switch (what) {
    case "advice":
      return terminal.advice(payment, { amount });
    case "deferred":
      return terminal.advice(payment, { amount, deferred: true });
    case "reversal":
      return terminal.entry(terminal.reversal(payment));
    case "void":
      return terminal.entry(terminal.voided(payment, 1));
    case "refund":
      return terminal.entry(terminal.decision(payment, { amount, operation: "refund", mode: "online" }));
    case "unknown card":
      return terminal.entry(terminal.decision(payment, { amount }), {
        sealed: terminal.seal(payment, "9999990000000999"),
      });
    case "broken":
      return { ...terminal.entry(terminal.decision(payment, { amount })), text: "{}" };
  }
}

/** All that matters, but for the codes that are drawn by chance. */
const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}n` : part), 1).replace(
    /(approvalCode\W+)\w{6}/g,
    "$1",
  );
const outcomeOf = ({ hub }: HubFixture) =>
  hub.store.read(async (reading) => ({
    accounts: await hub.ledger.accounts(reading, { limit: 100 }),
    payments: await hub.authorisation.transactions(reading, { afterNumber: 0, limit: 100 }),
    epochs: await hub.ingest.epochs(reading, "T1"),
  }));

async function play(online: readonly string[], history: readonly Step[], size: number) {
  const fixture = await hubFixture({ seed: "batches" });
  fixture.deferring = true;
  const { terminal, hub } = fixture;
  for (const id of online) await terminal.ask(terminal.request(id));
  await hub.receive(terminal.request("sale-3", { kind: "refund", originalPaymentId: "sale-1" as PaymentId }));
  const entries = history.map((next) => entryOf(terminal, next));
  const results = [];
  for (let at = 0; at < entries.length; at += size)
    results.push(...(await terminal.tell(...entries.slice(at, at + size))));
  return {
    results: results.map(({ status, reason, detail }) => ({ status, reason, detail })),
    ...(await outcomeOf(fixture)),
  };
}

test("RM1 entries in one batch end as they do one by one: receipts, payments, transfers, balances and numbers", async () => {
  await fc.assert(
    fc.asyncProperty(asked, steps, fc.integer({ min: 2, max: 12 }), async (online, history, size) => {
      const [together, alone] = [await play(online, history, size), await play(online, history, 1)];
      expect(textOf(together)).toBe(textOf(alone));
    }),
    { numRuns: 60 },
  );
});

test("a batch with an entry that breaks the hub ends as its entries do one by one", async () => {
  const told = async (size: number) => {
    const fixture = await hubFixture({ seed: "broken" });
    await breakSale(fixture.hub.store);
    const { terminal } = fixture;
    const entries = [1, 2, 3, 4, 5].map((n) => terminal.advice(`sale-${n}`, { amount: terminal.decision("x").amount }));
    const results = [];
    for (let at = 0; at < 5; at += size) results.push(...(await terminal.tell(...entries.slice(at, at + size))));
    return { statuses: results.map(({ status }) => status), ...(await outcomeOf(fixture)) };
  };
  const together = await told(5);
  expect(together).toEqual(await told(1));
  expect(together.statuses).toEqual(["processed", "processed", "quarantined", "processed", "processed"]);
});
