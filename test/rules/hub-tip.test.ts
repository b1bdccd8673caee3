/** Tips at the hub: on a confirmed sale by card, once, while its batch is open, and within what the merchant may take. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { TradeTermsSchema } from "../../hub/core/settlement/trade-terms.ts";
import { exchangeStore } from "../../hub/core/switch/exchange-store.ts";
import { requestOf } from "../../hub/core/switch/payment-facts.ts";
import type { AuthorisationRequest } from "../../wire/authorisation.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { type EUR, type FakeTerminal, TEST_EXPIRY, TEST_PAN } from "./hub-fixture.ts";
import { cardFacts } from "./issuer-fixture.ts";
import { eur, type SettlementShop, settlementShop } from "./settlement-fixture.ts";
import { ANNA, advicesOf, BALANCE, BANK, type SwitchStand, switchStand, until, viewOf } from "./switch-stand.ts";

/** As long as the fixture's hub holds an approval. */
const HOLD_MS = 24 * 3_600_000;
const idOf = (text: string) => text as PaymentId;
const card = cardFacts("00");
const online = { mode: "online" as const, attempts: [1] };

const ask = (terminal: FakeTerminal, id: string, minor: bigint, changes: Partial<AuthorisationRequest> = {}) =>
  terminal.ask(terminal.request(id, { kind: "tip", amount: eur(minor), originalPaymentId: idOf("p-1"), ...changes }));
const confirm = (terminal: FakeTerminal, id: string, minor: bigint, changes: Partial<EntryOf<"decision">> = {}) =>
  terminal.tell(terminal.entry(terminal.decision(id, { operation: "tip", amount: eur(minor), ...online, ...changes })));
const tip = async (terminal: FakeTerminal, id: string, minor: bigint) => {
  const answer = await ask(terminal, id, minor);
  if (answer.outcome === "approved") await confirm(terminal, id, minor);
  return answer;
};

