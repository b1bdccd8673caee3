/** RM1 at the hub: whatever the order in which request, answer, reversal, advice and void arrive, one outcome and one posting. */
import { expect, test } from "vitest";
import type { HubCore } from "../../hub/hub-core.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import type { AuthorisationResponse } from "../../wire/authorisation.ts";
import { type HubFixture, hubFixture } from "./hub-fixture.ts";

const PAYMENT = "sale-1";
const PRICE = 1_000n;

type Step = "request-1" | "request-2" | "reversal-1" | "advice" | "void";
const STEPS: readonly Step[] = ["request-1", "request-2", "reversal-1", "advice", "void"];

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) =>
    permutations(items.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
  );
}
function subsets<T>(items: readonly T[]): T[][] {
  const [first, ...rest] = items;
  if (first === undefined) return [[]];
  return subsets(rest).flatMap((subset) => [subset, [first, ...subset]]);
}

type Outcome = AuthorisationResponse | EntryReceipt;

/** One payment in a hub that many orders share; each step's message is made once, so that a repeat is the same to the byte. */
function stepsOf({ terminal }: HubFixture, paymentId: string): (step: Step) => Promise<Outcome> {
  const requests = {
    "request-1": terminal.request(paymentId, { attempt: 1 }),
    "request-2": terminal.request(paymentId, { attempt: 2 }),
  };
  const entries = {
    "reversal-1": terminal.entry(terminal.reversal(paymentId, 1)),
    advice: terminal.advice(paymentId, { attempts: [1, 2] }),
    void: terminal.entry(terminal.voided(paymentId, 2)),
  };
  return async (step) => {
    if (step === "request-1" || step === "request-2") return terminal.ask(requests[step]);
    const [receipt] = await terminal.tell(entries[step]);
    if (!receipt) throw new Error("no receipt");
    return receipt;
  };
}

const accountOf = ({ store, ledger }: HubCore, id: string) => store.read((reading) => ledger.account(reading, id));
const transactionsOf = ({ store, authorisation }: HubCore, filter: { paymentId?: string; limit: number }) =>
  store.read((reading) => authorisation.transactions(reading, { ...filter, afterNumber: 0 }));

const balances = ({ hub: { store, ledger }, customer, merchant }: HubFixture) =>
  store.read(async (reading) => {
    const accounts = await ledger.accounts(reading, { limit: 100 });
    const payer = await ledger.account(reading, customer);
    const payee = await ledger.account(reading, merchant);
    return {
      debited: payer?.debitsPosted ?? 0n,
      held: payer?.debitsPending ?? 0n,
      credited: payee?.creditsPosted ?? 0n,
      posted: accounts.reduce((sum, a) => sum + a.creditsPosted - a.debitsPosted, 0n),
      pending: accounts.reduce((sum, a) => sum + a.creditsPending - a.debitsPending, 0n),
    };
  });

/** The first answer again; or a refusal, once the attempt no longer stands. Never an approval after a refusal. */
function expectSameAnswer(before: Outcome, again: Outcome): void {
  if ("outcome" in again && "outcome" in before) {
    if (before.outcome === "declined") expect(again).toMatchObject({ outcome: "declined", reason: before.reason });
    if (again.outcome === "approved") expect(again.approvalCode).toBe(before.approvalCode);
    else expect(again.reason).toBe("E_STATE");
  }
  if ("status" in again && "status" in before) {
    expect(again.status).toBe(before.status === "processed" ? "duplicate" : before.status);
  }
}

/** `advice` or `void`, whichever came first, decides; nothing else can. */
function expectedState(order: readonly Step[]): "confirmed" | "voided" | "open" {
  const first = order.find((step) => step === "advice" || step === "void");
  if (first === undefined) return "open";
  return first === "advice" ? "confirmed" : "voided";
}

