/** RM9 at the hub: an ARQC that comes after the goods are gone is a request, decided as one, and its refusal is the merchant's loss. */
import Fastify, { type FastifyInstance } from "fastify";
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { registerAuthorisationRoutes } from "../../hub/core/authorisation/index.ts";
import type { ForwardedEntry } from "../../wire/advice.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { type Lease, LeaseSchema } from "../../wire/lease.ts";
import { parseJson } from "../../wire/signing.ts";
import { type HubFixture, hubFixture } from "./hub-fixture.ts";
import { cardFacts, iccData, RANGE } from "./issuer-fixture.ts";

async function deferringHub(options: { readonly balanceMinor?: bigint; readonly issuing?: (typeof RANGE)[] } = {}) {
  const fixture = await hubFixture(options);
  fixture.deferring = true;
  return fixture;
}

async function leaseFrom({ hub, terminal: { terminalId, epoch } }: HubFixture): Promise<Lease> {
  const lease = await hub.store.transaction((within) => hub.terminals.grantLease(within, terminalId, epoch));
  return LeaseSchema.parse(parseJson(lease?.text ?? ""));
}
const accountOf = ({ hub }: HubFixture, id: string) => hub.store.read((reading) => hub.ledger.account(reading, id));
async function balances(fixture: HubFixture) {
  const customer = await accountOf(fixture, fixture.customer);
  const merchant = await accountOf(fixture, fixture.merchant);
  return {
    customer: customer?.debitsPosted,
    held: customer?.debitsPending,
    merchant: merchant?.creditsPosted ?? 0n,
  };
}
const UNTOUCHED = { customer: 0n, held: 0n, merchant: 0n };
async function viewOf({ hub }: HubFixture, paymentId: string) {
  const filter = { paymentId, afterNumber: 0, limit: 1 };
  const [view] = await hub.store.read((reading) => hub.authorisation.transactions(reading, filter));
  if (!view) throw new Error(`nothing is known of ${paymentId}`);
  return view;
}
const deferred = ({ terminal }: HubFixture, id: string, changes: Partial<EntryOf<"decision">> = {}) =>
  terminal.advice(id, { deferred: true, card: cardFacts("", "ARQC"), ...changes });

test("RM9 a late request that is good is approved and posted once, and the report marks it", async () => {
  const fixture = await deferringHub();
  expect(await fixture.terminal.tell(deferred(fixture, "sale-1"))).toMatchObject([{ status: "processed" }]);
  expect(await balances(fixture)).toEqual({ customer: 1_000n, held: 0n, merchant: 1_000n });
  const view = await viewOf(fixture, "sale-1");
  expect(view).toMatchObject({
    status: "confirmed",
    postings: 1,
    payment: { deferred: true, mode: "offline", maskedPan: "999999******0015", businessDate: "2026-01-05" },
  });
  expect(view.payment.approvalCode).toMatch(/^[0-9A-Z]{6}$/);
  expect(view.merchantLoss).toBeUndefined();
});

test("RM9 without funds nothing is posted, nothing is exposure, and the receipt and the report name the merchant's loss", async () => {
  const fixture = await deferringHub({ balanceMinor: 999n });
  expect(await fixture.terminal.tell(deferred(fixture, "sale-1"))).toMatchObject([
    { status: "declined", reason: "E_LIMIT", detail: "at the merchant's risk: the account's funds do not suffice" },
  ]);
  expect(await balances(fixture)).toEqual(UNTOUCHED);
  expect(await accountOf(fixture, "exposure:operator:EUR")).toBeUndefined();
  expect(await viewOf(fixture, "sale-1")).toMatchObject({
    status: "declined",
    postedMinor: 0n,
    payment: { deferred: true, mode: "offline", maskedPan: "999999******0015" },
    merchantLoss: { minor: 1_000n, reason: "E_LIMIT", detail: "the account's funds do not suffice" },
  });
});

