/**
 * Pre-authorisations and their completions, as their terminal tells of them: the one stays held, the other posts of it what
 * was taken in the end, and frees the rest.
 */
import { assert } from "../../../base/assert.ts";
import { fromWireMoney } from "../../../wire/common.ts";
import {
  type AdviceInput,
  accountOf,
  DUPLICATE,
  declined,
  type EntryOutcome,
  type EntryParts,
  end,
  findPayment,
  honour,
  PROCESSED,
  postNewestHold,
  quarantined,
  UNTOLD,
  wasDeclinedOnMerit,
} from "./entries.ts";
import { isHeld } from "./hold.ts";
import { isIssuerAccount } from "./postings.ts";
import type { AttemptRecord, PaymentKey, PaymentRecord } from "./store.ts";

/** The card's TC stands, so no reversal can be true any more. Nothing is posted. */
export async function confirmHold(parts: EntryParts, input: AdviceInput): Promise<EntryOutcome> {
  const { store, within } = parts;
  const { body } = input;
  if (body.mode !== "online") return quarantined("E_FORMAT", "mode: a pre-authorisation is decided online");
  const found = await findPayment(parts, input);
  if ("outcome" in found) return found.outcome;
  const { payment } = found;
  if (isHeld(payment)) return DUPLICATE;
  if (payment.state === "voided") return declined("this payment was voided");
  if (!payment.content) {
    const accountId = await accountOf(parts, input);
    const content = { operation: body.operation, ...fromWireMoney(body.amount) };
    await store.setContent(within, payment.number, accountId === undefined ? content : { ...content, accountId });
  }
  await store.setHeld(within, payment.number, {
    businessDate: body.businessDate,
    ...(body.approvalCode === undefined ? {} : { approvalCode: body.approvalCode }),
    ...(body.card === undefined ? {} : { maskedPan: body.card.maskedPan }),
  });
  const attempts = await store.attempts(within, payment.number);
  if (payment.state === "confirmed" || attempts.some(({ state }) => state === "approved")) return PROCESSED;
  return { status: "processed", detail: "nothing is held for it; its completion is posted all the same" };
}

/** Goods have changed hands, or a service was given: it posts out of what is held, and without that what the account has (RM16). */
export async function complete(parts: EntryParts, input: AdviceInput): Promise<EntryOutcome> {
  const { store, postings, within } = parts;
  const { key, body, now } = input;
  const found = await findPayment(parts, input);
  if ("outcome" in found) return found.outcome;
  const { payment } = found;
  if (payment.state === "confirmed") return DUPLICATE;
  if (payment.state === "voided") return declined("this payment was voided");
  if (body.originalPaymentId === undefined || body.originalPaymentId === key.paymentId)
    return quarantined("E_FORMAT", "originalPaymentId: a completion names its pre-authorisation");
  const originalKey = { terminalId: key.terminalId, paymentId: body.originalPaymentId };
  const known = await store.payment(within, originalKey);
  const refusal = known && refusalOf(known, input);
  if (refusal) return refusal;
  // A hub that was restored may never have heard of it: it is ended all the same, so that it is completed once.
  const original = known ?? (await store.insertPayment(within, originalKey, now));
  // A row that names another is written behind it.
  if (!known) await store.saveAll(within);
  const amount = fromWireMoney(body.amount);
  const accountId = await postings.keptIn(within, amount.currency, original.content?.accountId);
  const payer = accountId === undefined ? {} : { accountId };
  await store.setContent(within, payment.number, {
    operation: "completion",
    ...amount,
    ...payer,
    originalNumber: original.number,
  });
  return await post(parts, input, { payment, original, ...payer });
}

function refusalOf(original: PaymentRecord, { body }: AdviceInput): EntryOutcome | undefined {
  const { content, state } = original;
  if (content && content.operation !== "pre-authorisation")
    return quarantined("E_CONFLICT", `originalPaymentId: that payment is a ${content.operation}`);
  if (state === "confirmed") return declined("its pre-authorisation was completed before");
  if (state === "voided") return declined("its pre-authorisation was cancelled before");
  if (!content) return undefined;
  const { minor, currency } = fromWireMoney(body.amount);
  if (currency !== content.currency)
    return quarantined("E_CONFLICT", "amount.currency differs from that of its pre-authorisation");
  return minor > content.minor
    ? quarantined("E_LIMIT", `amount.minor: ${content.minor} minor units were authorised`)
    : undefined;
}

interface Completing {
  readonly payment: PaymentRecord;
  readonly original: PaymentRecord;
  /** Who pays what nothing is held for. */
  readonly accountId?: string;
}

async function post(parts: EntryParts, input: AdviceInput, completing: Completing): Promise<EntryOutcome> {
  const { store, within, riskParties, acquiring } = parts;
  const { payment, original, accountId } = completing;
  const attempts = await store.attempts(within, original.number);
  const { minor } = fromWireMoney(input.body.amount);
  const ofIssuer = isIssuerAccount(accountId);
  // Known before anything is posted: what is set aside leaves the hold for when he can be told.
  if (ofIssuer && (await acquiring?.cardOf(within, original)) === undefined) return UNTOLD;
  const posted = await postNewestHold(parts, { input, payment: original, attempts, minor });
  if (ofIssuer) await tellIssuer(parts, input, { original, attempts });
  await store.endPayment(within, original.number, { state: "confirmed", at: input.now });
  if (posted) {
    await end(parts, input, payment);
    return PROCESSED;
  }
  const riskParty = attempts.some(wasDeclinedOnMerit) ? riskParties.declined : riskParties.offline;
  const payer = { riskParty, ...(accountId === undefined ? {} : { accountId }) };
  return await honour(parts, input, { payment, payer });
}

interface Told {
  readonly original: PaymentKey;
  readonly attempts: readonly AttemptRecord[];
}

/** He knows the payment by the name that its pre-authorisation has (RM14: 0220). */
async function tellIssuer(
  { acquiring, within }: EntryParts,
  { body, now }: AdviceInput,
  { original: { terminalId, paymentId }, attempts }: Told,
): Promise<void> {
  const asked = attempts.findLast(({ state }) => state === "approved" || state === "expired");
  const told = await acquiring?.advise(within, {
    ...{ key: { terminalId, paymentId }, operation: "completion", amount: fromWireMoney(body.amount), at: now },
    ...(asked && { completes: asked.attempt }),
    ...(body.card && { entryMode: body.card.entryMode }),
    ...(body.approvalCode === undefined ? {} : { approvalCode: body.approvalCode }),
  });
  assert(told === true, "whose card is known here is told");
}