async function checkOrder(fixture: HubFixture, paymentId: string, order: readonly Step[]): Promise<void> {
  const perform = stepsOf(fixture, paymentId);
  const start = await balances(fixture);
  const first = new Map<Step, Outcome>();
  for (const [index, step] of order.entries()) {
    const outcome = await perform(step);
    const before = first.get(step);
    if (before) expectSameAnswer(before, outcome);
    else first.set(step, outcome);

    const [transaction] = await transactionsOf(fixture.hub, { paymentId, limit: 2 });
    const state = expectedState(order.slice(0, index + 1));
    expect(transaction?.payment.state).toBe(state);
    expect(transaction?.postings).toBe(state === "confirmed" ? 1 : 0);
    const now = await balances(fixture);
    expect([now.posted, now.pending]).toEqual([0n, 0n]);
    expect(now.credited - start.credited).toBe(state === "confirmed" ? PRICE : 0n);
    expect(now.debited - start.debited).toBe(now.credited - start.credited);
    expect(now.held - start.held).toBeLessThanOrEqual(state === "open" ? PRICE : 0n);
  }
}

async function checkOrders(orders: readonly (readonly Step[])[]): Promise<void> {
  const fixture = await hubFixture({ balanceMinor: 10_000_000n });
  for (const [index, order] of orders.entries()) await checkOrder(fixture, `sale-${index}`, order);
}

test("RM1 every order of two requests, reversal, advice and void, each any subset, ends in one outcome", async () => {
  await checkOrders(subsets(STEPS).flatMap(permutations));
}, 60_000);

test("RM1 every order with one message repeated at the end ends in the same outcome", async () => {
  await checkOrders(permutations(STEPS).flatMap((order) => STEPS.map((again) => [...order, again])));
}, 60_000);

test("RM1 every order with every message sent twice in a row, or the whole order sent twice, ends in the same outcome", async () => {
  await checkOrders(
    permutations(STEPS).flatMap((order) => [order.flatMap((step) => [step, step]), [...order, ...order]]),
  );
}, 60_000);

test("RM1 an advice confirms the attempt that the hub authorised, by posting its hold", async () => {
  const { hub, terminal } = await hubFixture();
  expect((await terminal.ask(terminal.request(PAYMENT))).outcome).toBe("approved");
  await terminal.tell(terminal.advice(PAYMENT, { attempts: [1] }));
  const [transaction] = await transactionsOf(hub, { limit: 1 });
  expect(transaction?.transfers.map((transfer) => transfer.kind)).toEqual(["pending", "post-pending"]);
  expect(transaction?.attempts.map((attempt) => attempt.state)).toEqual(["posted"]);
});

test("RM1 an advice that the hub never authorised posts directly", async () => {
  const { hub, terminal, customer } = await hubFixture();
  expect(await terminal.tell(terminal.advice(PAYMENT))).toMatchObject([{ status: "processed", paymentId: PAYMENT }]);
  expect((await accountOf(hub, customer))?.debitsPosted).toBe(1_000n);
});

test("RM1 a reversal of an unknown attempt refuses the late original, and only that attempt", async () => {
  const { terminal } = await hubFixture();
  await terminal.tell(terminal.entry(terminal.reversal(PAYMENT, 1)));
  expect(await terminal.ask(terminal.request(PAYMENT))).toMatchObject({ outcome: "declined", reason: "E_STATE" });
  expect((await terminal.ask(terminal.request(PAYMENT, { attempt: 2 }))).outcome).toBe("approved");
});

test("RM1 a reversal after the confirmation is refused and named", async () => {
  const { hub, terminal, merchant } = await hubFixture();
  await terminal.ask(terminal.request(PAYMENT));
  await terminal.tell(terminal.advice(PAYMENT, { attempts: [1] }));
  const [receipt] = await terminal.tell(terminal.entry(terminal.reversal(PAYMENT, 1)));
  expect(receipt).toMatchObject({ status: "declined", reason: "E_STATE" });
  expect(receipt?.detail).toContain("confirmed");
  expect((await accountOf(hub, merchant))?.creditsPosted).toBe(1_000n);
});

test("RM1 an approval given offline after the hub's decline is posted, at the risk of the party that is configured", async () => {
  const { hub, terminal, customer } = await hubFixture({ balanceMinor: 300n });
  expect(await terminal.ask(terminal.request(PAYMENT))).toMatchObject({ outcome: "declined", responseCode: "51" });
  expect(await terminal.tell(terminal.advice(PAYMENT))).toMatchObject([{ status: "processed" }]);
  expect((await accountOf(hub, customer))?.debitsPosted).toBe(300n);
  expect((await accountOf(hub, "exposure:merchant:EUR"))?.debitsPosted).toBe(700n);
});
