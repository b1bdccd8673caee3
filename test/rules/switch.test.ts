/** Cards of other institutions: asked of their issuers, decided in their name while these are away, and told to them in the end. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { sql } from "../../hub/store/store.ts";
import {
  ANNA,
  advicesOf,
  BALANCE,
  BANK,
  endDay,
  euros,
  OTHERS,
  STOPPED,
  type SwitchStand,
  switchStand,
  until,
  viewOf,
} from "./switch-stand.ts";

let stand: SwitchStand;
beforeEach(async () => {
  stand = await switchStand();
});
afterEach(() => stand[Symbol.asyncDispose]());

const ledgerOf = async (account: string) => {
  const { hub } = stand.fixture;
  return await hub.store.read((reading) => hub.ledger.account(reading, account));
};
const idOf = (text: string): PaymentId => text as PaymentId;
const issuerAccount = () => ledgerOf(`issuer:${BANK}:EUR`);
/** Template 72 with an identifier, and no command. */
const SCRIPT = "72079f180400000001";
const tellResults = (paymentId: string) => {
  const { terminal } = stand.fixture;
  return terminal.tell(terminal.entry({ ...terminal.reversal(paymentId), scriptResults: "2000000001" }));
};
const balanceOf = (pan: string) => stand.issuer.books.account(pan)?.balanceMinor;
const delivered = async () => {
  await until(stand, async () => (await viewOf(stand)).advices.open === 0);
  return await advicesOf(stand);
};

