/** What of an earlier payment may be given back, as far as this terminal knows; the hub has the last word. */
import type { Money } from "../../base/money.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { Operation } from "../../wire/common.ts";
import { goodsOf } from "./cashback.ts";
import type { PaymentView, RefundRequest, StartRefusal } from "./payments.ts";

const SALES: readonly Operation[] = ["purchase", "completion", "tip"];

/** `original`: undefined where this terminal does not know it. */
export function refundable(
  { id, originalId, amount }: RefundRequest,
  original: PaymentView | undefined,
): Result<Money, StartRefusal> {
  if (id === originalId)
    return fail({ why: "not-allowed", detail: "a refund needs an id of its own, not that of its original" });
  if (!original) {
    if (amount) return ok(amount);
    return fail({ why: "not-found", detail: `payment ${originalId} is not known at this terminal; give the amount` });
  }
  const not = (detail: string) => fail({ why: "not-allowed" as const, detail });
  const isSale = SALES.includes(original.operation);
  if (!isSale || original.status !== "approved") {
    const is = isSale ? original.status : `a ${original.operation}`;
    return not(`payment ${originalId} is ${is}; only an approved sale can be refunded`);
  }
  if (amount && amount.currency !== original.amount.currency)
    return not(`the original is in ${original.amount.currency}`);
  const most = goodsOf(original);
  const wanted = amount ?? most;
  if (wanted.minor <= most.minor) return ok(wanted);
  return not(
    original.cashback
      ? "a refund never exceeds what was bought; the cash of the original stays with the customer"
      : "a refund never exceeds the original",
  );
}
