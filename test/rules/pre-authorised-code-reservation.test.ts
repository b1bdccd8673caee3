import * as fc from "fast-check";
import { expect, test } from "vitest";
import { TEST_POLICY } from "./hub-fixture.ts";
import { type Counter, counter, eur, registered } from "./phone-fixture.ts";

test("RM10 what was taken back may be paid with again: a reversal, a void, and a hold that nobody confirmed", async () => {
  const at = await counter();
  const code = await registered(at);
  await at.pay("p1", code);
  await at.terminal.tell(at.terminal.entry(at.terminal.reversal("p1")));
  expect(await at.statuses()).toEqual(["ISSUED"]);
  await at.pay("p2", code);
  expect(await at.statuses()).toEqual(["USED"]);
  await at.terminal.tell(at.terminal.entry(at.terminal.voided("p2", 1)));
  expect(await at.statuses()).toEqual(["ISSUED"]);
  await at.pay("p3", code);
  await at.clock.advance(TEST_POLICY.holdMs + 1);
  expect(await at.hub.expireHolds()).toBe(1);
  expect(await at.statuses()).toEqual(["ISSUED"]);
  expect(await at.balance()).toEqual({ held: 0n, posted: 0n });
  const notices = await at.phone.fetchNotices();
  expect(notices.map(({ txnId, status }) => `${txnId} ${status}`)).toEqual([
    "p1 paid",
    "p1 released",
    "p2 paid",
    "p2 released",
    "p3 paid",
    "p3 released",
  ]);
});

test("RM10 an advice that comes after its hold ran out still spends the code", async () => {
  const at = await counter();
  const code = await registered(at);
  const { maskedAccount = "" } = await at.pay("p1", code);
  at.clock.setWall(at.clock.now() + TEST_POLICY.holdMs + 1);
  await at.hub.expireHolds();
  expect(await at.statuses()).toEqual(["ISSUED"]);
  const decision = at.terminal.decision("p1", { mode: "online", amount: eur(3_200), code: { maskedAccount } });
  await at.terminal.tell(at.terminal.entry(decision));
  expect(await at.statuses()).toEqual(["USED"]);
  expect((await at.balance()).posted).toBe(3_200n);
});

test("RM10 a code whose payment was confirmed after its hold ran out, and before the sweep, stays spent", async () => {
  const at = await counter();
  const { maskedAccount = "" } = await at.pay("p1", await registered(at));
  at.clock.setWall(at.clock.now() + TEST_POLICY.holdMs + 1);
  const decision = at.terminal.decision("p1", { mode: "online", amount: eur(3_200), code: { maskedAccount } });
  await at.terminal.tell(at.terminal.entry(decision));
  await at.hub.expireHolds();
  expect(await at.statuses()).toEqual(["USED"]);
  expect(await at.balance()).toEqual({ held: 0n, posted: 3_200n });
});

test("RM10 a new attempt of the same payment spends the same code, or another and gives the first back", async () => {
  const at = await counter();
  const [first, second] = [await registered(at), await registered(at)];
  await at.pay("p1", first, { attempt: 1 });
  expect(await at.pay("p1", first, { attempt: 2 })).toMatchObject({ outcome: "approved" });
  expect(await at.statuses()).toEqual(["USED", "ISSUED"]);
  expect(await at.pay("p1", second, { attempt: 3 })).toMatchObject({ outcome: "approved" });
  expect(await at.statuses()).toEqual(["ISSUED", "USED"]);
  expect(await at.balance()).toEqual({ held: 3_200n, posted: 0n });
});

test("RM10 a code revoked while it is paid stays paid, and pays no more when it is given back", async () => {
  const at = await counter();
  const code = await registered(at);
  await at.pay("p1", code);
  expect(await at.revoke("anna")).toEqual({ userId: "anna" });
  expect(await at.statuses()).toEqual(["USED"]);
  await at.terminal.tell(at.terminal.entry(at.terminal.reversal("p1")));
  expect(await at.statuses()).toEqual(["REVOKED"]);
  expect(await at.pay("p2", code)).toMatchObject({ reason: "E_DENIED" });
});