describe("while the issuer answers", () => {
  test("AC3.1 he decides, stand-in is asked nothing, and his books and ours hold the same", async () => {
    const answer = await stand.buy("p-1", euros(9_000));
    expect(answer).toMatchObject({ outcome: "approved", responseCode: "00", approvalCode: expect.any(String) });
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "9000", attempts: { "1": "approved" } });
    expect(balanceOf(ANNA)).toBe(BALANCE - 9_000n);
    expect(await issuerAccount()).toMatchObject({ debitsPending: 9_000n });
    expect(stand.counts.of("stand_in")).toBe(0);
    expect(await advicesOf(stand)).toEqual([]);
  });

  test("RM1 what the issuer declines is declined with his code, and holds nothing", async () => {
    await stand.issuer.break({ decline: "51" });
    expect(await stand.buy("p-1")).toMatchObject({ outcome: "declined", responseCode: "51", reason: "E_LIMIT" });
    expect((await issuerAccount())?.debitsPending).toBe(0n);
    expect(await advicesOf(stand)).toEqual([]);
  });

  test("RM4 the same request again gets the first answer, and the issuer hears of it once", async () => {
    const { terminal, hub } = stand.fixture;
    const request = terminal.request("p-1", { card: terminal.seal("p-1", ANNA) });
    const [[first], [second]] = await Promise.all([hub.receive(request), hub.receive(request)]);
    const later = await terminal.ask(request);
    expect(first).toMatchObject({ body: { outcome: "approved" } });
    expect(second).toMatchObject({ body: { approvalCode: later.approvalCode } });
    expect(first).toMatchObject({ body: { approvalCode: later.approvalCode } });
    expect(stand.counts.of("requests", { answer: "answered" })).toBe(1);
  });

  test("RM4 the same request with another amount, while the first is under way, is a conflict that names the field", async () => {
    const [, second] = await Promise.all([stand.buy("p-1"), stand.buy("p-1", euros(9_000))]);
    expect(second).toMatchObject({
      outcome: "declined",
      reason: "E_CONFLICT",
      detail: expect.stringContaining("amount"),
    });
    expect(stand.booked("p-1")?.postedMinor).toBe("1000");
  });

  test("RM1 an approval that the terminal does not complete is reversed with the issuer", async () => {
    await stand.buy("p-1");
    const { terminal } = stand.fixture;
    expect(await terminal.tell(terminal.entry(terminal.reversal("p-1")))).toMatchObject([{ status: "processed" }]);
    expect(await delivered()).toMatchObject([{ kind: "reversal", attempt: 1, state: { at: "delivered", sends: 1 } }]);
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "0", attempts: { "1": "reversed" } });
    expect(balanceOf(ANNA)).toBe(BALANCE);
    expect((await issuerAccount())?.debitsPending).toBe(0n);
  });

  test.each([
    [
      "he declines",
      "51",
      { kind: "reversal", reason: "declined" },
      { postedMinor: "0", attempts: { "1": "declined" } },
    ],
    ["the card does not complete", undefined, { reason: "not-completed" }, { attempts: { "1": "reversed" } }],
  ])("RM13 scripts go to the card where %s, and their results to him", async (_, decline, entry, booked) => {
    await stand.issuer.break({ decline, script: SCRIPT });
    expect(await stand.buy("p-1")).toMatchObject({ issuerScripts: [SCRIPT] });
    expect(await tellResults("p-1")).toMatchObject([{ status: "processed" }]);
    expect(await delivered()).toMatchObject([{ ...entry, state: { at: "delivered" } }]);
    expect(stand.booked("p-1")).toMatchObject({ ...booked, scriptResults: "2000000001" });
    expect(balanceOf(ANNA)).toBe(BALANCE);
    await stand.issuer.clear();
    await stand.buy("p-2");
    expect(await endDay(stand)).toMatchObject([{ state: "in-balance" }]);
  });

  test("RM13 a card that he declined is his again, though he has yet to hear the results of its scripts", async () => {
    await stand.issuer.break({ decline: "51", script: SCRIPT });
    await stand.buy("p-1");
    await stand.issuer.break({ lose: 1 });
    await tellResults("p-1");
    await until(stand, async () => stand.issuer.status().counts["answers-lost"] === 1);
    await stand.buy("p-2");
    expect(await advicesOf(stand)).not.toMatchObject([{ state: { at: "delivered" } }]);
    expect(stand.counts.of("stand_in")).toBe(0);
    expect(stand.booked("p-2")).toMatchObject({ attempts: { "1": "declined" } });
  });

  test("RM1 a newer attempt takes the older one back, so that the issuer has the sale once", async () => {
    await stand.buy("p-1");
    expect(await stand.buy("p-1", { attempt: 2 })).toMatchObject({ outcome: "approved" });
    await delivered();
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "1000" });
    expect((await issuerAccount())?.debitsPending).toBe(1_000n);
  });

  test("RM1 a confirmed sale is posted here, and the issuer is told nothing more", async () => {
    const answer = await stand.buy("p-1");
    const { terminal } = stand.fixture;
    const { approvalCode = "" } = answer;
    const advice = terminal.advice("p-1", { mode: "online", approvalCode });
    expect(await terminal.tell(advice)).toMatchObject([{ status: "processed" }]);
    expect(await issuerAccount()).toMatchObject({ debitsPending: 0n, debitsPosted: 1_000n });
    expect(await advicesOf(stand)).toEqual([]);
  });

  test("RM12 a refund goes back to the card of its original, through its issuer", async () => {
    await stand.buy("p-1", euros(5_000));
    const { terminal } = stand.fixture;
    await terminal.tell(terminal.advice("p-1", { ...euros(5_000), mode: "online" }));
    const refund = terminal.request("r-1", { kind: "refund", originalPaymentId: idOf("p-1"), ...euros(2_000) });
    expect(await terminal.ask(refund)).toMatchObject({ outcome: "approved" });
    expect(balanceOf(ANNA)).toBe(BALANCE - 3_000n);
  });

  test("RM12 a refund whose hold ran out is told to the issuer once more when its confirmation comes after all", async () => {
    await stand.buy("p-1", euros(5_000));
    const { terminal, hub, clock } = stand.fixture;
    await terminal.tell(terminal.advice("p-1", { ...euros(5_000), mode: "online" }));
    await terminal.ask(terminal.request("r-1", { kind: "refund", originalPaymentId: idOf("p-1"), ...euros(2_000) }));
    await clock.advance(25 * 3_600_000);
    expect(await hub.expireHolds()).toBe(1);
    await until(stand, async () => stand.booked("r-1")?.postedMinor === "0");
    const confirmed = terminal.entry(
      terminal.decision("r-1", { ...euros(2_000), operation: "refund", mode: "online" }),
    );
    expect(await terminal.tell(confirmed)).toMatchObject([{ status: "processed" }]);
    await until(stand, async () => stand.booked("r-1")?.postedMinor === "2000");
    expect(balanceOf(ANNA)).toBe(BALANCE - 3_000n);
  });

  test("RM1 another card under the same payment is refused, and no issuer hears of it", async () => {
    await stand.issuer.break({ decline: "51" });
    await stand.buy("p-1");
    await stand.issuer.clear();
    const other = await stand.buy("p-1", { pan: OTHERS[0], attempt: 2 });
    expect(other).toMatchObject({ outcome: "declined", reason: "E_CONFLICT" });
    expect(stand.counts.of("requests")).toBe(1);
  });

  test("a track that is none is left out of the request, which is answered like any other", async () => {
    const { terminal } = stand.fixture;
    const card = terminal.seal("p-1", ANNA, undefined, "abc");
    expect(await stand.buy("p-1", { card })).toMatchObject({ outcome: "approved" });
  });

  test("RM1 a sale made with no hub in reach is told to the issuer, who posts it", async () => {
    const { terminal } = stand.fixture;
    const sealed = terminal.seal("p-1", ANNA);
    const [receipt] = await terminal.tell(terminal.entry(terminal.decision("p-1"), { sealed }));
    expect(receipt).toMatchObject({ status: "processed" });
    expect(await delivered()).toMatchObject([{ kind: "advice", attempt: 0, reason: "offline" }]);
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "1000", advised: "offline" });
    expect(await issuerAccount()).toMatchObject({ debitsPosted: 1_000n });
  });

  test("a card of no institution stays with the hub's own accounts", async () => {
    const { terminal } = stand.fixture;
    expect(await terminal.ask(terminal.request("p-1"))).toMatchObject({ outcome: "approved" });
    expect(stand.counts.of("requests")).toBe(0);
  });
});

