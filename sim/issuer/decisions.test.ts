import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Books } from "./books.ts";
import type { Claim } from "./claim.ts";
import {
  type Answered,
  CODE,
  type Deciding,
  decideRequest,
  type Policy,
  takeAdvice,
  takeReversal,
} from "./decisions.ts";
import { paymentView } from "./views.ts";

const PAN = "4761739001010119";
const BALANCE = 10_000n;
const AMOUNT = 400n;
const WELL: Policy = { partial: false };

const claim: Claim = {
  key: { terminalId: "counter-7", paymentId: "p-1" },
  attempt: 1,
  of: "financial",
  operation: "purchase",
  pan: PAN,
  expiry: "3012",
  sequenceNumber: "001",
  minor: AMOUNT,
  currency: "978",
  where: { acquirerId: "12345678", day: "0105" },
  objects: [],
};
const { attempt: _attempt, ...withoutAttempt } = claim;
const offline: Claim = { ...withoutAttempt, decided: "00", reason: "offline" };
const standIn: Claim = { ...claim, decided: "00", reason: "stand-in-timeout" };
const declined: Claim = { ...claim, decided: "61", reason: "stand-in-timeout" };

function issuer(policy: Policy = WELL) {
  const books = new Books();
  books.setAccount(PAN, { expiry: "3012", currency: "978", balanceMinor: BALANCE });
  const deciding = (one: Claim): Deciding => ({ books, policy, claim: one, month: "2601", approvalCode: "000001" });
  return {
    books,
    request: (one: Partial<Claim> = {}) => decideRequest(deciding({ ...claim, ...one })),
    advice: (one: Claim) => takeAdvice(deciding(one)),
    reversal: (one: Partial<Claim> = {}) => takeReversal(deciding({ ...claim, ...one })),
    posted: () => BALANCE - (books.account(PAN)?.balanceMinor ?? 0n),
    held: () => books.account(PAN)?.heldMinor,
    view: () => {
      const payment = books.payment(claim.key);
      return payment && paymentView(payment);
    },
  };
}
type Issuer = ReturnType<typeof issuer>;

const MESSAGES: Readonly<Record<string, (host: Issuer) => Answered>> = {
  request: (host) => host.request(),
  reversal: (host) => host.reversal(),
  standIn: (host) => host.advice(standIn),
  declined: (host) => host.advice(declined),
  offline: (host) => host.advice(offline),
};
const anyOrder = (...names: readonly string[]) => fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 12 });

function run(host: Issuer, names: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const answers: Record<string, string[]> = {};
  for (const name of names) {
    const { responseCode } = (MESSAGES[name] ?? MESSAGES["request"])?.(host) ?? { responseCode: "" };
    answers[name] = [...(answers[name] ?? []), responseCode];
  }
  return answers;
}

