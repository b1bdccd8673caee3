/** The operator's list of payments, over either database: each filter has a statement of its own. */
import { expect, test } from "vitest";
import type { PaymentId, TerminalId } from "../../base/ids.ts";
import { createAuthorisationStore, type PaymentFilter } from "../../hub/core/authorisation/store.ts";
import { openTestStore } from "./test-store.ts";

const PAGE = { afterNumber: 0, limit: 100 };

test("a list has what its filter names, page by page in the order in which it was heard of", async () => {
  const payments = createAuthorisationStore();
  const { store } = await openTestStore();
  await store.transaction(async (within) => {
    // The second was heard of by a clock that was set back.
    for (const [terminalId, paymentId, at] of [
      ["T1", "a", 20],
      ["T2", "b", 10],
      ["T1", "b", 30],
      ["T1", "c", 40],
    ] as const)
      await payments.insertPayment(
        within,
        { terminalId: terminalId as TerminalId, paymentId: paymentId as PaymentId },
        at,
      );
    const listed = async (filter: Partial<PaymentFilter>) =>
      (await payments.payments(within, { ...PAGE, ...filter })).map(({ number }) => number);
    expect(await listed({})).toEqual([1, 2, 3, 4]);
    expect(await listed({ limit: 2, afterNumber: 1 })).toEqual([2, 3]);
    expect(await listed({ terminalId: "T1" })).toEqual([1, 3, 4]);
    expect(await listed({ terminalId: "T1", limit: 1, afterNumber: 1 })).toEqual([3]);
    expect(await listed({ terminalId: "T1", from: 25, to: 40 })).toEqual([3]);
    expect(await listed({ paymentId: "b" })).toEqual([2, 3]);
    expect(await listed({ paymentId: "b", terminalId: "T2" })).toEqual([2]);
    expect(await listed({ from: 15 })).toEqual([1, 3, 4]);
    expect(await listed({ to: 30 })).toEqual([1, 2]);
    expect(await listed({ from: 15, limit: 1, afterNumber: 1 })).toEqual([3]);
    expect([await payments.hasPayment(within, "T2"), await payments.hasPayment(within, "T3")]).toEqual([true, false]);
  });
});
