/** Whether an earlier payment may have a tip, as far as this terminal knows; the hub has the last word. */
import type { PaymentView, StartRefusal, TipRequest } from "./payments.ts";

/** `original`: undefined where this terminal does not know it. */
export function tipRefusal(
  { id, originalId, amount }: TipRequest,
  original: PaymentView | undefined,
): StartRefusal | undefined {
  const not = (detail: string) => ({ why: "not-allowed" as const, detail });
  if (id === originalId) return not("a tip needs an id of its own, not that of its sale");
  if (!original) return undefined;
  if (original.operation !== "purchase")
    return not(`payment ${originalId} is a ${original.operation}; ${WHERE_NONE[original.operation]}`);
  if (original.status !== "approved")
    return not(`payment ${originalId} is ${original.status}; only an approved sale can have a tip`);
  return amount.currency === original.amount.currency ? undefined : not(`the sale is in ${original.amount.currency}`);
}

const WHERE_NONE = {
  "pre-authorisation": "complete it for what is due with the tip",
  completion: "what is charged of a pre-authorisation has its tip in it",
  tip: "a sale has one tip",
  refund: "a tip is for a sale",
} as const;