describe("while the issuer is silent", () => {
  test("AC3.2 RM2 three requests wait for him and are decided all the same, the fourth does not wait; the limits hold", async () => {
    await stand.issuer.break({ mute: true });
    for (const [index, pan] of OTHERS.entries()) {
      const { answer, afterMs } = await stand.buyInTime(`p-${index}`, { pan, ...euros(100) });
      expect(answer).toMatchObject({ outcome: "approved", responseCode: "00", approvalCode: expect.any(String) });
      expect(afterMs).toBeGreaterThanOrEqual(2_000);
      expect(afterMs).toBeLessThan(2_500);
    }
    const asked = stand.counts.of("requests");
    const fourth = await stand.buyInTime("p-4", { pan: ANNA, ...euros(9_000) });
    expect(fourth.answer.outcome).toBe("approved");
    expect(fourth.afterMs).toBeLessThan(300);
    const { answer } = await stand.buyInTime("p-5", { pan: ANNA, ...euros(10_001) });
    expect(answer).toMatchObject({
      outcome: "declined",
      reason: "E_LIMIT",
      detail: expect.stringContaining("limit.single"),
    });
    expect(stand.counts.of("requests")).toBe(asked);
  });

  test("AC3.3 an account on the stop list is declined though the amount is small, and the log says so", async () => {
    await stand.goDown();
    const { answer } = await stand.buyInTime("p-1", { pan: STOPPED, ...euros(1) });
    expect(answer).toMatchObject({
      outcome: "declined",
      responseCode: "05",
      detail: expect.stringContaining("account.stopList"),
    });
    const log = await advicesOf(stand);
    expect(log.at(-1)).toMatchObject({ paymentId: "p-1", approved: false, decidedBy: "account.stopList" });
    await stand.comeBack();
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "0", declined: "05" });
  });

  test("AC3.5 RM15 he comes back: each decision is told once, in order, and his books are as if he had never been away", async () => {
    await stand.goDown();
    const sales = ["p-1", "p-2"];
    for (const paymentId of sales) await stand.buyInTime(paymentId, euros(2_500));
    await stand.buyInTime("p-3", euros(10_001));
    expect((await viewOf(stand)).stoodInMinor).toBe(5_003n);
    await stand.comeBack();
    const log = await advicesOf(stand);
    expect(log.map(({ state }) => state.at)).toEqual(log.map(() => "delivered"));
    for (const paymentId of sales)
      expect(stand.booked(paymentId)).toMatchObject({ postedMinor: "2500", advised: "stand-in-timeout" });
    expect(stand.booked("p-3")).toMatchObject({ postedMinor: "0", declined: "61" });
    expect(balanceOf(ANNA)).toBe(BALANCE - 5_000n);
    for (const pan of OTHERS) expect(balanceOf(pan)).toBe(BALANCE - 1n);
    expect(await issuerAccount()).toMatchObject({ debitsPending: 5_003n });
    expect((await viewOf(stand)).stoodInMinor).toBe(0n);
    expect(await stand.buy("p-4")).toMatchObject({ outcome: "approved" });
    expect(stand.booked("p-4")).toMatchObject({ attempts: { "1": "approved" } });
  });

  test("AC3.5 an answer to an advice that is lost makes it come again, and it moves money once", async () => {
    await stand.goDown();
    await stand.buyInTime("p-1", euros(2_500));
    await stand.issuer.break({ mute: false, lose: 2 });
    await until(stand, async () => (await viewOf(stand)).availability !== "down");
    while ((await viewOf(stand)).advices.open > 0) await stand.fixture.clock.advance(100);
    expect((await advicesOf(stand)).some(({ state }) => state.sends > 1)).toBe(true);
    expect(balanceOf(ANNA)).toBe(BALANCE - 2_500n);
  });

  test("RM1 he posted it and his answer was lost: the approval in his name is told, and moves the money once", async () => {
    await stand.issuer.break({ lose: 1 });
    const { answer } = await stand.buyInTime("p-1", euros(2_500));
    expect(answer.outcome).toBe("approved");
    await delivered();
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "2500" });
    expect(balanceOf(ANNA)).toBe(BALANCE - 2_500n);
  });

  test("RM1 he posted it and his answer was lost: a decline in his name takes it back first", async () => {
    await stand.issuer.break({ lose: 1 });
    const { answer } = await stand.buyInTime("p-1", euros(10_001));
    expect(answer.outcome).toBe("declined");
    const log = await delivered();
    expect(log.map(({ kind }) => kind)).toEqual(["reversal", "advice"]);
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "0", attempts: { "1": "reversed" } });
    expect(balanceOf(ANNA)).toBe(BALANCE);
  });

  test("RM1 an answer that comes after its request was decided changes nothing", async () => {
    await stand.issuer.break({ lateMs: 200, decline: "51" });
    const { answer } = await stand.buyInTime("p-1", euros(100));
    expect(answer.outcome).toBe("approved");
    await stand.counts.reach("dropped", { reason: "late" });
    expect(await stand.buyInTime("p-1", euros(100))).toMatchObject({ answer: { approvalCode: answer.approvalCode } });
    expect(await issuerAccount()).toMatchObject({ debitsPending: 100n });
  });

  test("RM2 a terminal that gives the hub less time has its answer in that time", async () => {
    await stand.issuer.break({ mute: true });
    const { clock } = stand.fixture;
    const answerBy = new Date(clock.now() + 1_000).toISOString();
    const { answer, afterMs } = await stand.buyInTime("p-1", { answerBy, ...euros(100) });
    expect(answer.outcome).toBe("approved");
    expect(afterMs).toBeLessThan(1_000);
  });

  test("a person sets an entry aside that is under way: it stays on the exception list, whatever comes of it", async () => {
    await stand.issuer.break({ mute: true });
    await stand.buyInTime("p-1", euros(100));
    const { hub, clock } = stand.fixture;
    while ((await advicesOf(stand))[0]?.state.at !== "sent") await clock.advance(20);
    const aside = await hub.store.transaction((within) => hub.switch.issuers.setAside(within, BANK, 1));
    expect(aside?.state.at).toBe("exception");
    await clock.advance(60_000);
    expect((await advicesOf(stand))[0]?.state.at).toBe("exception");
    expect((await viewOf(stand)).advices).toEqual({ open: 0, exceptions: 1 });
  });

  test("an entry that can never be sent goes to the exception list, and the others are told", async () => {
    await stand.goDown();
    await stand.buyInTime("p-1", euros(100));
    const { hub } = stand.fixture;
    const SPOIL = sql<[string]>("UPDATE switch__exchange SET facts = '{}' WHERE payment_id = ?");
    await hub.store.transaction((within) => within.run(SPOIL, ["p-1"]));
    await stand.comeBack();
    const log = await advicesOf(stand);
    expect(log.filter(({ state }) => state.at === "exception").map(({ paymentId }) => paymentId)).toEqual(["p-1"]);
    expect(log.filter(({ state }) => state.at === "delivered")).toHaveLength(OTHERS.length);
  });

  test("RM1 a decision in his name that the terminal does not complete is withdrawn behind its advice", async () => {
    await stand.goDown();
    await stand.buyInTime("p-1", euros(2_500));
    const { terminal } = stand.fixture;
    await terminal.tell(terminal.entry(terminal.reversal("p-1")));
    await stand.comeBack();
    expect((await advicesOf(stand)).filter(({ paymentId }) => paymentId === "p-1").map(({ kind }) => kind)).toEqual([
      "advice",
      "reversal",
    ]);
    expect(stand.booked("p-1")?.postedMinor).toBe("0");
    expect(balanceOf(ANNA)).toBe(BALANCE);
  });

  test("RM15 what he refuses to post goes to the exception list, and keeps nobody else from being told", async () => {
    await stand.goDown();
    await stand.buyInTime("p-1", euros(2_500));
    await stand.issuer.break({ mute: false, refuseAdvices: "05" });
    await until(stand, async () => {
      const { availability, advices } = await viewOf(stand);
      return availability === "up" && advices.exceptions > 0 && advices.open === 0;
    });
    expect((await advicesOf(stand)).find(({ paymentId }) => paymentId === "p-1")?.state).toMatchObject({
      at: "exception",
      refusals: 3,
      responseCode: "05",
    });
  });

  test("RM1 a request that its terminal reversed while the issuer was asked is neither approved nor decided in his name", async () => {
    await stand.issuer.break({ mute: true });
    const { terminal } = stand.fixture;
    const asked = stand.buyInTime("p-1", euros(100));
    const [receipt] = await terminal.tell(terminal.entry(terminal.reversal("p-1")));
    expect(receipt).toMatchObject({ status: "processed" });
    expect((await asked).answer.outcome).toBe("stale");
    await stand.issuer.clear();
    expect(await delivered()).toMatchObject([{ kind: "reversal", paymentId: "p-1" }]);
    expect(await issuerAccount()).toMatchObject({ debitsPending: 0n, debitsPosted: 0n });
    expect(balanceOf(ANNA)).toBe(BALANCE);
  });

  test("RM15 an account that he has yet to hear of stays with stand-in, and every other is his", async () => {
    await stand.issuer.break({ lose: 1, refuseAdvices: "91" });
    await stand.buyInTime("p-1", euros(100));
    const asked = stand.counts.of("requests", { answer: "answered" });
    expect((await stand.buyInTime("p-2", euros(100))).answer.outcome).toBe("approved");
    expect(stand.booked("p-2")).toBeUndefined();
    expect(await stand.buy("p-3", { pan: OTHERS[0] })).toMatchObject({ outcome: "approved" });
    expect(stand.booked("p-3")).toMatchObject({ attempts: { "1": "approved" } });
    await stand.issuer.clear();
    await delivered();
    expect(stand.booked("p-2")).toMatchObject({ postedMinor: "100", advised: "stand-in-timeout" });
    expect(stand.counts.of("requests", { answer: "answered" })).toBeGreaterThan(asked);
  });

  test("a sign-off is believed at once, and a sign-on brings him back", async () => {
    await stand.issuer.break({ signedOff: true });
    await stand.counts.reach("links", { status: "signed-off" });
    const { answer, afterMs } = await stand.buyInTime("p-1", euros(100));
    expect(answer.outcome).toBe("approved");
    expect(afterMs).toBeLessThan(300);
    await stand.comeBack();
    expect(stand.booked("p-1")).toMatchObject({ postedMinor: "100", advised: "stand-in-signed-off" });
  });
});
