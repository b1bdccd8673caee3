/** Cash with a purchase, at the hub: by the merchant's leave, on a card whose issuer can be asked, and never refunded. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { TradeTermsSchema } from "../../hub/core/settlement/trade-terms.ts";
import type { AuthorisationRequest } from "../../wire/authorisation.ts";
import { iccDataFor, RANGE } from "./issuer-fixture.ts";
import { eur, type SettlementShop, settlementShop } from "./settlement-fixture.ts";
import { ANNA, advicesOf, BALANCE, euros, type SwitchStand, switchStand, until, viewOf } from "./switch-stand.ts";

const giving = TradeTermsSchema.parse({ cashbackMaxMinor: 5_000 });
const CASH = { amount: eur(7_000n), cashback: eur(2_000n) };
const idOf = (text: string) => text as PaymentId;

describe("on cards of this hub", () => {
  const shopThatGives = async (options: Parameters<typeof settlementShop>[0] = {}): Promise<SettlementShop> => {
    const shop = await settlementShop(options);
    await shop.merchant({ id: "shop", trade: giving });
    return shop;
  };
  const ask = ({ terminal }: SettlementShop, id: string, changes: Partial<AuthorisationRequest> = {}) =>
    terminal.ask(terminal.request(id, { ...CASH, ...changes }));

  test("a merchant of whom nothing else was said gives none", async () => {
    const shop = await settlementShop();
    expect(await ask(shop, "p-1")).toMatchObject({ outcome: "declined", responseCode: "58", reason: "E_DENIED" });
    expect(await shop.terminal.ask(shop.terminal.request("p-2"))).toMatchObject({ outcome: "approved" });
  });

  test("one who may gives up to his limit, and the account is held for the whole amount", async () => {
    const shop = await shopThatGives();
    expect(await ask(shop, "p-1")).toMatchObject({ outcome: "approved" });
    const account = await shop.hub.store.read((reading) => shop.hub.ledger.account(reading, shop.customer));
    expect(account?.debitsPending).toBe(7_000n);
    expect(await ask(shop, "p-2", { cashback: eur(5_001n) })).toMatchObject({ responseCode: "61", reason: "E_LIMIT" });
    expect(await ask(shop, "p-3", { cashback: eur(5_000n) })).toMatchObject({ outcome: "approved" });
  });

  test.each([
    ["all of the amount", { cashback: eur(7_000n) }, "13"],
    ["more than the amount", { amount: eur(1_000n) }, "13"],
    ["nothing", { cashback: eur(0n) }, "13"],
    ["in a refund", { kind: "refund", originalPaymentId: idOf("p-0") }, "30"],
    ["for a code", { code: { userId: "user-1", secureCode: "ABCDEFGHIJKLMNOPQRSTUVWXY2" } }, "30"],
  ] as const)("cash that is %s is refused", async (_what, changes, responseCode) => {
    const shop = await shopThatGives();
    expect(await ask(shop, "p-1", changes)).toMatchObject({
      outcome: "declined",
      responseCode,
      reason: "E_FORMAT",
      detail: expect.stringContaining("cashback"),
    });
  });

  test("RM4 the same payment with other cash is a conflict that names it, in a request and in an advice", async () => {
    const shop = await shopThatGives();
    await ask(shop, "p-1");
    for (const changes of [{ cashback: eur(1_000n) }, { attempt: 2, cashback: eur(1_000n) }])
      expect(await ask(shop, "p-1", changes)).toMatchObject({
        reason: "E_CONFLICT",
        detail: expect.stringContaining("cashback.minor"),
      });
    const told = (more: object) =>
      shop.terminal.tell(shop.terminal.advice("p-1", { amount: CASH.amount, mode: "online", attempts: [1], ...more }));
    expect(await told({})).toMatchObject([
      { status: "quarantined", detail: expect.stringContaining("cashback.minor") },
    ]);
    expect(await told({ cashback: CASH.cashback })).toMatchObject([{ status: "processed" }]);
  });

  test("RM12 of a confirmed sale what was bought can be refunded, and the cash cannot", async () => {
    const shop = await shopThatGives();
    await ask(shop, "p-1");
    await shop.terminal.tell(shop.terminal.advice("p-1", { ...CASH, mode: "online", attempts: [1] }));
    expect(await shop.refund("r-1", "p-1", 5_001n)).toMatchObject({ responseCode: "61", reason: "E_LIMIT" });
    expect(await shop.refund("r-2", "p-1", 4_000n)).toMatchObject({ outcome: "approved" });
    expect(await shop.refund("r-3", "p-1", 1_001n)).toMatchObject({ reason: "E_LIMIT" });
    expect(await shop.refund("r-4", "p-1", 1_000n)).toMatchObject({ outcome: "approved" });
    expect(await shop.balance(shop.customer)).toBe(100_000n - 2_000n);
  });

  test("RM9 cash is never authorised afterwards", async () => {
    const shop = await shopThatGives();
    const deferred = shop.terminal.advice("p-1", { ...CASH, deferred: true });
    expect(await shop.terminal.tell(deferred)).toMatchObject([{ status: "quarantined", reason: "E_FORMAT" }]);
  });

  test("the cryptogram must be for the cash as well as for the amount", async () => {
    const shop = await shopThatGives({ issuing: [RANGE] });
    const asked = (id: string, counter: number, other: string) =>
      ask(shop, id, {
        ...{ amount: eur(1_000n), cashback: eur(200n) },
        iccData: iccDataFor(counter, { told: { "9F03": other, "9C": "09" } }),
      });
    expect(await asked("p-1", 1, "000000000200")).toMatchObject({ outcome: "approved" });
    for (const [counter, other] of [
      [2, "000000000000"],
      [3, "000000000300"],
    ] as const)
      expect(await asked(`p-${counter}`, counter, other)).toMatchObject({
        responseCode: "05",
        detail: expect.stringContaining("in cash"),
      });
    const without = { iccData: iccDataFor(4, { told: { "9F03": "000000000200" } }), amount: eur(1_000n) };
    expect(await shop.terminal.ask(shop.terminal.request("p-4", without))).toMatchObject({ responseCode: "05" });
  });
});

describe("on cards of another institution", () => {
  let stand: SwitchStand;
  beforeEach(async () => {
    stand = await switchStand();
    const { hub } = stand.fixture;
    await hub.store.transaction(async (within) => {
      const fees = { standard: { basisPoints: 0, fixedMinor: 0 } };
      await hub.settlement.putMerchant(within, { id: "shop", name: "shop", fees, trade: giving });
    });
  });
  afterEach(() => stand[Symbol.asyncDispose]());
  const balance = () => stand.issuer.books.account(ANNA)?.balanceMinor;

  test("RM14 the issuer hears of the cash, and gives the whole amount", async () => {
    expect(await stand.buy("p-1", CASH)).toMatchObject({ outcome: "approved" });
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "7000" });
    await stand.issuer.break({ refuseCashback: true });
    expect(await stand.buy("p-2", CASH)).toMatchObject({ outcome: "declined", responseCode: "57" });
    expect(await stand.buy("p-3", euros(7_000))).toMatchObject({ outcome: "approved" });
  });

  test("nobody gives cash in the name of an issuer who does not answer, and what he may have approved is taken back", async () => {
    await stand.issuer.break({ mute: true });
    const { answer } = await stand.buyInTime("p-1", CASH);
    expect(answer).toMatchObject({ outcome: "declined", detail: expect.stringContaining("txn.types") });
    const { answer: sale } = await stand.buyInTime("p-2", euros(7_000));
    expect(sale).toMatchObject({ outcome: "approved" });
    expect(await advicesOf(stand)).toMatchObject([
      { paymentId: "p-1", kind: "reversal" },
      { paymentId: "p-1", kind: "advice", approved: false },
      { paymentId: "p-2", kind: "advice", approved: true },
    ]);
    await stand.comeBack();
    await until(stand, async () => (await viewOf(stand)).advices.open === 0);
    expect(balance()).toBe(BALANCE - 7_000n);
  });
});
