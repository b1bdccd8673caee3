import { describe, expect, test } from "vitest";
import { countTickets, type Evidence, renderTable, verdictOf } from "./account.ts";

const sound: Evidence = {
  sale: { id: "D-1", minor: 1_000, what: "hub away", expect: "approved", mode: "offline" },
  payment: { id: "D-1", status: "approved", mode: "offline", ticket: "printed" },
  ledger: [{ paymentId: "D-1", minor: "1000", status: "confirmed" }],
  tickets: ["Payment D-1\n*** ACCEPTED OFFLINE ***"],
};
const problemsOf = (change: Partial<Evidence>) => verdictOf({ ...sound, ...change }).problems.join("; ");

describe("the demo's accounts", () => {
  test("find nothing wrong with a sale that stands once in the ledger and once on paper", () => {
    expect(verdictOf(sound)).toMatchObject({ problems: [] });
    expect(renderTable([verdictOf(sound)])).toMatch(/D-1 .* ok$/m);
  });

  test.each([
    ["a lost posting", { ledger: [] }, "stands 0 times"],
    ["a doubled amount", { ledger: [{ paymentId: "D-1", minor: "2000", status: "confirmed" }] }, "another amount"],
    ["a missing ticket", { tickets: [] }, "0 tickets"],
    ["a second original", { tickets: [...sound.tickets, ...sound.tickets] }, "2 unmarked originals"],
    ["an offline ticket without its mark", { tickets: ["Payment D-1"] }, "not marked"],
    ["another outcome", { payment: { ...sound.payment, status: "declined" } }, "is declined"],
    ["another way", { payment: { ...sound.payment, mode: "online" } }, "decided online"],
  ])("find %s", (_, change, problem) => {
    expect(problemsOf(change)).toContain(problem);
  });

  test("find money and paper for a sale that was not made", () => {
    const sale = { ...sound.sale, expect: "aborted" as const };
    const payment = { ...sound.payment, status: "aborted" };
    expect(problemsOf({ sale, payment })).toBe("stands 1 times in the ledger; has 1 tickets");
  });

  test("count a ticket for the payment whose whole id stands on it", () => {
    const tickets = ["Payment   D-1", "Payment D-12", "*** COPY ***\nPayment D-1", "Payment D-1\nACCEPTED OFFLINE"];
    expect(countTickets("D-1", tickets)).toEqual({ all: 3, unmarked: 2, offline: 1 });
  });
});
