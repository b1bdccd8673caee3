/** RM1 at the hub: whatever the order in which request, answer, reversal, advice and void arrive, one outcome and one posting. */
import { expect, test } from "vitest";
import type { EntryReceipt } from "../../wire/advice.ts";
import type { AuthorisationResponse } from "../../wire/authorisation.ts";
import { type HubFixture, hubFixture } from "./hub-fixture.ts";

const PAYMENT = "sale-1";
const BALANCE = 10_000n;
const PRICE = 1_000n;

type Step = "request-1" | "request-2" | "reversal-1" | "advice" | "void";
const STEPS: readonly Step[] = ["request-1", "request-2", "reversal-1", "advice", "void"];

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) =>
    permutations(items.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
  );
}
const subsets = <T>(items: readonly T[]): T[][] =>
  items.reduce<T[][]>((all, item) => [...all, ...all.map((subset) => [...subset, item])], [[]]);

type Outcome = AuthorisationResponse | EntryReceipt;

/** One world per order: each step's message is made once, so that a repeat is byte for byte the same. */
function world() {
  const fixture = hubFixture({ balanceMinor: BALANCE });
  const { terminal } = fixture;
  const requests = [terminal.request(PAYMENT, { attempt: 1 }), terminal.request(PAYMENT, { attempt: 2 })];
  const entries = {
    "reversal-1": terminal.entry(terminal.reversal(PAYMENT, 1)),
    advice: terminal.advice(PAYMENT, { attempts: [1, 2] }),
    void: terminal.entry(terminal.voided(PAYMENT, 2)),
  };
  async function perform(step: Step): Promise<Outcome> {
    if (step === "request-1" || step === "request-2") {
      const request = requests[step === "request-1" ? 0 : 1];
      if (!request) throw new Error("no request");
      return terminal.ask(request);
    }
    const [receipt] = await terminal.tell(entries[step]);
    if (!receipt) throw new Error("no receipt");
    return receipt;
  }
  return { fixture, perform };
}

function facts({ hub, customer, merchant }: HubFixture) {
  const [transaction] = hub.authorisation.transactions({ afterNumber: 0, limit: 10 });
  const paid = hub.ledger.account(customer);
  const got = hub.ledger.account(merchant);
  const accounts = hub.ledger.accounts({ limit: 100 });
  return {
    transaction,
    customerDebits: paid?.debitsPosted ?? 0n,
    customerHeld: paid?.debitsPending ?? 0n,
    merchantCredits: got?.creditsPosted ?? 0n,
    posted: accounts.reduce((sum, a) => sum + a.creditsPosted - a.debitsPosted, 0n),
    pending: accounts.reduce((sum, a) => sum + a.creditsPending - a.debitsPending, 0n),
  };
}

async function checkOrder(order: readonly Step[]): Promise<void> {
  const { fixture, perform } = world();
  const first = new Map<Step, Outcome>();
  let final: string | undefined;
  for (const step of order) {
    const outcome = await perform(step);
    const before = first.get(step);
    if (before && "outcome" in outcome && "outcome" in before) {
      // The first answer again, or a refusal that says the attempt no longer stands; never an approval after a refusal.
      if (outcome.outcome === "approved") expect(before.outcome).toBe("approved");
      if (outcome.outcome === "approved") expect(outcome.approvalCode).toBe(before.approvalCode);
    }
    if (before && "status" in outcome && "status" in before) {
      expect(outcome.status).toBe(before.status === "processed" ? "duplicate" : before.status);
    }
    if (!before) first.set(step, outcome);

    const now = facts(fixture);
    const state = now.transaction?.payment.state;
    if (final !== undefined) expect(state).toBe(final);
    else if (state === "confirmed" || state === "voided") final = state;
    expect(now.posted).toBe(0n);
    expect(now.pending).toBe(0n);
    expect(now.transaction?.postings ?? 0).toBeLessThanOrEqual(1);
    expect(now.merchantCredits).toBe(state === "confirmed" ? PRICE : 0n);
    expect(now.customerDebits).toBe(now.merchantCredits);
    expect(now.customerHeld).toBeLessThanOrEqual(PRICE);
    if (final !== undefined) expect(now.customerHeld).toBe(0n);
  }
  const advised = order.indexOf("advice");
  const voided = order.indexOf("void");
  const expected = [advised, voided].filter((at) => at >= 0).sort((a, b) => a - b)[0];
  if (expected !== undefined) expect(final).toBe(expected === advised ? "confirmed" : "voided");
  else expect(final).toBeUndefined();
}

