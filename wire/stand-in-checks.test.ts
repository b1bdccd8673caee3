/** The checks of stand-in in their order, its limits, and its idea of time. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { money } from "../base/money.ts";
import type { StandInParameters } from "./stand-in.ts";
import {
  decideStandIn,
  STAND_IN_CHECKS,
  type StandInCase,
  type StandInCheck,
  type StandInCounters,
  type StandInRequest,
} from "./stand-in-checks.ts";
import { NOTHING_COUNTED, NOW, PARAMETERS, REQUEST, STOPPED_TOKEN } from "./stand-in-fixture.ts";

const GOOD: StandInCase = { parameters: PARAMETERS, request: REQUEST, counters: NOTHING_COUNTED, now: NOW };
const asked = (change: Partial<StandInRequest>) => ({ ...GOOD, request: { ...REQUEST, ...change } });
const under = (change: Partial<StandInParameters>) => ({ ...GOOD, parameters: { ...PARAMETERS, ...change } });
const after = (change: Partial<StandInCounters>) => ({ ...GOOD, counters: { ...NOTHING_COUNTED, ...change } });

test("what passes every check is approved, and says by how much the counters rise", () => {
  expect(decideStandIn(GOOD)).toEqual({
    decision: "approve",
    responseCode: "00",
    at: NOW,
    increments: { accountCount: 1, accountSumMinor: 9_000n, institutionSumMinor: 9_000n },
  });
});

test("AC3.2 9 000 is approved and 10 001 refused by limit.single; the limit itself is approved", () => {
  expect(decideStandIn(asked({ amount: money(9_000n, "EUR") })).decision).toBe("approve");
  expect(decideStandIn(asked({ amount: money(10_000n, "EUR") })).decision).toBe("approve");
  expect(decideStandIn(asked({ amount: money(10_001n, "EUR") }))).toEqual({
    decision: "decline",
    decidedBy: "limit.single",
    responseCode: "61",
    reason: "E_LIMIT",
    at: NOW,
  });
  expect(decideStandIn(asked({ amount: money(0n, "EUR") }))).toMatchObject({ decidedBy: "limit.single" });
});

test("AC3.3 an account on the stop list is declined though the amount is small", () => {
  const account = { ...REQUEST.account, stopListToken: STOPPED_TOKEN };
  expect(decideStandIn(asked({ account, amount: money(1n, "EUR") }))).toMatchObject({
    decision: "decline",
    decidedBy: "account.stopList",
    responseCode: "05",
    reason: "E_DENIED",
  });
});

test("an account that cannot be looked up is on any stop list that names somebody", () => {
  const { leadingDigits } = REQUEST.account;
  expect(decideStandIn(asked({ account: { leadingDigits } }))).toMatchObject({ decidedBy: "account.stopList" });
  const stopList = { ...PARAMETERS.account.stopList, tokens: [] };
  const parameters = { ...PARAMETERS, account: { ...PARAMETERS.account, stopList } };
  expect(decideStandIn({ ...asked({ account: { leadingDigits } }), parameters }).decision).toBe("approve");
});

const LONG_AGO = "2026-01-05T09:00:00.000Z";

/** For each check a change that makes it fail and leaves all others as they are. */
const BREAKS: Readonly<Record<StandInCheck, (good: StandInCase) => StandInCase>> = {
  parameters: ({ parameters: _, ...rest }) => ({ ...rest, parameters: undefined }),
  validFrom: set((parameters) => ({ ...parameters, validFrom: "2026-03-01T00:00:00.000Z" })),
  validTo: set((parameters) => ({ ...parameters, validTo: LONG_AGO })),
  "institution.id": ask((request) => ({ ...request, institutionId: "bank-2" })),
  "institution.enabled": institution({ enabled: false }),
  "institution.window": institution({ window: [{ from: LONG_AGO, to: "2026-01-06T00:00:00.000Z" }] }),
  "acquirer.deny": set((parameters) => ({
    ...parameters,
    acquirer: { ...parameters.acquirer, deny: ["tillway", "400123"] },
  })),
  "acquirer.allow": set((parameters) => ({ ...parameters, acquirer: { ...parameters.acquirer, allow: ["400123"] } })),
  "account.range": set((parameters) => ({
    ...parameters,
    account: { ...parameters.account, range: ["4", "99999901"] },
  })),
  "account.stopList": ask((request) => ({ ...request, account: { ...request.account, stopListToken: STOPPED_TOKEN } })),
  "txn.types": set((parameters) => ({ ...parameters, txn: { ...parameters.txn, types: ["refund"] } })),
  "txn.mccDeny": ask((request) => ({ ...request, mcc: "6011" })),
  currency: ask((request) => ({ ...request, amount: money(request.amount.minor, "USD") })),
  "limit.single": limit({ single: "8999" }),
  "limit.accountCount": limit({ accountCount: 0 }),
  "limit.accountSum": limit({ accountSum: "8999" }),
  "limit.institutionSum": limit({ institutionSum: "8999" }),
};
function set(change: (parameters: StandInParameters) => StandInParameters): (good: StandInCase) => StandInCase {
  return (good) => ({ ...good, parameters: good.parameters && change(good.parameters) });
}
function ask(change: (request: StandInRequest) => StandInRequest): (good: StandInCase) => StandInCase {
  return (good) => ({ ...good, request: change(good.request) });
}
function institution(change: Partial<StandInParameters["institution"]>) {
  return set((parameters) => ({ ...parameters, institution: { ...parameters.institution, ...change } }));
}
function limit(change: Partial<StandInParameters["limit"]>) {
  return set((parameters) => ({ ...parameters, limit: { ...parameters.limit, ...change } }));
}

