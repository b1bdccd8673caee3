/** Refunds: back to the means of the original, and never more than it was (RM12). */
import { present } from "../../../base/assert.ts";
import { RESPONSE_CODES } from "../../../wire/authorisation.ts";
import type { Asking } from "./acquiring.ts";
import { type Answer, decline } from "./answers.ts";
import { hold } from "./hold.ts";
import { askIssuer } from "./issuer-question.ts";
import { isIssuerAccount } from "./postings.ts";
import { isSale, leftMinor } from "./purchase.ts";
import type { AttemptInput, Deciding, RequestParts } from "./request.ts";
import type { PaymentContent, PaymentRecord } from "./store.ts";

export async function refund(
  parts: RequestParts,
  input: AttemptInput,
  { payment, content }: Deciding,
): Promise<Answer | { readonly asking: Asking }> {
  const { store, postings, within } = parts;
  const original = await findOriginal(parts, input);
  if (original?.state !== "confirmed" || !original.content || !isSale(original.content)) {
    await store.setContent(within, payment.number, content);
    return decline(RESPONSE_CODES.originalNotFound, "E_UNKNOWN", "no confirmed purchase has this original id");
  }
  const creditAccount =
    original.content.accountId ??
    (await postings.exposureAccount(within, original.exposureParty ?? parts.merchantId, original.content.currency));
  await store.setContent(within, payment.number, {
    ...content,
    accountId: creditAccount,
    originalNumber: original.number,
  });
  if (original.content.currency !== content.currency)
    return decline(RESPONSE_CODES.invalidAmount, "E_CONFLICT", "amount.currency differs from the original");
  const left = await leftMinor(parts, original, payment.number);
  if (content.minor > left)
    return decline(RESPONSE_CODES.exceedsLimit, "E_LIMIT", `of the original ${left} minor units are left to refund`);
  if (isIssuerAccount(creditAccount))
    return await askOriginalsIssuer(parts, input, { content: { ...content, accountId: creditAccount }, original });
  return await hold(parts, input, {
    debitAccount: await parts.merchantAccount(within, input.key, content.currency),
    creditAccount,
    content,
  });
}

/** The terminal's own payment; else the one of another terminal of its merchant, if the id alone names one. */
export async function findOriginal(
  { store, within, merchantOf }: RequestParts,
  { key, request }: AttemptInput,
): Promise<PaymentRecord | undefined> {
  const { originalPaymentId } = request;
  if (originalPaymentId === undefined) return undefined;
  const own = await store.payment(within, { terminalId: key.terminalId, paymentId: originalPaymentId });
  if (own) return own;
  const [only, second] = await store.paymentsById(within, originalPaymentId);
  if (!only || second !== undefined) return undefined;
  return (await merchantOf(within, only.terminalId)) === (await merchantOf(within, key.terminalId)) ? only : undefined;
}

interface OnOriginal {
  readonly content: PaymentContent;
  readonly original: PaymentRecord;
}

/** For which the card was there: of a completion its pre-authorisation. */
async function cardPaymentOf({ store, within }: RequestParts, original: PaymentRecord): Promise<PaymentRecord> {
  const { operation, originalNumber } = original.content ?? {};
  if (operation !== "completion" || originalNumber === undefined) return original;
  return present(await store.paymentByNumber(within, originalNumber), "the pre-authorisation of a completion");
}

/** Only whoever paid can take it back, or pay more. */
export async function askOriginalsIssuer(
  parts: RequestParts,
  input: AttemptInput,
  { content, original }: OnOriginal,
): Promise<Answer | { readonly asking: Asking }> {
  const presented = await cardPaymentOf(parts, original);
  if ((await parts.acquiring?.cardOf(parts.within, presented)) !== undefined)
    return await askIssuer(parts, input, { content, card: { of: presented } });
  const detail = "the institution of the original's card is not configured here";
  return decline(RESPONSE_CODES.issuerUnavailable, "E_UNAVAILABLE", detail);
}
