/** Cash that a customer gets on top of what he buys: whether it may be asked for here, and what it rules out. */
import { type Money, toDecimal } from "../../base/money.ts";
import type { PurchaseRequest, StartRefusal } from "./payments.ts";

type Sale = Pick<PurchaseRequest, "amount" | "cashback">;

/** `maxMinor`: of one sale, in minor units; absent where no cash is given. */
export function cashbackRefusal(
  { operation, amount, cashback }: Sale & Pick<PurchaseRequest, "operation">,
  maxMinor: bigint | undefined,
): StartRefusal | undefined {
  if (!cashback) return undefined;
  const onHold = operation === "pre-authorisation" ? "cash is given with a sale only" : undefined;
  const detail = onHold ?? whyNot(amount, cashback, maxMinor);
  return detail === undefined ? undefined : { why: "not-allowed", field: "cashback", detail };
}

function whyNot(amount: Money, cashback: Money, maxMinor: bigint | undefined): string | undefined {
  if (maxMinor === undefined)
    return "this terminal gives no cash; payment.cashback.maxMinor in its configuration would allow it";
  if (cashback.currency !== amount.currency)
    return `the cash is in ${cashback.currency}, the sale in ${amount.currency}`;
  if (cashback.minor >= amount.minor) return "the cash is a part of the amount, and what is bought is the rest";
  if (cashback.minor <= maxMinor) return undefined;
  const max = toDecimal({ minor: maxMinor, currency: amount.currency });
  return `more cash than the ${max} ${amount.currency} that payment.cashback.maxMinor allows in one sale`;
}

/** What was bought: all of a sale that can ever be given back. */
export const goodsOf = ({ amount, cashback }: Sale): Money => ({
  minor: amount.minor - (cashback?.minor ?? 0n),
  currency: amount.currency,
});
