/** Tips: more from whoever paid for a sale by card, once, while the sale's batch is open, and no more than the merchant may take. */
import { assert } from "../../../base/assert.ts";
import { RESPONSE_CODES } from "../../../wire/authorisation.ts";
import type { Asking } from "./acquiring.ts";
import { type Answer, decline } from "./answers.ts";
import { hold } from "./hold.ts";
import { isIssuerAccount } from "./postings.ts";
import { leftMinor } from "./purchase.ts";
import { askOriginalsIssuer, findOriginal } from "./refund.ts";
import type { AttemptInput, Deciding, RequestParts } from "./request.ts";
import type { PaymentRecord } from "./store.ts";

export async function tip(
  parts: RequestParts,
  input: AttemptInput,
  { payment, content }: Deciding,
): Promise<Answer | { readonly asking: Asking }> {
  const { store, within } = parts;
  const original = await findOriginal(parts, input);
  if (original?.content?.operation !== "purchase" || original.state !== "confirmed") {
    await store.setContent(within, payment.number, content);
    return decline(RESPONSE_CODES.originalNotFound, "E_UNKNOWN", "no confirmed purchase has this original id");
  }
  const { accountId } = original.content;
  const known = { ...content, ...(accountId !== undefined && { accountId }), originalNumber: original.number };
  await store.setContent(within, payment.number, known);
  const refusal = await refuseTip(parts, input, { payment, content: known, original });
  if (refusal) return refusal;
  assert(accountId !== undefined, "a tip of nobody's is refused");
  if (isIssuerAccount(accountId)) return await askOriginalsIssuer(parts, input, { content: known, original });
  const creditAccount = await parts.merchantAccount(within, input.key, content.currency);
  return await hold(parts, input, { debitAccount: accountId, creditAccount, content: known });
}

type OnSale = Pick<Deciding, "payment" | "content"> & { readonly original: PaymentRecord };

/** What may not be asked for, whatever the account is good for. */
async function refuseTip(
  parts: RequestParts,
  { key, now }: AttemptInput,
  { payment, content, original }: OnSale,
): Promise<Answer | undefined> {
  const { store, within } = parts;
  if (original.content?.currency !== content.currency)
    return decline(RESPONSE_CODES.invalidAmount, "E_CONFLICT", "amount.currency differs from the original");
  // With a code or a note its payer has said how much, and nothing of a tip.
  if (original.maskedPan === undefined || content.accountId === undefined)
    return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", "a tip is added to a sale by card only");
  const { tipPercentMax } = await parts.termsOf(within, key.terminalId);
  if (tipPercentMax === 0)
    return decline(RESPONSE_CODES.notPermittedToTerminal, "E_DENIED", "this merchant takes no tips");
  if (!(await parts.inOpenBatch(within, original, now)))
    return decline(RESPONSE_CODES.doNotHonour, "E_STATE", "the batch of the original is closed");
  if ((await store.tippedMinor(within, original.number, payment.number)) > 0n)
    return decline(RESPONSE_CODES.exceedsLimit, "E_LIMIT", "the original has a tip already");
  const most = ((await leftMinor(parts, original, payment.number)) * BigInt(tipPercentMax)) / 100n;
  if (content.minor > most)
    return decline(RESPONSE_CODES.exceedsLimit, "E_LIMIT", `of the original a tip is ${most} minor units at most`);
  if (await isDenied(parts, original, content.accountId))
    return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", "this card is on the deny list");
  return undefined;
}

async function isDenied(
  { store, within, acquiring, denies }: RequestParts,
  original: PaymentRecord,
  accountId: string,
): Promise<boolean> {
  const token = isIssuerAccount(accountId)
    ? await acquiring?.cardOf(within, original)
    : (await store.cardOfAccount(within, accountId))?.token;
  return token !== undefined && (await denies?.(within, "card", token)) === true;
}