test("RM9 the operator's list marks what was deferred, and names the merchant's loss with its reason", async () => {
  const fixture = await deferringHub({ balanceMinor: 1_500n });
  const { terminal } = fixture;
  await terminal.tell(deferred(fixture, "good"), deferred(fixture, "refused"), terminal.advice("ordinary"));
  await using app = Fastify() as unknown as FastifyInstance;
  registerAuthorisationRoutes(app, fixture.hub);
  const { transactions } = (await app.inject("/v1/transactions")).json<{ transactions: Record<string, unknown>[] }>();
  const [good, refused, ordinary] = transactions;
  expect(good).toMatchObject({ paymentId: "good", status: "confirmed", deferred: true, postedMinor: "1000" });
  expect(refused).toMatchObject({
    paymentId: "refused",
    status: "declined",
    deferred: true,
    postedMinor: "0",
    merchantLoss: { minor: "1000", reason: "E_LIMIT", detail: "the account's funds do not suffice" },
  });
  expect(ordinary).not.toHaveProperty("deferred");
  for (const paid of [good, ordinary]) expect(paid).not.toHaveProperty("merchantLoss");
});

test("RM9 the ARQC is checked: a wrong one, one of another amount, a TC or none at all is refused and posts nothing", async () => {
  const fixture = await deferringHub({ issuing: [RANGE] });
  const tell = (id: string, data: string, changes: Partial<EntryOf<"decision">> = {}) =>
    fixture.terminal.tell(deferred(fixture, id, { card: cardFacts(data, "ARQC"), ...changes }));
  const refused = (reason: string) => [{ status: "declined", reason }];
  expect(await tell("wrong", iccData(1, "ARQC", { "9F26": "00".repeat(8) }))).toMatchObject(refused("E_DENIED"));
  const more = { minor: "9000", currency: fixture.terminal.decision("x").amount.currency };
  expect(await tell("more", iccData(2), { amount: more })).toMatchObject(refused("E_DENIED"));
  expect(await tell("approval", iccData(3, "TC"))).toMatchObject(refused("E_DENIED"));
  expect(await tell("none", "")).toMatchObject(refused("E_FORMAT"));
  expect(await balances(fixture)).toEqual(UNTOUCHED);
  expect((await viewOf(fixture, "wrong")).payment.cryptogram).toBe("failed");
  expect(await tell("right", iccData(4))).toMatchObject([{ status: "processed" }]);
  expect((await viewOf(fixture, "right")).payment.cryptogram).toBe("held");
  expect(await balances(fixture)).toEqual({ customer: 1_000n, held: 0n, merchant: 1_000n });
});

test("RM9 a cryptogram that was good for one sale is refused for a second", async () => {
  const fixture = await deferringHub({ issuing: [RANGE] });
  const card = cardFacts(iccData(7), "ARQC");
  expect(await fixture.terminal.tell(deferred(fixture, "sale-1", { card }))).toMatchObject([{ status: "processed" }]);
  expect(await fixture.terminal.tell(deferred(fixture, "sale-2", { card }))).toMatchObject([
    { status: "declined", reason: "E_DENIED", detail: expect.stringContaining("another payment") },
  ]);
  expect((await balances(fixture)).merchant).toBe(1_000n);
});

test("RM9 a card without an account, and a sale without card data, are refused", async () => {
  const fixture = await deferringHub();
  const { terminal } = fixture;
  const body = (id: string) => terminal.decision(id, { deferred: true });
  const unknown = terminal.entry(body("unknown"), { sealed: terminal.seal("unknown", "9999990000000023") });
  expect(await terminal.tell(unknown)).toMatchObject([{ status: "declined", reason: "E_UNKNOWN" }]);
  expect(await terminal.tell(terminal.entry(body("bare")))).toMatchObject([{ status: "declined", reason: "E_FORMAT" }]);
  const elsewhere = terminal.entry(body("elsewhere"), { sealed: terminal.seal("another-payment") });
  expect(await terminal.tell(elsewhere)).toMatchObject([{ status: "quarantined", reason: "E_FORMAT" }]);
});