describe("RM1 in every order of request, answer, reversal and advice", () => {
  test("a payment is posted once or not at all, and what was said last week is said today", () => {
    fc.assert(
      fc.property(anyOrder(...Object.keys(MESSAGES)), (names) => {
        const host = issuer();
        for (const name of names) {
          run(host, [name]);
          expect([0n, AMOUNT]).toContain(host.posted());
          const before = host.posted();
          run(host, [name]);
          expect(host.posted()).toBe(before);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("what a terminal approved by itself is posted and stays", () => {
    fc.assert(
      fc.property(
        anyOrder("request", "reversal", "declined"),
        anyOrder("request", "reversal", "declined", "offline"),
        (earlier, later) => {
          const host = issuer();
          run(host, [...earlier, "offline"]);
          expect(host.posted()).toBe(AMOUNT);
          run(host, later);
          expect(host.posted()).toBe(AMOUNT);
        },
      ),
    );
  });

  test("a reversed attempt is given back and stays so, also when its original comes afterwards", () => {
    fc.assert(
      fc.property(
        anyOrder("request", "declined", "standIn"),
        anyOrder("request", "reversal", "declined", "standIn"),
        (earlier, later) => {
          const host = issuer();
          run(host, [...earlier, "reversal"]);
          expect(host.posted()).toBe(0n);
          run(host, later);
          expect(host.posted()).toBe(0n);
        },
      ),
    );
  });

  test("a stood-in approval is posted once, whether the request had come or comes late", () => {
    fc.assert(
      fc.property(anyOrder("request"), fc.boolean(), (requests, first) => {
        const host = issuer();
        run(host, first ? [...requests, "standIn"] : ["standIn", ...requests]);
        expect(host.posted()).toBe(AMOUNT);
      }),
    );
  });
});

describe("an issuer's decisions", () => {
  test("RM1 a repeated request gets its first answer", () => {
    const host = issuer();
    expect(host.request()).toEqual({ responseCode: "00", did: "changed", approvalCode: "000001" });
    expect(host.request()).toEqual({ responseCode: "00", did: "repeated", approvalCode: "000001" });
  });

  test("RM4 a repeated request with another amount is refused", () => {
    const host = issuer();
    host.request();
    expect(host.request({ minor: AMOUNT + 1n })).toEqual({ responseCode: CODE.duplicate, did: "nothing" });
    expect(host.posted()).toBe(AMOUNT);
  });

  test("RM1 the reversal of an unknown attempt leaves a tombstone that refuses the late original", () => {
    const host = issuer();
    expect(host.reversal()).toEqual({ responseCode: CODE.notFound, did: "changed" });
    expect(host.reversal()).toEqual({ responseCode: CODE.notFound, did: "repeated" });
    expect(host.request()).toEqual({ responseCode: CODE.duplicate, did: "nothing" });
    expect(host.view()).toMatchObject({ attempts: { 1: "tombstone" }, postedMinor: "0" });
  });

  test("RM1 a reversal after a confirmation is refused", () => {
    const host = issuer();
    host.request();
    host.advice(offline);
    expect(host.reversal()).toEqual({ responseCode: CODE.noAction, did: "nothing" });
  });

  test("RM1 a request that comes after the advice of its payment is refused", () => {
    const host = issuer();
    host.advice(standIn);
    expect(host.request()).toEqual({ responseCode: CODE.duplicate, did: "nothing" });
    expect(host.posted()).toBe(AMOUNT);
  });

  test("RM1 a reversal of one attempt leaves another's approval", () => {
    const host = issuer();
    host.request();
    host.request({ attempt: 2 });
    expect(host.posted()).toBe(2n * AMOUNT);
    host.reversal();
    expect(host.posted()).toBe(AMOUNT);
    host.advice(offline);
    expect(host.posted()).toBe(AMOUNT);
  });

  test("RM1 what was decided for one attempt and withdrawn says nothing of the next", () => {
    const asked = issuer();
    asked.advice(standIn);
    asked.reversal();
    expect(asked.request({ attempt: 2 })).toMatchObject({ responseCode: CODE.approved, did: "changed" });
    expect(asked.posted()).toBe(AMOUNT);
    const told = issuer();
    told.advice(standIn);
    told.reversal();
    expect(told.advice({ ...standIn, attempt: 2 })).toMatchObject({ responseCode: CODE.approved, did: "changed" });
    expect(told.posted()).toBe(AMOUNT);
    told.advice(standIn);
    expect(told.posted()).toBe(AMOUNT);
  });

  test("RM14 a pre-authorisation holds, its completion posts another amount and frees the rest", () => {
    const host = issuer();
    host.request({ of: "authorisation", minor: 1_000n });
    expect([host.posted(), host.held()]).toEqual([0n, 1_000n]);
    host.advice({ ...offline, reason: "completion", minor: 650n });
    expect([host.posted(), host.held()]).toEqual([650n, 0n]);
  });

  test("RM14 a stood-in pre-authorisation holds, and a stood-in decline moves nothing", () => {
    const host = issuer();
    host.advice({ ...standIn, of: "authorisation" });
    expect([host.posted(), host.held()]).toEqual([0n, AMOUNT]);
    const other = issuer();
    expect(other.advice(declined).responseCode).toBe("00");
    expect(other.view()).toMatchObject({ declined: "61", postedMinor: "0" });
  });

  test("RM16 an advice posts though the account has not enough", () => {
    const host = issuer();
    host.advice({ ...offline, minor: BALANCE + 5n });
    expect(host.books.account(PAN)?.balanceMinor).toBe(-5n);
  });

  test("RM1 an advice of the same payment with another amount is refused", () => {
    const host = issuer();
    host.advice(offline);
    expect(host.advice({ ...offline, minor: 1n }).responseCode).toBe(CODE.invalidAmount);
    expect(host.posted()).toBe(AMOUNT);
  });

  test("a refund gives, and its reversal takes back", () => {
    const host = issuer();
    host.request({ operation: "refund" });
    expect(host.posted()).toBe(-AMOUNT);
    host.reversal({ operation: "refund" });
    expect(host.posted()).toBe(0n);
  });

  test.each([
    ["a card that is not known", { pan: "4761739001010001" }, CODE.invalidCard],
    ["another expiry", { expiry: "3011" }, CODE.expired],
    ["more than there is", { minor: BALANCE + 1n }, CODE.insufficientFunds],
    ["nothing", { minor: 0n }, CODE.invalidAmount],
    ["another currency", { currency: "840" }, CODE.invalidTransaction],
  ])("%s is declined", (_, wrong, code) => {
    const host = issuer();
    expect(host.request(wrong).responseCode).toBe(code);
    expect(host.posted()).toBe(0n);
  });

  test("what is held is not there for another payment", () => {
    const host = issuer();
    host.request({ of: "authorisation", minor: BALANCE });
    const next = { key: { ...claim.key, paymentId: "p-2" }, minor: 1n };
    expect(host.request(next).responseCode).toBe(CODE.insufficientFunds);
  });

  test("a part is approved where the policy has it so", () => {
    const host = issuer({ partial: true });
    const more = { minor: BALANCE + 1n };
    expect(host.request(more)).toMatchObject({ responseCode: CODE.partial, minor: BALANCE });
    expect(host.request(more)).toMatchObject({ responseCode: CODE.partial, minor: BALANCE, did: "repeated" });
    expect(host.posted()).toBe(BALANCE);
  });

  test("policies decline, refuse advices and open accounts", () => {
    expect(issuer({ ...WELL, decline: "57" }).request().responseCode).toBe("57");
    expect(issuer({ ...WELL, refuseAdvices: "96" }).advice(offline).responseCode).toBe("96");
    const host = issuer({ ...WELL, openMinor: 500n });
    expect(host.request({ pan: "4761739001010001" }).responseCode).toBe("00");
    expect(host.books.account("4761739001010001")?.balanceMinor).toBe(100n);
  });

  test("totals count what was posted and what was taken back, by the day of each message", () => {
    const host = issuer();
    host.request();
    host.request({ of: "authorisation", key: { ...claim.key, paymentId: "p-2" } });
    host.request({ operation: "refund", minor: 7n, key: { ...claim.key, paymentId: "p-3" } });
    host.reversal({ where: { ...claim.where, day: "0106" } });
    const counted = (day: string) => host.books.totals({ ...claim.where, day, currency: "978" });
    expect(counted("0105")).toMatchObject({
      debits: { count: 1, minor: AMOUNT },
      debitReversals: { count: 0 },
      credits: { count: 1, minor: 7n },
    });
    expect(counted("0106")).toMatchObject({ debits: { count: 0 }, debitReversals: { count: 1, minor: AMOUNT } });
  });

  test("totals count each attempt that stands and each that stands no more, and no approval that only confirms one", () => {
    const host = issuer();
    host.request();
    host.advice(offline);
    const counted = () => host.books.totals({ ...claim.where, currency: "978" });
    expect(counted()).toMatchObject({ debits: { count: 1 }, debitReversals: { count: 0 } });
    const other = issuer();
    other.request();
    other.request({ attempt: 2 });
    other.advice(offline);
    expect(other.books.totals({ ...claim.where, currency: "978" })).toMatchObject({
      debits: { count: 3, minor: 3n * AMOUNT },
      debitReversals: { count: 2, minor: 2n * AMOUNT },
    });
  });

  test("RM14 a reversal says whether there was anything to take back, and its repeat says the same", () => {
    const host = issuer();
    host.request();
    expect(host.reversal()).toMatchObject({ responseCode: CODE.approved, did: "changed" });
    expect(host.reversal()).toMatchObject({ responseCode: CODE.approved, did: "repeated" });
    const declined = issuer({ ...WELL, decline: "51" });
    declined.request();
    expect(declined.reversal()).toMatchObject({ responseCode: CODE.notFound });
    const told = issuer();
    told.advice(standIn);
    expect(told.reversal()).toMatchObject({ responseCode: CODE.approved });
    expect(told.reversal()).toMatchObject({ responseCode: CODE.approved, did: "repeated" });
  });
});
