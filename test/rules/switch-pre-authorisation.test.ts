/** Pre-authorisations on cards of another institution: 0100, its completion by 0220, and 0420 where there is none (RM14). */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { exchangeStore } from "../../hub/core/switch/exchange-store.ts";
import { ANNA, advicesOf, BALANCE, BANK, euros, type SwitchStand, switchStand, until, viewOf } from "./switch-stand.ts";

const DAY_MS = 86_400_000;
const idOf = (text: string): PaymentId => text as PaymentId;

let stand: SwitchStand;
beforeEach(async () => {
  stand = await switchStand();
});
afterEach(() => stand[Symbol.asyncDispose]());

const issuerAccount = () => {
  const { hub } = stand.fixture;
  return hub.store.read((reading) => hub.ledger.account(reading, `issuer:${BANK}:EUR`));
};
const anna = () => stand.issuer.books.account(ANNA);
const hold = (minor: number) => stand.buy("hotel", { kind: "pre-authorisation", ...euros(minor) });
const delivered = async () => {
  await until(stand, async () => (await viewOf(stand)).advices.open === 0);
  return (await advicesOf(stand)).map(({ kind, reason, state }) => `${kind} ${reason} ${state.at}`);
};
/** What is kept of the messages about the payment: what they say, or the trace of the first. */
async function toldOf(attempt: number, what: "facts" | "trace" = "facts"): Promise<unknown> {
  const { hub } = stand.fixture;
  const { terminalId } = stand.fixture.terminal;
  const key = { terminalId, paymentId: idOf("hotel") };
  const exchange = await hub.store.read((reading) => exchangeStore.get(reading, key, attempt));
  return what === "trace" ? exchange?.trace : JSON.parse(exchange?.facts ?? "{}");
}
async function stands(minor: number, approvalCode: string) {
  const { terminal } = stand.fixture;
  const told = terminal.decision("hotel", {
    ...{ operation: "pre-authorisation", mode: "online", attempts: [1], approvalCode, ...euros(minor) },
  });
  expect(await terminal.tell(terminal.entry(told, { sealed: terminal.seal("hotel", ANNA) }))).toMatchObject([
    { status: "processed" },
  ]);
}
async function complete(minor: number, paymentId = "bill") {
  const { terminal } = stand.fixture;
  const told = { operation: "completion", mode: "online", originalPaymentId: idOf("hotel"), ...euros(minor) } as const;
  const [receipt] = await terminal.tell(terminal.entry(terminal.decision(paymentId, told)));
  return receipt;
}

test("RM14 the issuer reserves with a 0100; the completion posts its amount by a 0220 about the same payment and frees the rest", async () => {
  const { approvalCode = "", heldUntil } = await hold(9_000);
  expect(heldUntil).toBeDefined();
  expect(stand.booked("hotel")).toMatchObject({ heldMinor: "9000", postedMinor: "0" });
  expect(anna()).toMatchObject({ balanceMinor: BALANCE, heldMinor: 9_000n });
  expect(await issuerAccount()).toMatchObject({ debitsPending: 9_000n, debitsPosted: 0n });
  await stands(9_000, approvalCode);
  expect(await advicesOf(stand)).toEqual([]);

  expect(await complete(7_000)).toMatchObject({ status: "processed" });
  expect(await issuerAccount()).toMatchObject({ debitsPending: 0n, debitsPosted: 7_000n });
  expect(await delivered()).toEqual(["advice completion delivered"]);
  expect(stand.booked("hotel")).toMatchObject({ heldMinor: "0", postedMinor: "7000", advised: "completion" });
  expect(stand.booked("bill")).toBeUndefined();
  expect(await toldOf(0)).toMatchObject({ completes: await toldOf(1, "trace"), amount: { minor: "7000" } });
  expect(anna()).toMatchObject({ balanceMinor: BALANCE - 7_000n, heldMinor: 0n });
});

test("RM14 a completion whose answer is lost is told again, and moves money once", async () => {
  await hold(9_000);
  await stand.issuer.break({ lose: 1 });
  await complete(7_000);
  expect(await delivered()).toEqual(["advice completion delivered"]);
  expect(anna()).toMatchObject({ balanceMinor: BALANCE - 7_000n, heldMinor: 0n });
  expect((await complete(7_000, "bill-2"))?.status).toBe("declined");
});

test("one that is cancelled is taken back at the issuer by a 0420", async () => {
  await hold(9_000);
  const { terminal } = stand.fixture;
  await stands(9_000, "A1B2C3");
  await terminal.tell(terminal.entry(terminal.voided("hotel", 1)));
  expect(await delivered()).toEqual(["reversal voided delivered"]);
  expect(anna()).toMatchObject({ balanceMinor: BALANCE, heldMinor: 0n });
});

test("RM16 one that is over is taken back at the issuer, and completed all the same when its completion comes late", async () => {
  await hold(9_000);
  await stands(9_000, "A1B2C3");
  const { hub, clock } = stand.fixture;
  clock.setWall(clock.now() + 7 * DAY_MS);
  expect(await hub.expireHolds()).toBe(1);
  expect(await delivered()).toEqual(["reversal never-completed delivered"]);
  expect(anna()).toMatchObject({ balanceMinor: BALANCE, heldMinor: 0n });
  expect(await complete(7_000)).toMatchObject({ status: "processed" });
  expect(await delivered()).toEqual(["reversal never-completed delivered", "advice completion delivered"]);
  expect(anna()).toMatchObject({ balanceMinor: BALANCE - 7_000n, heldMinor: 0n });
  expect(await issuerAccount()).toMatchObject({ debitsPending: 0n, debitsPosted: 7_000n });
});

test("RM14 while he is away it is stood in for, told by a 0120 that reserves, and completed behind that", async () => {
  await stand.goDown();
  const { answer } = await stand.buyInTime("hotel", { kind: "pre-authorisation", ...euros(9_000) });
  expect(answer).toMatchObject({ outcome: "approved", heldUntil: expect.any(String) });
  await stands(9_000, answer.approvalCode ?? "");
  await stand.comeBack();
  await until(stand, async () => stand.booked("hotel")?.heldMinor === "9000");
  await complete(7_000);
  await until(stand, async () => stand.booked("hotel")?.postedMinor === "7000");
  expect(anna()).toMatchObject({ balanceMinor: BALANCE - 7_000n, heldMinor: 0n });
});

test("RM12 a completion is refunded through the issuer who heard of its pre-authorisation", async () => {
  await hold(9_000);
  await complete(7_000);
  await delivered();
  const { terminal } = stand.fixture;
  const refund = terminal.request("r-1", { kind: "refund", originalPaymentId: idOf("bill"), ...euros(2_000) });
  expect(await terminal.ask(refund)).toMatchObject({ outcome: "approved" });
  expect(anna()).toMatchObject({ balanceMinor: BALANCE - 5_000n });
});