test("RM1 RM9 a repeat gets the first answer, also when funds have come in between or the entry is another one", async () => {
  const fixture = await deferringHub({ balanceMinor: 1_500n });
  const { terminal } = fixture;
  const [first, second] = [deferred(fixture, "sale-1"), deferred(fixture, "sale-2")];
  expect(await terminal.tell(first, second)).toMatchObject([{ status: "processed" }, { status: "declined" }]);
  expect(await terminal.tell(first, second)).toMatchObject([
    { status: "duplicate" },
    { status: "declined", reason: "E_LIMIT", detail: expect.stringContaining("merchant's risk") },
  ]);
  expect(
    (await terminal.ask(terminal.request("refund-1", { kind: "refund", originalPaymentId: id("sale-1") }))).outcome,
  ).toBe("approved");
  await terminal.tell(
    terminal.entry(terminal.decision("refund-1", { operation: "refund", mode: "online", attempts: [1] })),
  );
  expect(await terminal.tell(deferred(fixture, "sale-1"), deferred(fixture, "sale-2"))).toMatchObject([
    { status: "duplicate" },
    { status: "declined", reason: "E_LIMIT" },
  ]);
  expect((await viewOf(fixture, "sale-2")).attempts).toHaveLength(1);
});
const id = (text: string) => text as PaymentId;

test("RM9 a terminal whose lease never permitted it is refused", async () => {
  const fixture = await hubFixture();
  const { leaseId } = await leaseFrom(fixture);
  const denied = { status: "declined", reason: "E_DENIED", detail: expect.stringContaining("lease does not permit") };
  const told = await fixture.terminal.tell(
    deferred(fixture, "sale-1", { leaseId }),
    deferred(fixture, "sale-2"),
    deferred(fixture, "sale-3", { leaseId: "T2-1" }),
  );
  expect(told).toMatchObject([denied, denied, denied]);
  expect(await balances(fixture)).toEqual(UNTOUCHED);
  expect(await viewOf(fixture, "sale-1")).toMatchObject({ status: "declined", merchantLoss: { minor: 1_000n } });
  fixture.deferring = true;
  expect(await fixture.terminal.tell(deferred(fixture, "sale-1", { leaseId }))).toMatchObject([denied]);
});

test("RM9 what the lease permitted when it was given is honoured after the policy has changed, and only for that lease", async () => {
  const fixture = await hubFixture();
  const { terminal } = fixture;
  const before = await leaseFrom(fixture);
  fixture.deferring = true;
  const during = [await leaseFrom(fixture), await leaseFrom(fixture)];
  fixture.deferring = false;
  const after = await leaseFrom(fixture);
  expect([before, ...during, after].map((lease) => lease.deferredAuthorisation)).toEqual([false, true, true, false]);
  const told = await terminal.tell(
    ...[before, ...during, after].map(({ leaseId }) => deferred(fixture, `under-${leaseId}`, { leaseId })),
  );
  expect(told.map(({ status }) => status)).toEqual(["declined", "processed", "processed", "declined"]);
});

test("RM9 a policy that permits it today lets a lease pass that this hub does not know, as after a restore", async () => {
  const fixture = await deferringHub();
  expect(await fixture.terminal.tell(deferred(fixture, "sale-1", { leaseId: "T1-77" }))).toMatchObject([
    { status: "processed" },
  ]);
});

test("RM12 a deferred sale is refunded like another; a refused one has nothing to refund; a voided one is never asked for", async () => {
  const fixture = await deferringHub({ balanceMinor: 1_500n });
  const { terminal } = fixture;
  await terminal.tell(deferred(fixture, "good"), deferred(fixture, "refused"));
  const refund = (name: string, original: string) =>
    terminal.ask(terminal.request(name, { kind: "refund", originalPaymentId: id(original) }));
  expect((await refund("r-1", "good")).outcome).toBe("approved");
  expect(await refund("r-2", "refused")).toMatchObject({ outcome: "declined", reason: "E_UNKNOWN" });
  expect(await terminal.tell(terminal.entry(terminal.voided("taken-back", 3)))).toMatchObject([
    { status: "processed" },
  ]);
  expect(await terminal.tell(deferred(fixture, "taken-back"))).toMatchObject([
    { status: "declined", reason: "E_STATE" },
  ]);
  expect((await viewOf(fixture, "taken-back")).status).toBe("voided");
});

