import fc from "fast-check";
import { expect, test } from "vitest";
import { currencyOf } from "../../../base/money.ts";
import { type FeeSchedule, feeOf, NO_FEES } from "./fees.ts";
import { type BatchTotals, netMinor, settled } from "./totals.ts";

const SCHEDULE: FeeSchedule = {
  standard: { basisPoints: 150, fixedMinor: 10 },
  chip: { basisPoints: 89, fixedMinor: 0 },
};

test("a sale costs its part and the fixed amount, by its means, rounded half up", () => {
  expect(feeOf(SCHEDULE, { means: "contactless", minor: 1_000n })).toBe(25n);
  expect(feeOf(SCHEDULE, { means: undefined, minor: 1_000n })).toBe(25n);
  expect(feeOf(SCHEDULE, { means: "chip", minor: 1_000n })).toBe(9n);
  // 89 basis points of 0.56 and 0.57 are 0.4984 and 0.5073 of a cent.
  expect([56n, 57n].map((minor) => feeOf(SCHEDULE, { means: "chip", minor }))).toEqual([0n, 1n]);
  expect(feeOf({ standard: { basisPoints: 50, fixedMinor: 0 } }, { means: "chip", minor: 100n })).toBe(1n);
  expect(feeOf(NO_FEES, { means: "chip", minor: 999_999_999_999n })).toBe(0n);
});

test("a batch that leaves the merchant in debt pays nothing, and the next makes it good first", () => {
  const sum = (minor: bigint) => ({ count: 1, minor });
  const totals: BatchTotals = {
    currency: currencyOf("EUR"),
    purchases: sum(1_000n),
    refunds: sum(400n),
    chargebacks: sum(700n),
    representments: sum(50n),
    exposure: sum(300n),
    feesMinor: 25n,
  };
  expect(netMinor(totals)).toBe(-75n);
  expect(settled(-75n, 0n)).toEqual({ payableMinor: 0n, carriedMinor: -75n });
  expect(settled(50n, -75n)).toEqual({ payableMinor: 0n, carriedMinor: -25n });
  expect(settled(100n, -25n)).toEqual({ payableMinor: 75n, carriedMinor: 0n });
});

test("whatever the nets, all that is paid and the last debt are their sum, and debt never stands beside a payment", () => {
  const nets = fc.array(fc.bigInt({ min: -1_000_000n, max: 1_000_000n }), { maxLength: 30 });
  fc.assert(
    fc.property(nets, (given) => {
      let [paid, carried] = [0n, 0n];
      for (const net of given) {
        const { payableMinor, carriedMinor } = settled(net, carried);
        expect(payableMinor >= 0n && carriedMinor <= 0n && payableMinor * carriedMinor === 0n).toBe(true);
        paid += payableMinor;
        carried = carriedMinor;
      }
      expect(paid + carried).toBe(given.reduce((sum, net) => sum + net, 0n));
    }),
  );
});
