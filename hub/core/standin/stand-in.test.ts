/** System 3 as a whole, over an issuer and a switch of a few lines. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { STOPPED_TOKEN } from "../../../wire/stand-in-fixture.ts";
import { AVAILABILITY_DEFAULTS } from "./availability.ts";
import { isOpen, RECOVERY_DEFAULTS } from "./recovery.ts";
import { bringBack, SmallIssuer, SmallSwitch, switchWithIssuerDown } from "./switch-fixture.ts";

const STAND_IN_LIMIT_MS = 300;

test("AC3.1 while the issuer answers, stand-in is never asked", () => {
  const hub = new SmallSwitch(new SmallIssuer());
  for (let sale = 1; sale <= 50; sale += 1) {
    expect(hub.sell(`sale-${sale}`, { minor: 99_999n })).toMatchObject({ by: "issuer", approved: true });
    hub.echo();
  }
  expect(hub.standInCalls).toBe(0);
  expect(hub.log).toEqual([]);
});

test("AC3.2 requests 1 to 3 to a silent issuer are stood in after their time-out, the fourth at once without asking it", () => {
  const hub = new SmallSwitch(new SmallIssuer());
  hub.issuer.silent = true;
  const waits = ["anna", "ben", "cleo"].map((account, index) => hub.sell(`sale-${index}`, { account, minor: 9_000n }));
  const waitedMs = AVAILABILITY_DEFAULTS.hostTimeoutMs;
  expect(waits).toEqual(waits.map(() => ({ by: "stand-in", approved: true, waitedMs })));
  expect(hub.issuer.requests).toBe(3);
  const fourth = hub.sell("sale-4", { account: "dora", minor: 9_000n });
  expect(fourth).toMatchObject({ by: "stand-in", approved: true });
  expect(fourth.waitedMs).toBeLessThan(STAND_IN_LIMIT_MS);
  expect(hub.sell("sale-5", { account: "emil", minor: 10_001n })).toMatchObject({
    by: "stand-in",
    approved: false,
    decidedBy: "limit.single",
  });
  expect(hub.issuer.requests).toBe(3);
});

test("AC3.3 a stopped account is declined for a small amount, and the decline is in the advice log", () => {
  const { hub, issuer } = switchWithIssuerDown();
  expect(hub.sell("small", { minor: 1n, stopListToken: STOPPED_TOKEN })).toMatchObject({
    approved: false,
    decidedBy: "account.stopList",
  });
  expect(hub.log).toMatchObject([
    { kind: "advice", stoodIn: { decision: { decision: "decline", decidedBy: "account.stopList" } } },
  ]);
  bringBack(hub);
  hub.drain();
  expect(issuer.advices).toEqual(["0220 small"]);
  expect(issuer.posted).toEqual([]);
});

test("without parameters every sale of an outage is declined, and each decline is logged", () => {
  const { hub } = switchWithIssuerDown();
  hub.parameters = undefined;
  expect(hub.sell("one")).toMatchObject({ approved: false, decidedBy: "parameters" });
  expect(hub.log.length).toBe(1);
});

test("AC3.5 when the issuer is back every advice is delivered once and in order, and the books are those of a day without an outage", () => {
  const { hub, issuer } = switchWithIssuerDown();
  const bank = new SmallIssuer();
  const undisturbed = new SmallSwitch(bank);
  const sales = ["anna", "ben", "anna", "cleo", "anna", "ben"].map((account, index) => ({
    paymentId: `sale-${index}`,
    account,
    minor: BigInt(100 * (index + 1)),
  }));
  for (const { paymentId, ...sale } of sales) {
    expect(hub.sell(paymentId, sale)).toMatchObject({ by: "stand-in", approved: true });
    undisturbed.sell(paymentId, sale);
  }
  bringBack(hub);
  hub.drain();
  expect(issuer.advices).toEqual(sales.map(({ paymentId }) => `0220 ${paymentId}`));
  for (const account of ["anna", "ben", "cleo"]) expect(issuer.balance(account)).toBe(bank.balance(account));
  expect(hub.state).toEqual({ at: "up", timeouts: 0 });

  const [first] = hub.log;
  expect(first && issuer.advise(first, "repeat")).toBe("94");
  expect(issuer.posted.length).toBe(sales.length);
  expect(hub.sell("sale-7", { account: "anna" })).toMatchObject({ by: "issuer" });
});

test("AC3.5 what the issuer posted without its answer arriving is confirmed by the advice, and not posted again", () => {
  const issuer = new SmallIssuer();
  const hub = new SmallSwitch(issuer);
  issuer.mute = true;
  expect(hub.sell("sale-1", { minor: 700n })).toMatchObject({ by: "stand-in", approved: true });
  issuer.mute = false;
  hub.drain();
  expect(issuer.advices).toEqual(["0220 sale-1"]);
  expect(issuer.balance("anna")).toBe(-700n);
});

test("RM1 a request that timed out and was then declined is reversed before the decline is told", () => {
  const issuer = new SmallIssuer();
  const hub = new SmallSwitch(issuer);
  issuer.mute = true;
  expect(hub.sell("sale-1", { minor: 10_001n })).toMatchObject({ by: "stand-in", approved: false });
  expect(issuer.balance("anna")).toBe(-10_001n);
  issuer.mute = false;
  hub.drain();
  expect(issuer.advices).toEqual(["0420 sale-1", "0220 sale-1"]);
  expect(issuer.balance("anna")).toBe(0n);
});

test("RM1 a request declined without having been sent is not reversed", () => {
  const { hub, issuer } = switchWithIssuerDown();
  hub.sell("sale-1", { minor: 10_001n });
  bringBack(hub);
  hub.drain();
  expect(issuer.advices).toEqual(["0220 sale-1"]);
});

test("RM15 in recovery an account without pending advices goes to the issuer, one with them waits for its own alone", () => {
  const { hub } = switchWithIssuerDown();
  hub.sell("anna-1", { account: "anna" });
  hub.sell("ben-1", { account: "ben" });
  bringBack(hub);
  expect(hub.state.at).toBe("recovering");
  expect(hub.sell("cleo-1", { account: "cleo" })).toMatchObject({ by: "issuer" });
  expect(hub.sell("ben-2", { account: "ben" })).toMatchObject({ by: "stand-in" });
  hub.drain(1);
  expect(hub.sell("anna-2", { account: "anna" })).toMatchObject({ by: "issuer" });
  expect(hub.state.at).toBe("recovering");
  hub.drain();
  expect(hub.state.at).toBe("up");
});

test("RM15 a single time-out leaves its account with stand-in until its advice is delivered, and its issuer up", () => {
  const issuer = new SmallIssuer();
  const hub = new SmallSwitch(issuer);
  issuer.mute = true;
  hub.sell("sale-1");
  issuer.mute = false;
  expect(hub.state.at).toBe("up");
  expect(hub.sell("sale-2")).toMatchObject({ by: "stand-in" });
  expect(hub.sell("other", { account: "ben" })).toMatchObject({ by: "issuer" });
  hub.drain();
  expect(hub.sell("sale-3")).toMatchObject({ by: "issuer" });
});

test("RM15 an advice refused so often goes to the exception list, and its account and issuer come back", () => {
  const { hub, issuer } = switchWithIssuerDown();
  issuer.refusesAdviceOf.add("sale-1");
  hub.sell("sale-1");
  hub.sell("sale-2");
  bringBack(hub);
  for (let round = 0; round < RECOVERY_DEFAULTS.refusalsMax; round += 1) hub.drain();
  expect(issuer.advices).toEqual(["0220 sale-1", "0221 sale-1", "0221 sale-1", "0220 sale-2"]);
  expect(hub.log.map(({ state }) => state.at)).toEqual(["exception", "delivered"]);
  expect(hub.state.at).toBe("up");
  expect(hub.sell("sale-3")).toMatchObject({ by: "issuer" });
});

test("RM15 counters start anew when the issuer is up again, and not before", () => {
  const { hub } = switchWithIssuerDown();
  for (const sale of ["1", "2", "3"]) expect(hub.sell(sale)).toMatchObject({ approved: true });
  expect(hub.sell("4")).toMatchObject({ approved: false, decidedBy: "limit.accountCount" });
  bringBack(hub);
  expect(hub.sell("5")).toMatchObject({ approved: false, decidedBy: "limit.accountCount" });
  hub.drain();
  expect(hub.counted("anna")).toMatchObject({ accountCount: 0, accountSumMinor: 0n, institutionSumMinor: 0n });
});

test("RM15 live traffic can never keep an issuer down, however much faster it comes than the advices go", () => {
  const accounts = fc.array(fc.constantFrom("anna", "ben", "cleo"), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(accounts, accounts, fc.bigInt({ min: 1n, max: 12_000n }), (before, traffic, minor) => {
      const { hub } = switchWithIssuerDown();
      let sales = 0;
      const sell = (account: string) => {
        sales += 1;
        hub.sell(`sale-${sales}`, { account, minor });
      };
      for (const account of [...before, ...before]) sell(account);
      bringBack(hub);
      for (let round = 0; round < 300 && hub.state.at !== "up"; round += 1) {
        for (const account of traffic) sell(account);
        hub.drain(1);
      }
      expect(hub.state.at).toBe("up");
      expect(hub.log.filter(isOpen)).toEqual([]);
    }),
  );
});