test.each(STAND_IN_CHECKS)("%s alone refuses", (check) => {
  const { decision, ...rest } = decideStandIn(BREAKS[check](GOOD));
  expect(decision).toBe("decline");
  expect(rest).toMatchObject({ decidedBy: check });
  expect(rest).not.toHaveProperty("increments");
});

test("the checks are in the order of the specification", () => {
  const inOrder: readonly (readonly StandInCheck[])[] = [
    ["parameters", "validFrom", "validTo"],
    ["institution.id", "institution.enabled", "institution.window"],
    ["acquirer.deny", "acquirer.allow"],
    ["account.range", "account.stopList"],
    ["txn.types", "txn.mccDeny"],
    ["currency", "limit.single"],
    ["limit.accountCount", "limit.accountSum"],
    ["limit.institutionSum"],
  ];
  expect(STAND_IN_CHECKS).toEqual(inOrder.flat());
});

test("of all the checks that fail, the first in the list decides and is named", () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([...STAND_IN_CHECKS], { minLength: 1 }), fc.boolean(), (failing, refer) => {
      const start = under({ fallback: refer ? "REFER" : "DECLINE" });
      const broken = failing.reduce<StandInCase>((good, check) => BREAKS[check](good), start);
      const first = STAND_IN_CHECKS.find((check) => failing.includes(check));
      expect(decideStandIn(broken)).toMatchObject({ decidedBy: first });
    }),
  );
});

test("REFER refers what the set does not cover, and declines all the same what it refuses", () => {
  const referred = STAND_IN_CHECKS.filter(
    (check) => decideStandIn(BREAKS[check](under({ fallback: "REFER" }))).decision === "refer",
  );
  expect(referred).toEqual(["acquirer.allow", "account.range", "txn.types", "currency"]);
  expect(decideStandIn(BREAKS["account.range"](under({ fallback: "REFER" })))).toMatchObject({ responseCode: "01" });
});

test("validity and windows begin with their first instant and end before their last", () => {
  const bounds = { from: "2026-01-10T12:00:00.000Z", to: "2026-01-10T13:00:00.000Z" };
  const hour = { validFrom: bounds.from, validTo: bounds.to };
  const window = { institution: { ...PARAMETERS.institution, window: [bounds] } };
  const by = (change: Partial<StandInParameters>, now: number) => {
    const decided = decideStandIn({ ...under(change), now });
    return decided.decision === "approve" ? "approve" : decided.decidedBy;
  };
  const [from, to] = [Date.parse(bounds.from), Date.parse(bounds.to)];
  expect([from - 1, from, to - 1, to].map((now) => by(hour, now))).toEqual([
    "validFrom",
    "approve",
    "approve",
    "validTo",
  ]);
  const outside = "institution.window";
  expect([from - 1, from, to - 1, to].map((now) => by(window, now))).toEqual([outside, "approve", "approve", outside]);
});