test("RM1 every order of two requests, reversal, advice and void, each any subset, ends in one outcome", async () => {
  for (const subset of subsets(STEPS)) for (const order of permutations(subset)) await checkOrder(order);
}, 60_000);

test("RM1 every order with one message repeated at the end ends in the same outcome", async () => {
  for (const order of permutations(STEPS)) for (const again of STEPS) await checkOrder([...order, again]);
}, 60_000);

test("RM1 every order with every message sent twice in a row, or the whole order sent twice, ends in the same outcome", async () => {
  for (const order of permutations(STEPS)) {
    await checkOrder(order.flatMap((step) => [step, step]));
    await checkOrder([...order, ...order]);
  }
}, 60_000);

test("RM1 an advice confirms the attempt that the hub authorised, by posting its hold", async () => {
  const { hub, terminal } = hubFixture();
  expect((await terminal.ask(terminal.request(PAYMENT))).outcome).toBe("approved");
  await terminal.tell(terminal.advice(PAYMENT, { attempts: [1] }));
  const [transaction] = hub.authorisation.transactions({ afterNumber: 0, limit: 1 });
  expect(transaction?.transfers.map((transfer) => transfer.kind)).toEqual(["pending", "post-pending"]);
  expect(transaction?.attempts.map((attempt) => attempt.state)).toEqual(["posted"]);
});

test("RM1 an advice that the hub never authorised posts directly", async () => {
  const { hub, terminal, customer } = hubFixture();
  expect(await terminal.tell(terminal.advice(PAYMENT))).toMatchObject([{ status: "processed", paymentId: PAYMENT }]);
  expect(hub.ledger.account(customer)?.debitsPosted).toBe(1_000n);
});

test("RM1 a reversal of an unknown attempt refuses the late original, and only that attempt", async () => {
  const { terminal } = hubFixture();
  await terminal.tell(terminal.entry(terminal.reversal(PAYMENT, 1)));
  expect(await terminal.ask(terminal.request(PAYMENT))).toMatchObject({ outcome: "declined", reason: "E_STATE" });
  expect((await terminal.ask(terminal.request(PAYMENT, { attempt: 2 }))).outcome).toBe("approved");
});

test("RM1 a reversal after the confirmation is refused and named", async () => {
  const { hub, terminal, merchant } = hubFixture();
  await terminal.ask(terminal.request(PAYMENT));
  await terminal.tell(terminal.advice(PAYMENT, { attempts: [1] }));
  const [receipt] = await terminal.tell(terminal.entry(terminal.reversal(PAYMENT, 1)));
  expect(receipt).toMatchObject({ status: "declined", reason: "E_STATE" });
  expect(receipt?.detail).toContain("confirmed");
  expect(hub.ledger.account(merchant)?.creditsPosted).toBe(1_000n);
});

test("RM1 an approval given offline after the hub's decline is posted, at the risk of the party that is configured", async () => {
  const { hub, terminal, customer } = hubFixture({ balanceMinor: 300n });
  expect(await terminal.ask(terminal.request(PAYMENT))).toMatchObject({ outcome: "declined", responseCode: "51" });
  expect(await terminal.tell(terminal.advice(PAYMENT))).toMatchObject([{ status: "processed" }]);
  expect(hub.ledger.account(customer)?.debitsPosted).toBe(300n);
  expect(hub.ledger.account("exposure:merchant:EUR")?.debitsPosted).toBe(700n);
});
