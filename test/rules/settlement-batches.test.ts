/** Batches and cutover: which payment is in which batch, and what its totals are. */
import { describe, expect, test } from "vitest";
import { batchStore } from "../../hub/core/settlement/batch-store.ts";
import { eur, type SettlementShop, settlementShop } from "./settlement-fixture.ts";

const HOUR_MS = 3_600_000;
const batchesOf = ({ hub }: SettlementShop, siteId = "shop") =>
  hub.store.read((reading) =>
    batchStore.batches(reading, { siteId, beforeNumber: Number.MAX_SAFE_INTEGER, limit: 50 }),
  );
const openSums = async (shop: SettlementShop, siteId = "shop") => {
  const open = (await batchesOf(shop, siteId)).find(({ closedAt }) => closedAt === undefined);
  return shop.hub.store.read((reading) => batchStore.sums(reading, open?.number ?? 0));
};

test("RM17 a batch holds what the hub confirmed while it was open: sales, refunds, and what is exposure, by currency", async () => {
  const shop = await settlementShop({ balanceMinor: 2_500n });
  await shop.sell("sale-1", 1_000n);
  await shop.sell("sale-2", 2_000n);
  await shop.refund("refund-1", "sale-1", 400n);
  const { closed, totals } = await shop.cutover();
  expect(closed).toMatchObject({
    siteId: "shop",
    merchantId: "shop",
    businessDate: "2026-01-05",
    closedBy: "operator",
  });
  expect(totals).toEqual([
    {
      currency: "EUR",
      purchases: { count: 2, minor: 3_000n },
      refunds: { count: 1, minor: 400n },
      chargebacks: { count: 0, minor: 0n },
      representments: { count: 0, minor: 0n },
      exposure: { count: 1, minor: 500n },
      feesMinor: 0n,
    },
  ]);
  expect(await shop.hub.store.read((reading) => batchStore.totals(reading, closed.number))).toEqual(totals);
  expect(await openSums(shop)).toEqual([]);
});

test("RM17 what is declined, reversed, voided, repeated or set aside is in no batch", async () => {
  const shop = await settlementShop();
  const { terminal } = shop;
  await terminal.tell(terminal.entry(terminal.decision("declined", { outcome: "declined" })));
  await terminal.ask(terminal.request("reversed"));
  await terminal.tell(terminal.entry(terminal.reversal("reversed")));
  await shop.sell("sale-1", 1_000n);
  await shop.sell("sale-1", 1_000n);
  await shop.sell("sale-1", 900n);
  await terminal.tell(terminal.entry(terminal.voided("voided", 9)));
  expect(await openSums(shop)).toMatchObject([{ purchases: { count: 1, minor: 1_000n }, refunds: { count: 0 } }]);
});

test("RM17 a late offline entry joins the batch open on arrival and keeps its business date", async () => {
  const shop = await settlementShop();
  const late = shop.terminal.advice("late", { businessDate: "2026-01-05" });
  await shop.cutover();
  await shop.clock.advance(24 * HOUR_MS);
  await shop.terminal.tell(late);
  const [open, ...closed] = await batchesOf(shop);
  expect(open).toMatchObject({ businessDate: "2026-01-06" });
  expect(open?.closedAt).toBeUndefined();
  const shares = await shop.hub.store.read((reading) => batchStore.shares(reading, open?.number ?? 0));
  expect(shares).toMatchObject([{ terminalId: "T1", businessDate: "2026-01-05", purchases: { count: 1 } }]);
  for (const { number } of closed)
    expect(await shop.hub.store.read((reading) => batchStore.totals(reading, number))).toEqual([]);
});

describe("RM17 the cutover comes at the site's time in its own zone", () => {
  test("by the sweep, though its terminal is away and says nothing", async () => {
    const shop = await settlementShop();
    await shop.site({ id: "tokyo", merchantId: "shop", timeZone: "Asia/Tokyo", cutover: "04:00" });
    const [first] = await batchesOf(shop, "tokyo");
    // 09:00 UTC is 18:00 there; 04:00 there is 19:00 UTC.
    expect(first).toMatchObject({ businessDate: "2026-01-05", closesAt: Date.parse("2026-01-05T19:00:00Z") });
    await shop.clock.advance(10 * HOUR_MS - 1);
    await shop.hub.expireHolds();
    expect(await batchesOf(shop, "tokyo")).toHaveLength(1);
    await shop.clock.advance(1);
    await shop.hub.expireHolds();
    const [next, closed] = await batchesOf(shop, "tokyo");
    expect(closed).toMatchObject({ closedBy: "cutover" });
    expect(next).toMatchObject({ businessDate: "2026-01-06", closesAt: Date.parse("2026-01-06T19:00:00Z") });
    expect(await batchesOf(shop)).toHaveLength(1);
  });
  test("before the sweep, where a payment is confirmed after it: that is in the new batch", async () => {
    const shop = await settlementShop();
    await shop.sell("before", 100n);
    await shop.clock.advance(15 * HOUR_MS);
    await shop.terminal.tell(shop.terminal.advice("late-1", { amount: eur(200n) }), shop.terminal.advice("late-2"));
    const [open, closed] = await batchesOf(shop);
    expect([closed?.businessDate, open?.businessDate]).toEqual(["2026-01-05", "2026-01-06"]);
    expect(await shop.hub.store.read((reading) => batchStore.totals(reading, closed?.number ?? 0))).toMatchObject([
      { purchases: { count: 1, minor: 100n } },
    ]);
    expect(await openSums(shop)).toMatchObject([{ purchases: { count: 2, minor: 1_200n } }]);
  });
  test("once after days of rest, without batches for the days between", async () => {
    const shop = await settlementShop();
    await shop.clock.advance(7 * 24 * HOUR_MS);
    await shop.hub.expireHolds();
    expect((await batchesOf(shop)).map(({ businessDate }) => businessDate)).toEqual(["2026-01-12", "2026-01-05"]);
  });
});