test("RM10 one code scanned at two tills at once is paid at one of them", async () => {
  const at = await counter();
  const code = await registered(at);
  const answers = await Promise.all([at.pay("p1", code), at.pay("q1", code, { at: at.other }), at.pay("p2", code)]);
  expect(answers.map(({ outcome, reason }) => reason ?? outcome).sort()).toEqual(["E_USED", "E_USED", "approved"]);
  expect(await at.balance()).toEqual({ held: 3_200n, posted: 0n });
});

test("RM10 an answer that comes too late takes back the reservation with the debit", async () => {
  const at = await counter();
  const code = await registered(at);
  const request = at.terminal.request("p1", { code, amount: eur(3_200) });
  // The hub draws six bytes for the approval code when all else is done: time passes there.
  at.fixture.onChance = (length) => {
    if (length === 6) at.clock.setWall(at.clock.now() + 10_000);
  };
  expect(await at.terminal.ask(request)).toMatchObject({ outcome: "stale" });
  expect(await at.statuses()).toEqual(["ISSUED"]);
  expect(await at.balance()).toEqual({ held: 0n, posted: 0n });
});

test("RM10 what ends the work before its commit leaves neither reservation nor debit", async () => {
  const at = await counter();
  const code = await registered(at);
  const rows = await at.dump();
  at.fixture.onChance = (length) => {
    if (length === 6) throw new Error("the work ends here");
  };
  await expect(at.pay("p1", code)).rejects.toThrow("the work ends here");
  expect(await at.dump()).toBe(rows);
  at.fixture.onChance = () => {};
  expect(await at.pay("p1", code)).toMatchObject({ outcome: "approved" });
});

test("RM10 in any order of payments, reversals and confirmations at two tills a code pays at most once, and the phone is told the truth", async () => {
  const steps = fc.array(
    fc.record({
      do: fc.constantFrom("pay", "reverse", "void", "confirm", "sweep"),
      txn: fc.constantFrom("p1", "p2", "p3"),
      second: fc.boolean(),
    }),
    { minLength: 3, maxLength: 14 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (run) => {
      const at = await counter();
      const code = await registered(at);
      let attempt = 0;
      for (const step of run) {
        const till = step.second ? at.other : at.terminal;
        if (step.do === "pay") {
          attempt += 1;
          await at.pay(step.txn, code, { at: till, attempt });
        }
        if (step.do === "reverse") await till.tell(till.entry(till.reversal(step.txn, Math.max(attempt, 1))));
        if (step.do === "void") await till.tell(till.entry(till.voided(step.txn, 1)));
        if (step.do === "confirm" && (await isHeld(at, `${till.terminalId}/${step.txn}`)))
          await till.tell(till.entry(till.decision(step.txn, { mode: "online", amount: eur(3_200) })));
        if (step.do === "sweep") await at.hub.expireHolds();
        const { held, posted } = await at.balance();
        expect(held + posted).toBe((await at.statuses())[0] === "USED" ? 3_200n : 0n);
      }
      const notices = await at.phone.fetchNotices();
      const paid = notices.filter(({ status }) => status === "paid").length;
      const released = notices.filter(({ status }) => status === "released").length;
      expect(paid - released).toBe((await at.statuses())[0] === "USED" ? 1 : 0);
    }),
    { numRuns: 100 },
  );
});

/** Whether a hold of this payment stands. */
async function isHeld({ transfersUnder }: Counter, prefix: string): Promise<boolean> {
  const transfers = await transfersUnder(`${prefix}/`);
  const ended = new Set(transfers.flatMap(({ pendingId }) => pendingId ?? []));
  return transfers.some(({ id, kind }) => kind === "pending" && !ended.has(id));
}
