/** Sales in one currency on the card of an account that is kept in another: goods have changed hands all the same (RM16). */
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { eur, type SettlementShop, settlementShop } from "./settlement-fixture.ts";

const DOLLAR_PAN = "9999990000000031";
const OPERATOR = "exposure:operator:EUR";
const DECLINED = "exposure:merchant:EUR";
const MERCHANT = "merchant:shop:EUR";

/** Its second customer has 100.00 US dollars. */
const shopWithDollars = async () => {
  const shop = await settlementShop();
  const customer = { pan: DOLLAR_PAN, expiry: "3012", balance: money(10_000n, "USD") };
  const opened = await shop.change((within) => shop.hub.authorisation.openAccount(within, customer));
  if (!opened.ok) throw new Error(opened.error);
  return Object.assign(shop, { dollars: opened.value.id });
};
const ask = ({ terminal }: SettlementShop, paymentId: string, kind: "purchase" | "pre-authorisation" = "purchase") =>
  terminal.ask(terminal.request(paymentId, { kind, card: terminal.seal(paymentId, DOLLAR_PAN) }));
const advise = ({ terminal }: SettlementShop, paymentId: string, attempts: number[] = []) =>
  terminal.tell(
    terminal.entry(terminal.decision(paymentId, { attempts }), { sealed: terminal.seal(paymentId, DOLLAR_PAN) }),
  );
const balances = (shop: SettlementShop, ...ids: readonly string[]) => Promise.all(ids.map((id) => shop.balance(id)));

test("RM16 a sale approved offline on an account of another currency is posted, and all of it is exposure", async () => {
  const shop = await shopWithDollars();
  expect(await advise(shop, "sale-1")).toMatchObject([
    { status: "processed", detail: "1000 minor units are exposure of operator" },
  ]);
  expect(await balances(shop, MERCHANT, OPERATOR, shop.dollars)).toEqual([1_000n, -1_000n, 10_000n]);
});

test("RM16 so is one that the hub had declined for the currency, and its refund makes the exposure good", async () => {
  const shop = await shopWithDollars();
  const detail = "the account is not kept in EUR";
  expect(await ask(shop, "sale-1")).toMatchObject({ outcome: "declined", reason: "E_DENIED", detail });
  expect(await advise(shop, "sale-1", [1])).toMatchObject([
    { status: "processed", detail: "1000 minor units are exposure of merchant" },
  ]);
  expect(await balances(shop, MERCHANT, DECLINED, shop.dollars)).toEqual([1_000n, -1_000n, 10_000n]);
  expect(await shop.refund("refund-1", "sale-1", 400n)).toMatchObject({ outcome: "approved" });
  expect(await balances(shop, MERCHANT, DECLINED, shop.dollars)).toEqual([600n, -600n, 10_000n]);
});

test("RM16 so is the completion of a pre-authorisation that was declined for the currency", async () => {
  const shop = await shopWithDollars();
  const { terminal } = shop;
  expect(await ask(shop, "hotel", "pre-authorisation")).toMatchObject({ outcome: "declined", reason: "E_DENIED" });
  const originalPaymentId = "hotel" as PaymentId;
  const completion = terminal.decision("bill", { operation: "completion", originalPaymentId, amount: eur(900n) });
  expect(await terminal.tell(terminal.entry(completion))).toMatchObject([{ status: "processed" }]);
  expect(await balances(shop, MERCHANT, DECLINED, shop.dollars)).toEqual([900n, -900n, 10_000n]);
});