test("an operator's cutover opens a second batch of the same day", async () => {
  const shop = await settlementShop();
  const { opened } = await shop.cutover();
  const [open] = await batchesOf(shop);
  expect(open).toMatchObject({ number: opened, businessDate: "2026-01-05" });
});

describe("a terminal stands at a site", () => {
  test("and where nobody said at which, at the hub's own: its money is where it always was", async () => {
    const shop = await settlementShop();
    await shop.sell("sale-1", 1_000n);
    expect(await shop.balance("merchant:shop:EUR")).toBe(1_000n);
  });
  test("of another merchant: sale and refund are his, in his batch", async () => {
    const shop = await settlementShop();
    await shop.merchant({ id: "bakery" });
    await shop.site({ id: "market", merchantId: "bakery" });
    const other = await shop.another("T2");
    expect(await shop.assign("T2", "market")).toMatchObject({ ok: true });
    await other.ask(other.request("sale-1"));
    await other.tell(other.advice("sale-1", { mode: "online", attempts: [1] }));
    await shop.sell("sale-2", 700n, other);
    await shop.refund("refund-1", "sale-2", 200n, other);
    expect([await shop.balance("merchant:bakery:EUR"), await shop.balance("merchant:shop:EUR")]).toEqual([1_500n, 0n]);
    expect(await openSums(shop, "market")).toMatchObject([
      { purchases: { count: 2, minor: 1_700n }, refunds: { count: 1, minor: 200n } },
    ]);
    expect(await openSums(shop)).toEqual([]);
  });
  test("and takes no refund of a purchase at another merchant's terminal", async () => {
    const shop = await settlementShop();
    await shop.merchant({ id: "bakery" });
    await shop.site({ id: "market", merchantId: "bakery" });
    const [own, foreign] = [await shop.another("T2"), await shop.another("T3")];
    await shop.assign("T3", "market");
    await shop.sell("sale-1", 1_000n);
    expect(await shop.refund("refund-1", "sale-1", 100n, foreign)).toMatchObject({
      outcome: "declined",
      reason: "E_UNKNOWN",
    });
    expect((await shop.refund("refund-2", "sale-1", 100n, own)).outcome).toBe("approved");
  });
  test("and stays with its merchant once it has sold, though not at its site", async () => {
    const shop = await settlementShop();
    await shop.merchant({ id: "bakery" });
    await shop.site({ id: "market", merchantId: "bakery" });
    await shop.site({ id: "second", merchantId: "shop" });
    expect(await shop.assign("T1", "nowhere")).toEqual({ ok: false, error: "unknown" });
    await shop.terminal.ask(shop.terminal.request("sale-1"));
    expect(await shop.assign("T1", "market")).toEqual({ ok: false, error: "other-merchant" });
    expect(await shop.assign("T1", "second")).toMatchObject({ ok: true });
    await shop.terminal.tell(shop.terminal.advice("sale-1", { mode: "online", attempts: [1] }));
    expect(await openSums(shop, "second")).toMatchObject([{ purchases: { count: 1 } }]);
    expect(await shop.balance("merchant:shop:EUR")).toBe(1_000n);
  });
});

test("a site's new terms move the end of its open batch, and a site never changes its merchant", async () => {
  const shop = await settlementShop();
  await shop.merchant({ id: "bakery" });
  await shop.site({ id: "shop", merchantId: "shop", timeZone: "Europe/Berlin", cutover: "12:00" });
  expect(await batchesOf(shop)).toMatchObject([{ closesAt: Date.parse("2026-01-05T11:00:00Z") }]);
  expect(await shop.site({ id: "shop", merchantId: "bakery" })).toEqual({ ok: false, error: "other-merchant" });
  expect(await shop.site({ id: "new", merchantId: "nobody" })).toEqual({ ok: false, error: "unknown" });
});

test("a site whose terms are said again after its cutover closes the batch that is due, before any sale or sweep", async () => {
  const shop = await settlementShop();
  await shop.sell("sale-1", 100n);
  await shop.clock.advance(15 * HOUR_MS + 5_000);
  await shop.site({ id: "shop", merchantId: "shop" });
  expect(await batchesOf(shop)).toMatchObject([
    { businessDate: "2026-01-06", closesAt: Date.parse("2026-01-07T00:00:00Z") },
    { businessDate: "2026-01-05", closedBy: "cutover" },
  ]);
  expect(await openSums(shop)).toEqual([]);
});

test("what a failed entry did to the batches of its transaction is not believed by those after it", async () => {
  const shop = await settlementShop();
  const { hub, clock, change } = shop;
  await clock.advance(15 * HOUR_MS);
  await change(async (within) => {
    const undone = within.savepoint(async () => {
      await hub.settlement.cutover(within, "shop");
      await hub.settlement.merchantOf(within, "T1");
      throw new Error("undone");
    });
    await expect(undone).rejects.toThrow("undone");
    await hub.authorisation.advice(within, {
      key: { terminalId: shop.terminal.terminalId, paymentId: shop.terminal.decision("sale-1").paymentId },
      body: shop.terminal.decision("sale-1"),
      now: clock.now(),
      card: undefined,
    });
  });
  expect(await openSums(shop)).toMatchObject([{ purchases: { count: 1 } }]);
});