describe("on cards of this hub", () => {
  /** Has sold p-1 for 50.00. */
  const restaurant = async (options: Parameters<typeof settlementShop>[0] = {}): Promise<SettlementShop> => {
    const shop = await settlementShop(options);
    await shop.sell("p-1", 5_000n, shop.terminal, { card });
    return shop;
  };

  test("whoever paid for the sale pays the tip, and the merchant has it in the sale's batch", async () => {
    const shop = await restaurant();
    expect(await ask(shop.terminal, "t-1", 1_000n)).toMatchObject({ outcome: "approved", responseCode: "00" });
    expect(await shop.balance(shop.customer)).toBe(95_000n);
    expect(await confirm(shop.terminal, "t-1", 1_000n)).toMatchObject([{ status: "processed" }]);
    expect(await shop.balance(shop.customer)).toBe(94_000n);
    expect(await shop.balance("merchant:shop:EUR")).toBe(6_000n);
    const { totals } = await shop.cutover();
    expect(totals).toMatchObject([{ purchases: { count: 2, minor: 6_000n }, refunds: { count: 0 } }]);
  });

  test("an operator sees a tip with the sale that it is for", async () => {
    const shop = await restaurant();
    await tip(shop.terminal, "t-1", 500n);
    const filter = { paymentId: "t-1", afterNumber: 0, limit: 2 };
    const views = await shop.hub.store.read((reading) => shop.hub.authorisation.transactions(reading, filter));
    expect(views).toMatchObject([
      { payment: { content: { operation: "tip" } }, originalPaymentId: "p-1", status: "confirmed", postedMinor: 500n },
    ]);
  });

  test("a sale has one tip, be it only held as yet; one that was taken back counts for nothing", async () => {
    const shop = await restaurant();
    await ask(shop.terminal, "t-1", 100n);
    const second = await ask(shop.terminal, "t-2", 100n);
    expect(second).toMatchObject({ outcome: "declined", responseCode: "61", reason: "E_LIMIT" });
    expect(second.detail).toContain("has a tip already");
    await shop.terminal.tell(shop.terminal.entry(shop.terminal.reversal("t-1")));
    expect(await tip(shop.terminal, "t-3", 100n)).toMatchObject({ outcome: "approved" });
    expect(await ask(shop.terminal, "t-4", 100n)).toMatchObject({ reason: "E_LIMIT" });
    expect(await shop.balance(shop.customer)).toBe(94_900n);
  });

  test("a tip is no more than the merchant's part of what was bought", async () => {
    const shop = await restaurant();
    expect(await ask(shop.terminal, "t-1", 1_001n)).toMatchObject({
      responseCode: "61",
      reason: "E_LIMIT",
      detail: expect.stringContaining("1000 minor units"),
    });
    await shop.merchant({ id: "shop", trade: TradeTermsSchema.parse({ tipPercentMax: 5, cashbackMaxMinor: 5_000 }) });
    expect(await ask(shop.terminal, "t-2", 251n)).toMatchObject({ reason: "E_LIMIT" });
    expect(await ask(shop.terminal, "t-3", 250n)).toMatchObject({ outcome: "approved" });
    await shop.merchant({ id: "shop", trade: TradeTermsSchema.parse({ tipPercentMax: 0 }) });
    expect(await ask(shop.terminal, "t-4", 1n)).toMatchObject({ responseCode: "58", reason: "E_DENIED" });
  });

  test("neither cash nor what went back was bought", async () => {
    const shop = await settlementShop();
    await shop.merchant({ id: "shop", trade: TradeTermsSchema.parse({ cashbackMaxMinor: 5_000 }) });
    await shop.sell("p-1", 5_000n, shop.terminal, { card, cashback: eur(1_000n) });
    expect(await ask(shop.terminal, "t-1", 801n)).toMatchObject({ reason: "E_LIMIT" });
    await shop.refund("r-1", "p-1", 1_000n);
    expect(await ask(shop.terminal, "t-2", 601n)).toMatchObject({ reason: "E_LIMIT" });
    expect(await ask(shop.terminal, "t-3", 600n)).toMatchObject({ outcome: "approved" });
  });

  test("once the batch of the sale is closed, or due to be, no tip comes on top", async () => {
    const shop = await restaurant();
    await shop.cutover();
    expect(await ask(shop.terminal, "t-1", 100n)).toMatchObject({
      outcome: "declined",
      reason: "E_STATE",
      detail: expect.stringContaining("batch"),
    });
    await shop.sell("p-2", 5_000n, shop.terminal, { card });
    const later = { originalPaymentId: idOf("p-2") };
    await shop.clock.advance(24 * 3_600_000);
    expect(await ask(shop.terminal, "t-2", 100n, later)).toMatchObject({ reason: "E_STATE" });
  });

  test("only a confirmed purchase can have one", async () => {
    const shop = await restaurant();
    const { terminal } = shop;
    await terminal.ask(terminal.request("open"));
    await shop.refund("refund", "p-1", 100n);
    await tip(terminal, "tip", 100n);
    for (const [index, original] of ["open", "refund", "tip", "never-sold", undefined].entries())
      expect(
        await ask(terminal, `t-${index}`, 100n, {
          originalPaymentId: original === undefined ? undefined : idOf(original),
        }),
      ).toMatchObject({ outcome: "declined", responseCode: "25", reason: "E_UNKNOWN" });
  });

  test("a sale by code or note, whose payer said how much, can have none", async () => {
    const shop = await settlementShop();
    await shop.sell("p-1", 5_000n);
    expect(await ask(shop.terminal, "t-1", 100n)).toMatchObject({ responseCode: "05", reason: "E_DENIED" });
  });

  test.each([
    ["in another currency", { amount: { minor: "100", currency: "USD" as typeof EUR } }, "13", "E_CONFLICT"],
    ["of nothing", { amount: eur(0n) }, "13", "E_FORMAT"],
    ["with cash", { cashback: eur(10n) }, "30", "E_FORMAT"],
  ] as const)("a tip %s is refused", async (_what, changes, responseCode, reason) => {
    const shop = await restaurant();
    expect(await ask(shop.terminal, "t-1", 100n, changes)).toMatchObject({ outcome: "declined", responseCode, reason });
  });

  test("an account that has not enough pays none", async () => {
    const shop = await restaurant({ balanceMinor: 5_100n });
    expect(await ask(shop.terminal, "t-1", 101n)).toMatchObject({ responseCode: "51", reason: "E_LIMIT" });
  });

  test.each(["card", "account"] as const)("a payer whose %s was stopped since pays none", async (kind) => {
    const shop = await restaurant();
    const subject = { kind, id: kind === "card" ? TEST_PAN : shop.customer };
    await shop.change((within) => shop.hub.terminals.denyList.add(within, subject));
    expect(await ask(shop.terminal, "t-1", 100n)).toMatchObject({ responseCode: "05", reason: "E_DENIED" });
  });

  test("another terminal of the merchant takes it, and one of another merchant does not", async () => {
    const shop = await restaurant();
    const mate = await shop.another("shop-2");
    const stranger = await shop.another("else-1");
    await shop.merchant({ id: "else" });
    await shop.site({ id: "else", merchantId: "else" });
    await shop.assign("else-1", "else");
    expect(await ask(stranger, "t-1", 100n)).toMatchObject({ reason: "E_UNKNOWN" });
    expect(await tip(mate, "t-1", 100n)).toMatchObject({ outcome: "approved" });
  });

  test("RM4 the same request again gets the first answer, and another amount is a conflict that names it", async () => {
    const shop = await restaurant();
    const first = await ask(shop.terminal, "t-1", 100n);
    expect(await ask(shop.terminal, "t-1", 100n)).toEqual(first);
    expect(await ask(shop.terminal, "t-1", 101n)).toMatchObject({
      reason: "E_CONFLICT",
      detail: expect.stringContaining("amount.minor"),
    });
    expect(await confirm(shop.terminal, "t-1", 101n)).toMatchObject([{ status: "quarantined", reason: "E_CONFLICT" }]);
    expect(await confirm(shop.terminal, "t-1", 100n)).toMatchObject([{ status: "processed" }]);
    expect(await confirm(shop.terminal, "t-1", 100n)).toMatchObject([{ status: "duplicate" }]);
  });

  test("RM12 the tip can be refunded up to what it was, and what is left of its sale stays the same", async () => {
    const shop = await restaurant();
    await tip(shop.terminal, "t-1", 1_000n);
    expect(await shop.refund("r-1", "t-1", 1_001n)).toMatchObject({ reason: "E_LIMIT" });
    expect(await shop.refund("r-2", "t-1", 600n)).toMatchObject({ outcome: "approved" });
    expect(await shop.refund("r-3", "t-1", 401n)).toMatchObject({ reason: "E_LIMIT" });
    expect(await shop.refund("r-4", "p-1", 5_001n)).toMatchObject({ reason: "E_LIMIT" });
    expect(await shop.refund("r-5", "p-1", 5_000n)).toMatchObject({ outcome: "approved" });
    expect(await shop.balance(shop.customer)).toBe(99_600n);
  });

  test("RM16 a tip whose hold ran out is posted all the same when its confirmation comes after all", async () => {
    const shop = await restaurant();
    await ask(shop.terminal, "t-1", 1_000n);
    await shop.clock.advance(HOLD_MS);
    expect(await shop.hub.expireHolds()).toBe(1);
    expect(await confirm(shop.terminal, "t-1", 1_000n)).toMatchObject([{ status: "processed" }]);
    expect(await shop.balance(shop.customer)).toBe(94_000n);
  });

  test("RM16 a tip, or a refund, whose hold is over and not swept yet is posted all the same, and once", async () => {
    const shop = await restaurant();
    const { terminal } = shop;
    await ask(terminal, "t-1", 1_000n);
    await terminal.ask(terminal.request("r-1", { kind: "refund", amount: eur(300n), originalPaymentId: idOf("p-1") }));
    await shop.clock.advance(HOLD_MS);
    expect(await confirm(terminal, "t-1", 1_000n)).toMatchObject([{ status: "processed" }]);
    expect(await confirm(terminal, "r-1", 300n, { operation: "refund" })).toMatchObject([{ status: "processed" }]);
    await shop.hub.expireHolds();
    expect(await shop.balance(shop.customer)).toBe(94_300n);
    expect(await shop.balance("merchant:shop:EUR")).toBe(5_700n);
  });

  test.each(["before", "after"] as const)(
    "RM1 a tip, or a refund, that was reversed when its hold was over, %s the sweep, is not posted",
    async (when) => {
      const shop = await restaurant();
      const { terminal } = shop;
      const refund = { kind: "refund", amount: eur(300n), originalPaymentId: idOf("p-1") } as const;
      await ask(terminal, "t-1", 1_000n);
      await terminal.ask(terminal.request("r-1", refund));
      await shop.clock.advance(HOLD_MS);
      if (when === "after") await shop.hub.expireHolds();
      const reversed = await terminal.tell(...["t-1", "r-1"].map((id) => terminal.entry(terminal.reversal(id))));
      expect(reversed).toMatchObject([{ status: "processed" }, { status: "processed" }]);
      expect(await shop.hub.expireHolds()).toBe(when === "after" ? 0 : 2);
      const refused = [{ status: "quarantined", reason: "E_STATE" }];
      expect(await confirm(terminal, "t-1", 1_000n)).toMatchObject(refused);
      expect(await confirm(terminal, "r-1", 300n, { operation: "refund" })).toMatchObject(refused);
      expect(await shop.balance(shop.customer)).toBe(95_000n);
    },
  );

  test("of two tips on one sale the second is never posted, whatever became of the first one's hold", async () => {
    const shop = await restaurant({ holdMs: 60_000 });
    await ask(shop.terminal, "t-1", 100n);
    await shop.clock.advance(60_000);
    await shop.hub.expireHolds();
    expect(await tip(shop.terminal, "t-2", 200n)).toMatchObject({ outcome: "approved" });
    expect(await confirm(shop.terminal, "t-1", 100n)).toMatchObject([{ status: "quarantined", reason: "E_LIMIT" }]);
    expect(await shop.balance(shop.customer)).toBe(94_800n);
  });

  test("RM12 what an exposure account bore of a tip makes nothing good of what it bore of the sale", async () => {
    const shop = await settlementShop({ balanceMinor: 4_500n });
    await shop.sell("p-0", 1_000n);
    await shop.sell("p-1", 5_000n, shop.terminal, { card });
    await shop.refund("r-0", "p-0", 1_000n);
    await ask(shop.terminal, "t-1", 500n);
    await shop.clock.advance(HOLD_MS);
    await shop.hub.expireHolds();
    await shop.sell("p-2", 1_000n);
    expect(await confirm(shop.terminal, "t-1", 500n)).toMatchObject([{ status: "processed" }]);
    expect(await shop.balance("exposure:operator:EUR")).toBe(-2_000n);
    await shop.refund("r-1", "p-1", 1_500n);
    expect(await shop.balance("exposure:operator:EUR")).toBe(-500n);
    expect(await shop.balance(shop.customer)).toBe(0n);
  });

  test("a tip that this hub never approved is not posted", async () => {
    const shop = await restaurant();
    expect(await confirm(shop.terminal, "t-1", 100n)).toMatchObject([{ status: "quarantined", reason: "E_UNKNOWN" }]);
    await ask(shop.terminal, "t-2", 1_001n);
    expect(await confirm(shop.terminal, "t-2", 1_001n)).toMatchObject([{ status: "quarantined", reason: "E_STATE" }]);
    expect(await shop.balance(shop.customer)).toBe(95_000n);
  });
});