test("RM1 a reversal does not touch a deferred sale that stands, and an online request under its id is refused", async () => {
  const fixture = await deferringHub({ balanceMinor: 1_500n });
  const { terminal } = fixture;
  await terminal.tell(deferred(fixture, "good"), deferred(fixture, "refused"));
  expect(await terminal.tell(terminal.entry(terminal.reversal("good")))).toMatchObject([{ status: "declined" }]);
  for (const name of ["good", "refused"])
    expect(await terminal.ask(terminal.request(name))).toMatchObject({ outcome: "declined", reason: "E_STATE" });
  expect(await balances(fixture)).toEqual({ customer: 1_000n, held: 0n, merchant: 1_000n });
});

function ordersOf<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) => ordersOf(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}

test("RM1 RM9 every order of online request, reversal, void and deferred entry ends in one outcome, and repeats change nothing", async () => {
  const orders = ordersOf(["request", "reversal", "void", "deferred"] as const);
  expect(orders).toHaveLength(24);
  for (const order of orders) {
    const fixture = await deferringHub();
    const { terminal } = fixture;
    const entries = new Map<string, ForwardedEntry>();
    const make = (kind: "reversal" | "void" | "deferred") => {
      if (kind === "deferred") return deferred(fixture, "sale-1");
      return terminal.entry(kind === "reversal" ? terminal.reversal("sale-1") : terminal.voided("sale-1", 9));
    };
    for (const kind of [...order, ...order]) {
      if (kind === "request") await terminal.ask(terminal.request("sale-1"));
      else {
        const entry = entries.get(kind) ?? make(kind);
        entries.set(kind, entry);
        await terminal.tell(entry);
      }
    }
    const voided = order.indexOf("void") < order.indexOf("deferred");
    const moved = voided ? 0n : 1_000n;
    expect(await balances(fixture), order.join()).toEqual({ customer: moved, held: 0n, merchant: moved });
    expect((await viewOf(fixture, "sale-1")).status, order.join()).toBe(voided ? "voided" : "confirmed");
  }
});

test("RM9 a deferred entry that is no offline purchase is set aside", async () => {
  const fixture = await deferringHub();
  expect(
    await fixture.terminal.tell(
      deferred(fixture, "online", { mode: "online" }),
      deferred(fixture, "refund", { operation: "refund" }),
    ),
  ).toMatchObject([
    { status: "quarantined", reason: "E_FORMAT" },
    { status: "quarantined", reason: "E_FORMAT" },
  ]);
});

test("RM9 a sale older than policy allows is not asked for any more: its receipt says expired, nothing moves, and a repeat gets the same", async () => {
  const fixture = await deferringHub();
  const { clock } = fixture;
  const [young, old] = [deferred(fixture, "young"), deferred(fixture, "old")];
  await clock.advance(168 * 3_600_000);
  expect(await fixture.terminal.tell(young)).toMatchObject([{ status: "processed" }]);
  await clock.advance(1);
  const detail = "at the merchant's risk: the sale came for authorisation after more than 168 hours";
  const expired = [{ status: "expired", reason: "E_EXPIRED", detail }];
  expect(await fixture.terminal.tell(old)).toMatchObject(expired);
  expect(await fixture.terminal.tell(old)).toMatchObject(expired);
  expect(await balances(fixture)).toEqual({ customer: 1_000n, held: 0n, merchant: 1_000n });
  expect(await viewOf(fixture, "old")).toMatchObject({
    status: "declined",
    merchantLoss: { minor: 1_000n, reason: "E_EXPIRED" },
  });
});
