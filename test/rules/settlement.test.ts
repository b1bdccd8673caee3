/** Settlement of closed batches, payouts and their files, chargebacks, and the merchant's statement. */
import { describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { makePayout, payoutFile, payoutView } from "../../hub/core/settlement/payouts.ts";
import { statementsOf } from "../../hub/core/settlement/statement.ts";
import { EUR, seededRandom } from "./hub-fixture.ts";
import { DE_ACCOUNT, GB_ACCOUNT, PAYER, type SettlementShop, settlementShop } from "./settlement-fixture.ts";

const FEES = { standard: { basisPoints: 100, fixedMinor: 5 } };
const shopWithFees = async (options: Parameters<typeof settlementShop>[0] = {}) => {
  const shop = await settlementShop({ payer: PAYER, ...options });
  await shop.merchant({ id: "shop", name: "The shop", fees: FEES, account: DE_ACCOUNT });
  return shop;
};
const payOut = (shop: SettlementShop, changes: { merchantId?: string; executionDate?: string } = {}) =>
  shop.change((within) =>
    shop.hub.settlement.payOut(within, { currency: EUR, executionDate: "2026-01-06", ...changes }),
  );
const paid = async (shop: SettlementShop) => {
  const payout = await payOut(shop);
  if (!payout.ok) throw new Error(payout.error);
  return payout.value;
};
const chargeBack = (shop: SettlementShop, id: string, minor: bigint, changes: { paymentId?: string } = {}) =>
  shop.change((within) =>
    shop.hub.settlement.chargeBack(within, {
      id,
      terminalId: shop.terminal.terminalId,
      paymentId: (changes.paymentId ?? "sale-1") as PaymentId,
      reasonCode: "4853",
      amount: money(minor, "EUR"),
    }),
  );
const represent = (shop: SettlementShop, id: string) =>
  shop.change((within) => shop.hub.settlement.represent(within, id));
const statement = (shop: SettlementShop, day: string, merchantId = "shop") =>
  shop.hub.store.read((reading) => statementsOf(reading, { merchantId, day }));
const balances = (shop: SettlementShop, ...ids: readonly string[]) => Promise.all(ids.map((id) => shop.balance(id)));
const transfersOf = (shop: SettlementShop, reference: string) =>
  shop.hub.store.read((reading) => shop.hub.ledger.queryTransfers(reading, { reference, limit: 10 }));

describe("settlement", () => {
  test("moves the fees to the fee account and the rest to the payable account, in one linked chain", async () => {
    const shop = await shopWithFees();
    await shop.sell("sale-1", 1_000n);
    await shop.sell("sale-2", 2_000n);
    await shop.refund("refund-1", "sale-1", 300n);
    const { closed } = await shop.cutover();
    expect(await shop.settle(closed.number)).toEqual([
      {
        ...{ batch: closed.number, merchantId: "shop", currency: "EUR", netMinor: 2_660n, feesMinor: 40n },
        ...{ carriedInMinor: 0n, payableMinor: 2_660n, carriedMinor: 0n },
      },
    ]);
    expect(await balances(shop, "merchant:shop:EUR", "fees:EUR", "payable:shop:EUR")).toEqual([0n, 40n, 2_660n]);
    const chain = await transfersOf(shop, `batch/${closed.number}`);
    expect(chain.map(({ linked = false, amount }) => [linked, amount])).toEqual([
      [true, 40n],
      [false, 2_660n],
    ]);
  });
  test("run twice changes nothing and answers the same; an open batch is not settled", async () => {
    const shop = await shopWithFees();
    await shop.sell("sale-1", 1_000n);
    const { closed, opened } = await shop.cutover();
    const first = await shop.settle(closed.number);
    const then = await shop.dump();
    expect(await shop.settle(closed.number)).toEqual(first);
    expect(await shop.dump()).toBe(then);
    const settle = (batch: number) => shop.change((within) => shop.hub.settlement.settle(within, batch));
    expect(await settle(opened)).toEqual({ ok: false, error: "open" });
    expect(await settle(999)).toEqual({ ok: false, error: "unknown" });
  });
  test("of a batch below zero pays nothing, carries the debt, and the next batch makes it good first", async () => {
    const shop = await shopWithFees();
    await shop.sell("sale-1", 1_000n);
    await shop.settle((await shop.cutover()).closed.number);
    await shop.sell("sale-2", 100n);
    await shop.refund("refund-1", "sale-1", 500n);
    const [second] = await shop.settle((await shop.cutover()).closed.number);
    expect(second).toMatchObject({ netMinor: -406n, feesMinor: 6n, payableMinor: 0n, carriedMinor: -406n });
    await shop.sell("sale-3", 300n);
    const [third] = await shop.settle((await shop.cutover()).closed.number);
    expect(third).toMatchObject({ netMinor: 292n, carriedInMinor: -406n, payableMinor: 0n, carriedMinor: -114n });
    expect(await balances(shop, "merchant:shop:EUR", "payable:shop:EUR", "fees:EUR")).toEqual([-114n, 985n, 29n]);
    await shop.sell("sale-4", 1_000n);
    const [fourth] = await shop.settle((await shop.cutover()).closed.number);
    expect(fourth).toMatchObject({ carriedInMinor: -114n, payableMinor: 871n, carriedMinor: 0n });
    expect(await shop.balance("merchant:shop:EUR")).toBe(0n);
  });
  test("takes the fees that held when a sale was confirmed", async () => {
    const shop = await shopWithFees();
    await shop.sell("sale-1", 1_000n);
    await shop.merchant({ id: "shop" });
    const [settled] = await shop.settle((await shop.cutover()).closed.number);
    expect(settled).toMatchObject({ feesMinor: 15n });
  });
});

describe("a payout", () => {
  const settledShop = async () => {
    const shop = await shopWithFees();
    await shop.merchant({ id: "bakery", name: 'Bread, "fresh" & more', account: GB_ACCOUNT });
    await shop.merchant({ id: "poor" });
    for (const [id, terminalId] of [
      ["bakery", "T2"],
      ["poor", "T3"],
    ] as const) {
      await shop.site({ id: `${id}-1`, merchantId: id });
      const terminal = await shop.another(terminalId);
      await shop.assign(terminalId, `${id}-1`);
      await shop.sell(`sale-${id}`, 700n, terminal);
      await shop.settle((await shop.cutover(`${id}-1`)).closed.number);
    }
    await shop.sell("sale-1", 1_000n);
    await shop.settle((await shop.cutover()).closed.number);
    return shop;
  };
  test("pays each merchant with an account what was settled, once", async () => {
    const shop = await settledShop();
    const payout = await paid(shop);
    expect(payout).toMatchObject({ currency: "EUR", executionDate: "2026-01-06", payer: PAYER });
    expect(payout.lines.map(({ merchantId, minor, endToEndId }) => [merchantId, minor, endToEndId])).toEqual([
      ["bakery", 700n, `${payout.messageId}-1`],
      ["shop", 985n, `${payout.messageId}-2`],
    ]);
    expect(await balances(shop, "payable:shop:EUR", "paid-out:shop:EUR", "payable:poor:EUR")).toEqual([0n, 985n, 700n]);
    const then = await shop.dump();
    expect(await payOut(shop)).toEqual({ ok: false, error: "nothing" });
    expect(await shop.dump()).toBe(then);
  });
  test("gives the same file whenever it is asked for, also after the account was changed", async () => {
    const shop = await settledShop();
    const { messageId } = await paid(shop);
    const files = async () => {
      const view = await shop.hub.store.read((reading) => payoutView(reading, messageId));
      if (!view) throw new Error("no payout");
      return { csv: payoutFile(view, "csv"), xml: payoutFile(view, "pain001") };
    };
    const first = await files();
    await shop.merchant({ id: "bakery", name: "Another", account: DE_ACCOUNT });
    await shop.clock.advance(86_400_000);
    expect(await files()).toEqual(first);
    expect(first.csv).toBe(
      [
        "endToEndId,merchantId,name,iban,bic,amount,currency,executionDate,remittance",
        `${messageId}-1,bakery,"Bread, ""fresh"" & more",${GB_ACCOUNT.iban},${GB_ACCOUNT.bic},7.00,EUR,2026-01-06,settlement bakery 2026-01-06`,
        `${messageId}-2,shop,The shop,${DE_ACCOUNT.iban},${DE_ACCOUNT.bic},9.85,EUR,2026-01-06,settlement shop 2026-01-06`,
        "",
      ].join("\r\n"),
    );
    expect(first.xml).toContain("<NbOfTxs>2</NbOfTxs>");
    expect(first.xml).toContain("<CtrlSum>16.85</CtrlSum>");
    expect(first.xml).toContain("<Nm>Bread, &quot;fresh&quot; &amp; more</Nm>");
    expect(first.xml).toContain(`<EndToEndId>${messageId}-2</EndToEndId>`);
  });
  test("that has no room for all says so, and the next one pays the rest", async () => {
    const shop = await settledShop();
    const { ledger } = shop.hub;
    const pay = (linesMax: number) =>
      shop.change((within) =>
        makePayout({ ledger, random: seededRandom(`${linesMax}`), payer: PAYER, linesMax }, within, {
          ...{ currency: EUR, executionDate: "2026-01-06", now: shop.clock.now() },
        }),
      );
    expect(await pay(1)).toMatchObject({ ok: true, value: { lines: [{ merchantId: "bakery" }], more: true } });
    expect(await pay(2)).toMatchObject({ ok: true, value: { lines: [{ merchantId: "shop" }], more: false } });
    expect(await pay(3)).toEqual({ ok: false, error: "nothing" });
  });
  test("can be of one merchant alone, and of nobody where it is not known from which account to pay", async () => {
    const shop = await settledShop();
    expect(await payOut(shop, { merchantId: "poor" })).toEqual({ ok: false, error: "nothing" });
    expect(await payOut(shop, { merchantId: "shop" })).toMatchObject({ ok: true, value: { lines: [{ minor: 985n }] } });
    expect(await payOut(shop, { executionDate: "2026-01-04" })).toEqual({ ok: false, error: "past" });
    expect(await payOut(await settlementShop())).toEqual({ ok: false, error: "no-payer" });
  });
});

describe("RM17 a chargeback", () => {
  test("gives the customer his money back out of the merchant's account, and joins the open batch", async () => {
    const shop = await shopWithFees();
    await shop.sell("sale-1", 1_000n);
    await shop.cutover();
    const had = await shop.balance(shop.customer);
    expect(await chargeBack(shop, "case-1", 600n)).toMatchObject({ ok: true, value: { state: "charged-back" } });
    expect(await shop.balance(shop.customer)).toBe(had + 600n);
    expect((await shop.cutover()).totals).toMatchObject([{ chargebacks: { count: 1, minor: 600n }, feesMinor: 0n }]);
  });
  test("takes no more than refunds and earlier chargebacks have left, and refunds no more than it has left", async () => {
    const shop = await shopWithFees();
    await shop.sell("sale-1", 1_000n);
    await shop.refund("refund-1", "sale-1", 300n);
    await chargeBack(shop, "case-1", 500n);
    expect(await chargeBack(shop, "case-2", 201n)).toEqual({ ok: false, error: { why: "too-much", leftMinor: 200n } });
    expect(await shop.refund("refund-2", "sale-1", 201n)).toMatchObject({ outcome: "declined", reason: "E_LIMIT" });
    expect((await shop.refund("refund-3", "sale-1", 200n)).outcome).toBe("approved");
    expect(await chargeBack(shop, "case-2", 1n)).toEqual({ ok: false, error: { why: "too-much", leftMinor: 0n } });
  });
  test("told twice moves once, and with other content is a conflict that names the field", async () => {
    const shop = await shopWithFees();
    await shop.sell("sale-1", 1_000n);
    const first = await chargeBack(shop, "case-1", 600n);
    const then = await shop.dump();
    expect(await chargeBack(shop, "case-1", 600n)).toEqual(first);
    expect(await chargeBack(shop, "case-1", 500n)).toEqual({ ok: false, error: { why: "conflict", field: "minor" } });
    expect(await shop.dump()).toBe(then);
  });
  test("of what was never confirmed, or in another currency, is refused", async () => {
    const shop = await shopWithFees();
    await shop.terminal.ask(shop.terminal.request("sale-1"));
    expect(await chargeBack(shop, "case-1", 1n)).toEqual({ ok: false, error: { why: "unknown" } });
    expect(await chargeBack(shop, "case-1", 1n, { paymentId: "nowhere" })).toMatchObject({ ok: false });
    await shop.sell("sale-2", 1_000n);
    await shop.refund("refund-1", "sale-2", 100n);
    expect(await chargeBack(shop, "case-1", 1n, { paymentId: "refund-1" })).toMatchObject({ ok: false });
    const order = { id: "c", terminalId: shop.terminal.terminalId, paymentId: "sale-2" as PaymentId, reasonCode: "1" };
    const inYen = { ...order, amount: money(1n, "JPY") };
    expect(await shop.change((within) => shop.hub.settlement.chargeBack(within, inYen))).toEqual({
      ok: false,
      error: { why: "currency" },
    });
  });
  test("makes good first what exposure bore; a refund after it knows that", async () => {
    const shop = await shopWithFees({ balanceMinor: 700n });
    await shop.sell("sale-1", 1_000n);
    expect(await balances(shop, "exposure:operator:EUR", shop.customer)).toEqual([-300n, 0n]);
    await chargeBack(shop, "case-1", 400n);
    expect(await balances(shop, "exposure:operator:EUR", shop.customer)).toEqual([0n, 100n]);
    await shop.refund("refund-1", "sale-1", 600n);
    expect(await balances(shop, "exposure:operator:EUR", shop.customer)).toEqual([0n, 700n]);
  });
  test("is taken back by a second presentment, once; what the customer has spent meanwhile is exposure", async () => {
    const shop = await shopWithFees({ balanceMinor: 1_000n });
    await shop.sell("sale-1", 1_000n);
    await chargeBack(shop, "case-1", 800n);
    await shop.sell("sale-2", 500n);
    expect(await represent(shop, "case-1")).toMatchObject({ state: "represented", uncoveredMinor: 500n });
    const then = await shop.dump();
    expect(await represent(shop, "case-1")).toMatchObject({ state: "represented", uncoveredMinor: 500n });
    expect(await shop.dump()).toBe(then);
    expect(await represent(shop, "nowhere")).toBeUndefined();
    expect(await balances(shop, shop.customer, "exposure:operator:EUR", "merchant:shop:EUR")).toEqual([
      0n,
      -500n,
      1_500n,
    ]);
    expect((await shop.cutover()).totals).toMatchObject([
      { chargebacks: { minor: 800n }, representments: { count: 1, minor: 800n } },
    ]);
  });
  test("after a second presentment that became exposure makes that good first: the customer has no more back than he gave", async () => {
    const shop = await shopWithFees({ balanceMinor: 1_000n });
    await shop.sell("sale-1", 1_000n);
    await chargeBack(shop, "case-1", 800n);
    await shop.sell("sale-2", 500n);
    await represent(shop, "case-1");
    const both = () => balances(shop, shop.customer, "exposure:operator:EUR");
    expect(await both()).toEqual([0n, -500n]);
    // All of it may be disputed anew, under another case.
    expect(await chargeBack(shop, "case-2", 1_000n)).toMatchObject({ ok: true, value: { exposureMinor: 500n } });
    expect(await both()).toEqual([500n, 0n]);
    await represent(shop, "case-2");
    expect(await both()).toEqual([0n, -500n]);
    await shop.refund("refund-1", "sale-1", 600n);
    expect(await both()).toEqual([100n, 0n]);
    await chargeBack(shop, "case-3", 400n);
    expect(await both()).toEqual([500n, 0n]);
  });
  test("leaves what the customer has spent to whoever bore a part of the sale", async () => {
    const shop = await shopWithFees({ balanceMinor: 700n });
    // Declined for want of money, and sold all the same: at the merchant's risk.
    await shop.terminal.ask(shop.terminal.request("sale-1"));
    await shop.sell("sale-1", 1_000n, shop.terminal, { attempts: [1] });
    const both = () => balances(shop, shop.customer, "exposure:merchant:EUR");
    expect(await both()).toEqual([0n, -300n]);
    await chargeBack(shop, "case-1", 1_000n);
    expect(await both()).toEqual([700n, 0n]);
    await shop.sell("sale-2", 600n);
    expect(await represent(shop, "case-1")).toMatchObject({ uncoveredMinor: 600n });
    expect(await both()).toEqual([0n, -900n]);
    await shop.refund("refund-1", "sale-1", 1_000n);
    expect(await both()).toEqual([100n, 0n]);
  });
});

test("a statement opens with what the day before closed with, and closes with what the books hold", async () => {
  const shop = await shopWithFees();
  await shop.sell("sale-1", 1_000n);
  await shop.sell("sale-2", 2_000n);
  await shop.refund("refund-1", "sale-1", 300n);
  await shop.settle((await shop.cutover()).closed.number);
  expect(await statement(shop, "2026-01-05")).toEqual([
    {
      ...{ currency: "EUR", openingMinor: 0n, sales: { count: 2, minor: 3_000n }, refunds: { count: 1, minor: 300n } },
      ...{ chargebacks: { count: 0, minor: 0n }, representments: { count: 0, minor: 0n }, feesMinor: 40n },
      ...{ payouts: { count: 0, minor: 0n }, closingMinor: 2_660n, isOpen: true },
    },
  ]);
  await shop.clock.advance(15 * 3_600_000);
  await paid(shop);
  await chargeBack(shop, "case-1", 100n);
  await shop.sell("sale-3", 500n, shop.terminal, { businessDate: "2026-01-05" });
  expect(await statement(shop, "2026-01-06")).toMatchObject([
    {
      ...{ openingMinor: 2_660n, sales: { count: 1, minor: 500n }, chargebacks: { count: 1, minor: 100n } },
      ...{ feesMinor: 10n, payouts: { count: 1, minor: 2_660n }, closingMinor: 390n },
    },
  ]);
  await shop.settle((await shop.cutover()).closed.number);
  expect(await statement(shop, "2026-01-06")).toMatchObject([{ closingMinor: 390n }]);
  expect(await statement(shop, "2026-01-07")).toMatchObject([{ openingMinor: 390n, closingMinor: 390n }]);
  const [left, payable] = await balances(shop, "merchant:shop:EUR", "payable:shop:EUR");
  expect((left ?? 0n) + (payable ?? 0n)).toBe(390n);
  expect(await statement(shop, "2026-01-04")).toEqual([]);
  expect(await statement(shop, "2026-01-06", "nobody")).toEqual([]);
});
