import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { NewEntry } from "../../agent/journal/journal.ts";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { toWireMoney } from "../../wire/common.ts";
import { Till } from "./till.ts";

const paymentId = "P-1" as PaymentId;
const at = "2026-01-05T09:00:00.000Z";
const amount = toWireMoney(money(500n, "EUR"));
const intent: NewEntry = { body: { kind: "intent", paymentId, at, operation: "purchase", amount } };
const requested: NewEntry = { body: { kind: "online-requested", paymentId, at, attempt: 1 } };
const approved: NewEntry = {
  body: {
    kind: "decision",
    paymentId,
    at,
    outcome: "approved",
    mode: "offline",
    operation: "purchase",
    amount,
    attempts: [],
    responseCode: "Y1",
    businessDate: "2026-01-05",
  },
  forward: true,
};
const begun: NewEntry = { body: { kind: "print-intent", paymentId, at, print: 1, marking: "original" } };

/** A till that opens on what an earlier run left. */
async function reopened(entries: readonly NewEntry[]): Promise<Till> {
  const folder = mkdtempSync(join(tmpdir(), "till-"));
  const before = new Till({ folder });
  await before.tickets[Symbol.asyncDispose]();
  await before.journal.append(entries);
  await before.journal[Symbol.asyncDispose]();
  return new Till({ folder });
}

describe("after a crash", () => {
  test("RM3 an intent without a decision is aborted, and nothing is sent for it", async () => {
    await using till = await reopened([intent]);
    await till.recover();
    expect(till.desk.get(paymentId)).toMatchObject({ status: "aborted", ticket: "none" });
    expect(till.journal.queue()).toEqual([]);
    expect(till.slot.commands).toEqual([]);
  });

  test("RM3 RM1 an intent whose request may have left is aborted and reversed", async () => {
    await using till = await reopened([intent, requested]);
    await till.recover();
    expect(till.desk.get(paymentId)).toMatchObject({ status: "aborted" });
    expect(till.journal.queue().map(({ kind, state }) => [kind, state])).toEqual([["reversal", "eligible"]]);
  });

  test("aborting is done once, whatever follows", async () => {
    await using till = await reopened([intent, requested]);
    await till.recover();
    await till.recover();
    expect(till.journal.queue().length).toBe(1);
    expect(await till.sell("P-1", 500n)).toMatchObject({ status: "aborted" });
  });

  test("RM3 an approval without a ticket gets its unmarked original", async () => {
    await using till = await reopened([intent, approved]);
    await till.recover();
    await till.printed("P-1");
    expect(JSON.stringify(till.paper.documents)).not.toContain("COPY");
    expect(till.paper.documents.length).toBe(1);
  });

  test("RM3 an approval whose print had begun gets a ticket marked as a possible copy", async () => {
    await using till = await reopened([intent, approved, begun]);
    await till.recover();
    await till.printed("P-1");
    expect(till.paper.documents.length).toBe(1);
    expect(JSON.stringify(till.paper.documents)).toContain("POSSIBLE COPY");
  });
});
