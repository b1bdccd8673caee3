import { expect, test } from "vitest";
import { currencyOf, toDecimal } from "../../base/money.ts";
import { statementText } from "./words.ts";

const amountText = (minor: string, currency: string) =>
  `${toDecimal({ minor: BigInt(minor), currency: currencyOf(currency) })} ${currency}`;

test("a statement in words adds up: what left the merchant stands below zero", () => {
  const sum = (count: number, minor: string) => ({ count, minor });
  const text = statementText(
    {
      merchantId: "shop",
      day: "2026-01-06",
      statements: [
        {
          ...{ currency: "EUR", openingMinor: "2660", sales: sum(1, "500"), refunds: sum(1, "50") },
          ...{ chargebacks: sum(1, "100"), representments: sum(0, "0"), feesMinor: "10", payouts: sum(1, "2660") },
          ...{ closingMinor: "340", open: true },
        },
      ],
    },
    amountText,
  );
  expect(text.split("\n")).toEqual([
    "shop  2026-01-06  EUR  (a batch is still open: more may come)",
    "opening balance                  26.60 EUR",
    "sales                             5.00 EUR  1",
    "refunds                          -0.50 EUR  1",
    "chargebacks                      -1.00 EUR  1",
    "presented again                   0.00 EUR  0",
    "fees                             -0.10 EUR",
    "payouts                         -26.60 EUR  1",
    "closing balance                   3.40 EUR",
  ]);
  expect(statementText({ merchantId: "shop", day: "2026-01-01", statements: [] }, amountText)).toContain("nothing");
});