test("a clock that jumped back opens nothing that has ended: time is never before the latest decision", () => {
  const closed = Date.parse("2026-02-01T00:00:00.000Z");
  const late = decideStandIn({ ...GOOD, now: closed });
  expect(late).toMatchObject({ decision: "decline", decidedBy: "institution.window", at: closed });
  const again = decideStandIn({ ...after({ latestAt: late.at }), now: NOW });
  expect(again).toMatchObject({ decision: "decline", decidedBy: "institution.window", at: closed });
  expect(decideStandIn({ ...after({ latestAt: NOW }), now: 0 })).toMatchObject({ decision: "approve", at: NOW });
});

/** A store of a few lines: counters of each account, and of the institution. */
class Counted {
  readonly accounts = new Map<number, { count: number; sum: bigint }>();
  sum = 0n;
  latestAt = 0;

  of(account: number): StandInCounters {
    const { count, sum } = this.accounts.get(account) ?? { count: 0, sum: 0n };
    return { accountCount: count, accountSumMinor: sum, institutionSumMinor: this.sum, latestAt: this.latestAt };
  }

  decide(account: number, minor: bigint, parameters: StandInParameters): string {
    const counters = this.of(account);
    const request = { ...REQUEST, amount: money(minor, "EUR") };
    const decided = decideStandIn({ parameters, request, counters, now: NOW });
    this.latestAt = Math.max(this.latestAt, decided.at);
    if (decided.decision !== "approve") return decided.decidedBy;
    this.accounts.set(account, {
      count: counters.accountCount + decided.increments.accountCount,
      sum: counters.accountSumMinor + decided.increments.accountSumMinor,
    });
    this.sum += decided.increments.institutionSumMinor;
    return "approve";
  }
}

test("the counters never exceed their limits, in whatever order the accounts of an outage come", () => {
  const limits = { single: "100", accountCount: 3, accountSum: "150", institutionSum: "400" };
  const parameters = { ...PARAMETERS, limit: limits };
  const tries = fc.array(fc.record({ account: fc.nat(4), minor: fc.bigInt({ min: -50n, max: 120n }) }), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(tries, (all) => {
      const counted = new Counted();
      for (const { account, minor } of all) {
        const before = counted.of(account);
        const outcome = counted.decide(account, minor, parameters);
        const now = counted.of(account);
        expect(now.accountCount - before.accountCount).toBe(outcome === "approve" ? 1 : 0);
        expect(now.accountSumMinor - before.accountSumMinor).toBe(outcome === "approve" ? minor : 0n);
        expect(now.accountCount).toBeLessThanOrEqual(limits.accountCount);
        expect(now.accountSumMinor).toBeLessThanOrEqual(150n);
        expect(now.institutionSumMinor).toBeLessThanOrEqual(400n);
      }
      const sums = [...counted.accounts.values()].reduce((sum, account) => sum + account.sum, 0n);
      expect(counted.sum).toBe(sums);
    }),
  );
});

test("each limit can be used to its last unit", () => {
  const limits = { single: "100", accountCount: 2, accountSum: "150", institutionSum: "230" };
  const parameters = { ...PARAMETERS, limit: limits };
  const counted = new Counted();
  const outcomes = [
    [1, 100n],
    [1, 51n],
    [1, 50n],
    [1, 1n],
    [2, 81n],
    [2, 80n],
    [3, 1n],
  ] as const;
  expect(outcomes.map(([account, minor]) => counted.decide(account, minor, parameters))).toEqual([
    "approve",
    "limit.accountSum",
    "approve",
    "limit.accountCount",
    "limit.institutionSum",
    "approve",
    "limit.institutionSum",
  ]);
});
