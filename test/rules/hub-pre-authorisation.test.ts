/** Pre-authorisations at the hub, on cards of its own accounts: held, completed once, given back when nobody completes them. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { currencyOf } from "../../base/money.ts";
import { batchStore } from "../../hub/core/settlement/batch-store.ts";
import type { ForwardedEntry } from "../../wire/advice.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { eur, type SettlementShop, settlementShop } from "./settlement-fixture.ts";

const BALANCE = 10_000n;
const MERCHANT = "merchant:shop:EUR";
const DAY_MS = 86_400_000;
const idOf = (text: string): PaymentId => text as PaymentId;

const shopWith = (balanceMinor = BALANCE) => settlementShop({ balanceMinor });
const hold = ({ terminal }: SettlementShop, paymentId: string, minor = 6_000n) =>
  terminal.ask(terminal.request(paymentId, { kind: "pre-authorisation", amount: eur(minor) }));
const standing = ({ terminal }: SettlementShop, paymentId: string, minor = 6_000n): ForwardedEntry =>
  terminal.entry(
    terminal.decision(paymentId, {
      ...{ operation: "pre-authorisation", mode: "online", amount: eur(minor), attempts: [1], approvalCode: "A1B2C3" },
    }),
    { sealed: terminal.seal(paymentId) },
  );
const completion = (
  { terminal }: SettlementShop,
  paymentId: string,
  { of, minor, ...changes }: { readonly of: string; readonly minor: bigint } & Partial<EntryOf<"decision">>,
): ForwardedEntry =>
  terminal.entry(
    terminal.decision(paymentId, {
      ...{ operation: "completion", mode: "online", originalPaymentId: idOf(of), amount: eur(minor), ...changes },
    }),
  );
const held = async (shop: SettlementShop, paymentId: string, minor = 6_000n) => {
  expect(await hold(shop, paymentId, minor)).toMatchObject({ outcome: "approved" });
  expect(await shop.terminal.tell(standing(shop, paymentId, minor))).toMatchObject([{ status: "processed" }]);
};
const account = ({ hub, customer }: SettlementShop) =>
  hub.store.read((reading) => hub.ledger.account(reading, customer));
const shown = async ({ hub }: SettlementShop, paymentId: string) => {
  const filter = { paymentId, afterNumber: 0, limit: 10 };
  return (await hub.store.read((reading) => hub.authorisation.transactions(reading, filter)))[0];
};
const openSums = async ({ hub }: SettlementShop) =>
  await hub.store.read(async (reading) => {
    const open = await batchStore.openBatch(reading, "shop");
    return await batchStore.sums(reading, open?.number ?? 0);
  });

describe("a pre-authorisation", () => {
  test("holds its amount until the time that its terminal is told, moves nothing, and is in no batch", async () => {
    const shop = await shopWith();
    const answer = await hold(shop, "hotel");
    const heldUntil = new Date(shop.clock.now() + 7 * DAY_MS).toISOString();
    expect(answer).toMatchObject({ outcome: "approved", heldUntil });
    expect(await shop.terminal.tell(standing(shop, "hotel"))).toMatchObject([{ status: "processed" }]);
    expect(await account(shop)).toMatchObject({ debitsPending: 6_000n, debitsPosted: 0n });
    expect(await shown(shop, "hotel")).toMatchObject({ status: "authorised", heldUntil, postedMinor: 0n, postings: 0 });
    expect(await openSums(shop)).toEqual([]);
  });

  test("is declined for what the account has not got, with nothing held", async () => {
    const shop = await shopWith();
    const answer = await hold(shop, "hotel", BALANCE + 1n);
    expect(answer).toMatchObject({ outcome: "declined", responseCode: "51" });
    expect(answer.heldUntil).toBeUndefined();
    expect(await account(shop)).toMatchObject({ debitsPending: 0n });
  });

  test("takes no code in the place of a card", async () => {
    const { terminal } = await shopWith();
    const code = { userId: "anna", secureCode: "A".repeat(26) };
    const answer = await terminal.ask(terminal.request("hotel", { kind: "pre-authorisation", code }));
    expect(answer).toMatchObject({ outcome: "declined", reason: "E_FORMAT", detail: expect.stringContaining("card") });
  });

  test("RM1 whose card gave no TC is taken back by its reversal, and one whose TC stands refuses it by name", async () => {
    const shop = await shopWith();
    const { terminal } = shop;
    await hold(shop, "pulled");
    expect(await terminal.tell(terminal.entry(terminal.reversal("pulled")))).toMatchObject([{ status: "processed" }]);
    expect(await account(shop)).toMatchObject({ debitsPending: 0n });
    await held(shop, "hotel");
    const [refused] = await terminal.tell(terminal.entry(terminal.reversal("hotel")));
    expect(refused).toMatchObject({ status: "declined", reason: "E_STATE" });
    expect(await account(shop)).toMatchObject({ debitsPending: 6_000n });
    expect(await hold(shop, "hotel")).toMatchObject({ outcome: "approved" });
    const second = await terminal.ask(
      terminal.request("hotel", { kind: "pre-authorisation", amount: eur(6_000n), attempt: 2 }),
    );
    expect(second).toMatchObject({ outcome: "declined", reason: "E_STATE" });
  });

  test("RM1 whose entry comes under another number is a duplicate", async () => {
    const shop = await shopWith();
    await held(shop, "hotel");
    expect(await shop.terminal.tell(standing(shop, "hotel"))).toMatchObject([{ status: "duplicate" }]);
    expect(await shop.terminal.tell(standing(shop, "hotel", 5_999n))).toMatchObject([{ reason: "E_CONFLICT" }]);
  });

  test("that nobody completes goes back whole at its time, and the operator sees it", async () => {
    const shop = await shopWith();
    await held(shop, "hotel");
    await shop.clock.advance(7 * DAY_MS - 1_000);
    expect(await shop.hub.expireHolds()).toBe(0);
    await shop.clock.advance(1_000);
    expect(await shop.hub.expireHolds()).toBe(1);
    expect(await account(shop)).toMatchObject({ debitsPending: 0n, debitsPosted: 0n });
    expect(await shown(shop, "hotel")).toMatchObject({ status: "expired", postedMinor: 0n });
  });

  test("that is cancelled goes back whole, before its entry was sent and after it", async () => {
    const shop = await shopWith();
    const { terminal } = shop;
    await hold(shop, "unsent");
    await terminal.tell(terminal.entry(terminal.voided("unsent", 1), { forward: 2 }));
    await held(shop, "sent");
    const [receipt] = await terminal.tell(terminal.entry(terminal.voided("sent", 3)));
    expect(receipt).toMatchObject({ status: "processed" });
    expect(await account(shop)).toMatchObject({ debitsPending: 0n, debitsPosted: 0n });
    expect([(await shown(shop, "unsent"))?.status, (await shown(shop, "sent"))?.status]).toEqual(["voided", "voided"]);
    const [late] = await terminal.tell(completion(shop, "bill", { of: "sent", minor: 1n }));
    expect(late).toMatchObject({ status: "declined", detail: expect.stringContaining("cancelled") });
  });
});

describe("a completion", () => {
  test("posts exactly what it says, gives the rest back, and is in its batch like a purchase", async () => {
    const shop = await shopWith();
    await held(shop, "hotel");
    expect(await shop.terminal.tell(completion(shop, "bill", { of: "hotel", minor: 4_500n }))).toMatchObject([
      { status: "processed" },
    ]);
    expect(await account(shop)).toMatchObject({ debitsPending: 0n, debitsPosted: 4_500n });
    expect(await shop.balance(MERCHANT)).toBe(4_500n);
    expect(await shown(shop, "hotel")).toMatchObject({ status: "confirmed", postedMinor: 0n });
    expect((await shown(shop, "hotel"))?.payment).toMatchObject({ approvalCode: "A1B2C3", mode: "online" });
    expect(await shown(shop, "bill")).toMatchObject({
      ...{ status: "confirmed", postedMinor: 4_500n, postings: 1, originalPaymentId: "hotel" },
    });
    expect(await openSums(shop)).toMatchObject([{ purchases: { count: 1, minor: 4_500n }, exposure: { count: 0 } }]);
  });

  test("comes once: another of the same pre-authorisation is declined, and a void or a reversal of that as well", async () => {
    const shop = await shopWith();
    const { terminal } = shop;
    await held(shop, "hotel");
    await terminal.tell(completion(shop, "bill", { of: "hotel", minor: 4_500n }));
    const [second, voided, reversed] = await terminal.tell(
      completion(shop, "bill-2", { of: "hotel", minor: 100n }),
      terminal.entry(terminal.voided("hotel", 1)),
      terminal.entry(terminal.reversal("hotel")),
    );
    expect(second).toMatchObject({ status: "declined", detail: expect.stringContaining("completed before") });
    expect([voided?.status, reversed?.status]).toEqual(["declined", "declined"]);
    expect(await account(shop)).toMatchObject({ debitsPosted: 4_500n });
    await held(shop, "hotel-2", 1_000n);
    const results = await terminal.tell(
      terminal.entry(terminal.voided("bill-3", 1)),
      completion(shop, "bill-3", { of: "hotel-2", minor: 1_000n }),
      completion(shop, "bill", { of: "hotel", minor: 4_500n }),
    );
    expect(results.map(({ status }) => status)).toEqual(["processed", "declined", "duplicate"]);
    expect(await account(shop)).toMatchObject({ debitsPosted: 4_500n, debitsPending: 1_000n });
  });

  test("above what was authorised, in another currency, or of no pre-authorisation is set aside with its reason", async () => {
    const shop = await shopWith();
    const { terminal } = shop;
    await held(shop, "hotel", 1_000n);
    await shop.sell("sale-1", 500n);
    const results = await terminal.tell(
      completion(shop, "above", { of: "hotel", minor: 1_001n }),
      completion(shop, "other", { of: "hotel", minor: 1n, amount: { minor: "1", currency: currencyOf("USD") } }),
      completion(shop, "sale", { of: "sale-1", minor: 1n }),
      terminal.entry(terminal.decision("none", { operation: "completion", mode: "online" })),
      completion(shop, "itself", { of: "itself", minor: 1n }),
    );
    expect(results.map(({ status, reason }) => `${status} ${reason}`)).toEqual([
      ...["quarantined E_LIMIT", "quarantined E_CONFLICT", "quarantined E_CONFLICT"],
      ...["quarantined E_FORMAT", "quarantined E_FORMAT"],
    ]);
    expect(await account(shop)).toMatchObject({ debitsPosted: 500n, debitsPending: 1_000n });
  });

  test("RM16 that comes after the time of its hold is posted all the same: what the account has, and exposure", async () => {
    const shop = await shopWith();
    await held(shop, "hotel");
    await shop.clock.advance(7 * DAY_MS);
    await shop.hub.expireHolds();
    await shop.sell("spent", 7_000n);
    const [receipt] = await shop.terminal.tell(completion(shop, "bill", { of: "hotel", minor: 5_000n }));
    expect(receipt).toMatchObject({ status: "processed", detail: expect.stringContaining("exposure of operator") });
    expect(await account(shop)).toMatchObject({ debitsPosted: BALANCE });
    expect(await shop.balance("exposure:operator:EUR")).toBe(-2_000n);
    expect(await shop.balance(MERCHANT)).toBe(12_000n);
    expect(await shown(shop, "hotel")).toMatchObject({ status: "confirmed" });
  });

  test("RM16 that comes when its hold is over and the sweep has not been yet is posted once", async () => {
    const shop = await shopWith();
    await held(shop, "hotel");
    await shop.clock.advance(7 * DAY_MS);
    await shop.terminal.tell(completion(shop, "bill", { of: "hotel", minor: 5_000n }));
    await shop.hub.expireHolds();
    expect(await account(shop)).toMatchObject({ debitsPosted: 5_000n, debitsPending: 0n });
  });

  test("RM18 of a pre-authorisation that a restored hub never heard of is exposure, once, in whatever order they come", async () => {
    const shop = await shopWith();
    const [first] = await shop.terminal.tell(completion(shop, "bill", { of: "hotel", minor: 5_000n }));
    expect(first).toMatchObject({ status: "processed", detail: expect.stringContaining("5000 minor units") });
    const [own, second] = await shop.terminal.tell(
      standing(shop, "hotel"),
      completion(shop, "bill-2", { of: "hotel", minor: 1n }),
    );
    expect([own?.status, second?.status]).toEqual(["processed", "declined"]);
    expect(await shop.balance(MERCHANT)).toBe(5_000n);
  });

  test("RM12 is refunded up to its own amount, to the card of its pre-authorisation", async () => {
    const shop = await shopWith();
    await held(shop, "hotel");
    await shop.terminal.tell(completion(shop, "bill", { of: "hotel", minor: 4_500n }));
    const ask = (paymentId: string, originalPaymentId: string, minor: bigint) =>
      shop.terminal.ask(
        shop.terminal.request(paymentId, {
          ...{ kind: "refund", originalPaymentId: idOf(originalPaymentId), amount: eur(minor) },
        }),
      );
    expect(await ask("r-1", "bill", 4_501n)).toMatchObject({ outcome: "declined", reason: "E_LIMIT" });
    expect(await ask("r-2", "hotel", 100n)).toMatchObject({ outcome: "declined", responseCode: "25" });
    await shop.refund("r-3", "bill", 4_500n);
    expect(await account(shop)).toMatchObject({ debitsPosted: 4_500n, creditsPosted: BALANCE + 4_500n });
  });
});

test("RM1 in every order, and however often they come, hold, entry and completion end the same", async () => {
  const told = ["standing", "completion", "standing", "completion"] as const;
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray([...told], { minLength: 1 }), fc.boolean(), async (order, together) => {
      const shop = await shopWith();
      await hold(shop, "hotel");
      const entries = {
        standing: standing(shop, "hotel"),
        completion: completion(shop, "bill", { of: "hotel", minor: 4_500n }),
      };
      if (together) await shop.terminal.tell(...new Set(order.map((name) => entries[name])));
      else for (const name of order) await shop.terminal.tell(entries[name]);
      const completed = order.includes("completion");
      expect(await account(shop)).toMatchObject({
        debitsPosted: completed ? 4_500n : 0n,
        debitsPending: completed ? 0n : 6_000n,
      });
      expect(await shown(shop, "hotel")).toMatchObject({ status: completed ? "confirmed" : "authorised" });
      const confirmed = (await shown(shop, "hotel"))?.payment.mode;
      expect(confirmed).toBe(order.includes("standing") ? "online" : undefined);
    }),
    { numRuns: 30 },
  );
});
