/** Cash on top of a purchase: by a merchant's leave, on a card, and gone once it is given. */
import { RESPONSE_CODES } from "../../../wire/authorisation.ts";
import { type Answer, decline } from "./answers.ts";
import type { AttemptInput, RequestParts } from "./request.ts";
import type { PaymentContent } from "./store.ts";

/** What may not be asked for, whatever the card and its account are good for; undefined where nothing speaks against it. */
export async function refuseCashback(
  { within, termsOf }: Pick<RequestParts, "within" | "termsOf">,
  { key, request }: Pick<AttemptInput, "key" | "request">,
): Promise<Answer | undefined> {
  const { kind, amount, cashback, code } = request;
  if (!cashback) return undefined;
  const wrong = (detail: string) => decline(RESPONSE_CODES.formatError, "E_FORMAT", `cashback: ${detail}`);
  if (kind !== "purchase" || code !== undefined) return wrong("cash is given with a purchase on a card only");
  if (cashback.currency !== amount.currency) return wrong("the amount is in another currency");
  if (BigInt(cashback.minor) === 0n || BigInt(cashback.minor) >= BigInt(amount.minor))
    return decline(RESPONSE_CODES.invalidAmount, "E_FORMAT", "cashback: it is a part of the amount, and not all of it");
  const { cashbackMaxMinor } = await termsOf(within, key.terminalId);
  if (cashbackMaxMinor === 0)
    return decline(RESPONSE_CODES.notPermittedToTerminal, "E_DENIED", "cashback: this merchant gives none");
  if (BigInt(cashback.minor) <= BigInt(cashbackMaxMinor)) return undefined;
  const detail = `cashback: this merchant gives ${cashbackMaxMinor} minor units at most`;
  return decline(RESPONSE_CODES.exceedsLimit, "E_LIMIT", detail);
}

/** What was bought: all of a purchase that can ever be refunded. */
export const goodsMinor = ({ minor, cashbackMinor = 0n }: Pick<PaymentContent, "minor" | "cashbackMinor">): bigint =>
  minor - cashbackMinor;