describe("on cards of another institution", () => {
  let stand: SwitchStand;
  beforeEach(async () => {
    stand = await switchStand();
    await stand.buy("p-1", { amount: eur(5_000n) });
    const { terminal } = stand.fixture;
    await terminal.tell(terminal.entry(terminal.decision("p-1", { ...online, amount: eur(5_000n), card })));
  });
  afterEach(() => stand[Symbol.asyncDispose]());
  const balance = () => stand.issuer.books.account(ANNA)?.balanceMinor;
  const delivered = () => until(stand, async () => (await viewOf(stand)).advices.open === 0);
  const owed = async () => {
    const { hub } = stand.fixture;
    return await hub.store.read((reading) => hub.ledger.account(reading, `issuer:${BANK}:EUR`));
  };

  test("RM14 the issuer is asked with the card of the sale, and his books and ours hold the same", async () => {
    expect(await tip(stand.fixture.terminal, "t-1", 1_000n)).toMatchObject({ outcome: "approved" });
    expect(stand.booked("t-1")).toMatchObject({ postedMinor: "1000", operation: "purchase" });
    expect(balance()).toBe(BALANCE - 6_000n);
    expect(await owed()).toMatchObject({ debitsPosted: 6_000n, debitsPending: 0n });
    expect(await advicesOf(stand)).toEqual([]);
  });

  test("RM14 it is an adjustment under the reference of the sale, be it asked or told", async () => {
    const { terminal, hub, clock } = stand.fixture;
    const sent = async (id: string, attempt: number) => {
      const key = { terminalId: terminal.terminalId, paymentId: idOf(id) };
      const exchange = await hub.store.read((reading) => exchangeStore.get(reading, key, attempt));
      if (!exchange) throw new Error(`no issuer heard of ${id}`);
      return requestOf({ version: "0", exchange, card: { pan: ANNA, expiry: TEST_EXPIRY } }).fields;
    };
    await ask(terminal, "t-1", 1_000n);
    await clock.advance(HOLD_MS);
    await hub.expireHolds();
    await confirm(terminal, "t-1", 1_000n);
    const sale = await sent("p-1", 1);
    expect(sale).toMatchObject({ 3: "000000" });
    for (const attempt of [1, 0])
      expect(await sent("t-1", attempt)).toMatchObject({ 3: "020000", 4: "000000001000", 37: sale[37] });
  });

  test("what he declines holds nothing, and the sale may have a tip yet", async () => {
    await stand.issuer.break({ decline: "51" });
    expect(await ask(stand.fixture.terminal, "t-1", 1_000n)).toMatchObject({ outcome: "declined", responseCode: "51" });
    await stand.issuer.clear();
    expect(await tip(stand.fixture.terminal, "t-2", 1_000n)).toMatchObject({ outcome: "approved" });
    expect(await owed()).toMatchObject({ debitsPosted: 6_000n });
  });

  test("RM1 a tip that its terminal takes back is taken back with him too", async () => {
    const { terminal } = stand.fixture;
    await ask(terminal, "t-1", 1_000n);
    await terminal.tell(terminal.entry(terminal.reversal("t-1")));
    await delivered();
    expect(stand.booked("t-1")).toMatchObject({ postedMinor: "0", attempts: { "1": "reversed" } });
    expect(balance()).toBe(BALANCE - 5_000n);
  });

  test("nobody approves a tip in the name of an issuer who does not answer, and what he may have approved is taken back", async () => {
    await stand.issuer.break({ mute: true });
    const asked = { kind: "tip", originalPaymentId: idOf("p-1"), amount: eur(1_000n), card: undefined } as const;
    const { answer } = await stand.buyInTime("t-1", asked);
    expect(answer).toMatchObject({ outcome: "declined", detail: expect.stringContaining("txn.types") });
    await stand.comeBack();
    await delivered();
    expect(balance()).toBe(BALANCE - 5_000n);
  });

  test("RM12 a tip goes back to the card of its sale, and is told once more when its confirmation comes late", async () => {
    const { terminal, hub, clock } = stand.fixture;
    await ask(terminal, "t-1", 1_000n);
    await clock.advance(HOLD_MS);
    await hub.expireHolds();
    await until(stand, async () => stand.booked("t-1")?.postedMinor === "0");
    expect(await confirm(terminal, "t-1", 1_000n)).toMatchObject([{ status: "processed" }]);
    await delivered();
    expect(stand.booked("t-1")).toMatchObject({ postedMinor: "1000" });
    const refund = terminal.request("r-1", { kind: "refund", originalPaymentId: idOf("t-1"), amount: eur(400n) });
    expect(await terminal.ask(refund)).toMatchObject({ outcome: "approved" });
    expect(balance()).toBe(BALANCE - 5_600n);
  });
});
