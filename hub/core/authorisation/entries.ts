/** Applies what a terminal tells afterwards: advices, reversals and voids. Each ends in one answer for its receipt (RM1, RM12). */
import { assert } from "../../../base/assert.ts";
import { fromWireMoney, type ReasonCode } from "../../../wire/common.ts";
import type { EntryOf } from "../../../wire/journal-entry.ts";
import type { Within } from "../../store/store.ts";
import type { Answer } from "./answers.ts";
import { askDeferred, cameTooLate, type DeferredParts } from "./deferred.ts";
import { expireHolds, hasRunOut } from "./expiry.ts";
import { isHeld } from "./hold.ts";
import { checkClaim } from "./issuing.ts";
import { type AdvicePayer, settleMeans } from "./means.ts";
import { isIssuerAccount } from "./postings.ts";
import { leftMinor, openExposure } from "./purchase.ts";
import type { Presented } from "./request.ts";
import type { AttemptRecord, PaymentContent, PaymentKey, PaymentOutcome, PaymentRecord } from "./store.ts";
import { stands, withdraw } from "./withdrawal.ts";

export interface EntryOutcome {
  readonly status: "processed" | "declined" | "expired" | "duplicate" | "quarantined";
  readonly reason?: ReasonCode;
  readonly detail?: string;
}

export interface EntryParts extends DeferredParts {
  /** Who bears an honoured approval's remainder: of an ordinary one, and of one that the hub had declined. */
  readonly riskParties: { readonly offline: string; readonly declined: string };
  /** Told of each payment that is confirmed, within the transaction that confirms it. */
  readonly confirmed?: (within: Within, payment: Confirmed) => Promise<void>;
}

export interface EntryInput<Body> {
  readonly key: PaymentKey;
  readonly body: Body;
  readonly now: number;
}
export type AdviceInput = EntryInput<EntryOf<"decision">> & { readonly card: Presented };

/** A payment at the moment that its confirmation is posted. */
export interface Confirmed extends EntryInput<EntryOf<"decision">> {
  /** Of a purchase: what no customer's account could pay. */
  readonly exposureMinor: bigint;
}

export const PROCESSED: EntryOutcome = { status: "processed" };
export const DUPLICATE: EntryOutcome = { status: "duplicate" };
export const declined = (detail: string): EntryOutcome => ({ status: "declined", reason: "E_STATE", detail });
export const quarantined = (reason: ReasonCode, detail: string): EntryOutcome => ({
  status: "quarantined",
  reason,
  detail,
});

/** Nothing is booked to an institution that it would never hear of. */
export const UNTOLD = quarantined(
  "E_UNAVAILABLE",
  "the institution that pays cannot be told: it never heard of the card, or is not configured here",
);

const UNOPENED = {
  unreadable: "the sealed card data cannot be opened",
  "no-key": "the card data are sealed to a key that this hub has not, or has no more",
} as const;

/** The payment that an approval is of, or what is to be said where it is none that can be taken. */
export async function findPayment(
  parts: EntryParts,
  { body, key, card, now }: AdviceInput,
): Promise<{ readonly payment: PaymentRecord } | { readonly outcome: EntryOutcome }> {
  if (body.outcome !== "approved")
    return { outcome: { status: "processed", detail: "not an approval: nothing to post" } };
  if (body.deferred && (body.operation !== "purchase" || body.mode !== "offline" || body.cashback)) {
    const detail = "deferred: only a purchase decided offline, with no cash in it, can be authorised later";
    return { outcome: quarantined("E_FORMAT", detail) };
  }
  const known = await parts.store.payment(parts.within, key);
  // An advice of what this hub authorised needs no card: whose it was is known since then (RM16).
  if (typeof card === "string" && known?.content?.accountId === undefined)
    return { outcome: quarantined("E_FORMAT", UNOPENED[card]) };
  const payment = known ?? (await parts.store.insertPayment(parts.within, key, now));
  const field = differingField(payment, body);
  if (field === undefined) return { payment };
  return { outcome: quarantined("E_CONFLICT", `${field} differs from what came under this payment's id before`) };
}

/** Of a purchase or a refund. */
export async function applyAdvice(parts: EntryParts, input: AdviceInput): Promise<EntryOutcome> {
  const { body } = input;
  const found = await findPayment(parts, input);
  if ("outcome" in found) return found.outcome;
  const { payment } = found;
  if (payment.state === "confirmed") return DUPLICATE;
  if (payment.state === "voided") return declined("this payment was voided");
  if (body.deferred) return await confirmDeferred(parts, input, payment);
  return body.operation === "purchase"
    ? await confirmPurchase(parts, input, payment)
    : await confirmRefund(parts, input, payment);
}

function differingField({ content }: PaymentRecord, body: EntryOf<"decision">): string | undefined {
  if (!content) return undefined;
  if (content.operation !== body.operation) return "operation";
  if (content.currency !== body.amount.currency) return "amount.currency";
  if (content.minor.toString() !== body.amount.minor) return "amount.minor";
  return content.cashbackMinor?.toString() === body.cashback?.minor ? undefined : "cashback.minor";
}

/** No advice but a late request (RM9): posted when it is approved, and when it is refused nothing moves. */
async function confirmDeferred(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): Promise<EntryOutcome> {
  const answer = await askDeferred(parts, input, payment);
  if (answer.outcome !== "approved") {
    const detail = `at the merchant's risk: ${answer.detail ?? `response code ${answer.responseCode}`}`;
    return { status: cameTooLate(answer) ? "expired" : "declined", reason: answer.reason ?? "E_DENIED", detail };
  }
  const attempts = await parts.store.attempts(parts.within, payment.number);
  const posted = await postNewestHold(parts, { input, payment, attempts });
  assert(posted, "a hold made within this transaction can be posted");
  const { approvalCode } = answer;
  await end(parts, input, payment, approvalCode === undefined ? {} : { approvalCode });
  return PROCESSED;
}

async function confirmPurchase(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): Promise<EntryOutcome> {
  if (input.body.note !== undefined) return await confirmNote(parts, input, payment);
  const { store, postings, within } = parts;
  const amount = fromWireMoney(input.body.amount);
  const attempts = await store.attempts(within, payment.number);
  const named = payment.content?.accountId ?? (await accountOf(parts, input));
  const accountId = await postings.keptIn(within, amount.currency, named);
  await store.setContent(within, payment.number, {
    operation: "purchase",
    currency: amount.currency,
    minor: amount.minor,
    ...(input.body.cashback && { cashbackMinor: BigInt(input.body.cashback.minor) }),
    ...(accountId === undefined ? {} : { accountId }),
  });
  await recordCryptogram(parts, input, payment);
  if (await postNewestHold(parts, { input, payment, attempts })) {
    await end(parts, input, payment);
    return PROCESSED;
  }
  const told = await adviseIssuer(parts, input, { payment, attempts });
  if (!told && isIssuerAccount(accountId)) return UNTOLD;
  const riskParty = attempts.some(wasDeclinedOnMerit) ? parts.riskParties.declined : parts.riskParties.offline;
  return await honour(parts, input, {
    payment,
    payer: { riskParty, ...(accountId === undefined ? {} : { accountId }) },
  });
}

/** Who pays: this hub's own customer, or the institution whose card it is. */
export async function accountOf(
  { store, postings, within }: EntryParts,
  { card, body }: AdviceInput,
): Promise<string | undefined> {
  if (typeof card !== "object") return undefined;
  if (card.routed) return await postings.issuerAccount(within, card.routed.institutionId, body.amount.currency);
  return (await store.card(within, card.token))?.accountId;
}

/**
 * His advice stands for every attempt that he was asked for, so none of them is reversed (RM1). False where he cannot be told;
 * true for payments that are no issuer's.
 */
export async function adviseIssuer(
  { acquiring, store, within }: EntryParts,
  { key, body, card, now }: AdviceInput,
  { payment, attempts }: Pick<Confirming, "payment" | "attempts">,
): Promise<boolean> {
  for (const { attempt } of attempts.filter(({ state }) => state === "asked"))
    await store.moveAttempt(within, payment.number, attempt, "superseded");
  const routed = typeof card === "object" ? card.routed : undefined;
  // Most payments are of this hub's own cards, and no issuer ever heard of them.
  if (!acquiring || (!routed && attempts.length === 0)) return false;
  const { approvalCode } = body;
  return await acquiring.advise(within, {
    ...{ key, operation: body.operation, amount: fromWireMoney(body.amount), at: now },
    ...(body.cashback && { cashback: fromWireMoney(body.cashback) }),
    ...(routed && typeof card === "object" ? { card: { ...routed, token: card.token } } : {}),
    ...(body.card === undefined ? {} : { entryMode: body.card.entryMode, iccData: body.card.iccData }),
    ...(approvalCode === undefined ? {} : { approvalCode }),
  });
}

/** A sale with both sides offline (RM11): the feature that knows the note says whose value it is. */
async function confirmNote(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): Promise<EntryOutcome> {
  const { key, body, now } = input;
  for (const means of parts.means()) {
    const resolved = await means.resolveAdvice?.(parts.within, { key, body, now });
    if (!resolved) continue;
    return "outcome" in resolved ? resolved.outcome : await postNote(parts, input, { payment, payer: resolved.payer });
  }
  return quarantined("E_UNKNOWN", "note: this hub takes no notes of staged value");
}

interface PaidBy {
  readonly payment: PaymentRecord;
  readonly payer: AdvicePayer;
}

async function postNote(parts: EntryParts, input: AdviceInput, { payment, payer }: PaidBy): Promise<EntryOutcome> {
  const { store, within } = parts;
  const { minor, currency } = fromWireMoney(input.body.amount);
  // The goods are paid once: what a card was asked for under the same payment is free again.
  for (const attempt of (await store.attempts(within, payment.number)).filter(stands))
    await withdraw(parts, { payment, attempt, to: "superseded", why: "paid-otherwise" });
  const accountId = payer.refundAccountId ?? payer.accountId;
  const content: PaymentContent = { operation: "purchase", currency, minor };
  await store.setContent(within, payment.number, accountId === undefined ? content : { ...content, accountId });
  return await honour(parts, input, { payment, payer });
}

/** Goods have changed hands: it posts whatever the account has (RM16). */
export async function honour(parts: EntryParts, input: AdviceInput, { payment, payer }: PaidBy): Promise<EntryOutcome> {
  const { postings, within } = parts;
  const { minor, currency } = fromWireMoney(input.body.amount);
  const { accountId: customer, riskParty: party } = payer;
  const merchant = await parts.merchantAccount(within, input.key, currency);
  const remainder = await postings.honour(within, { key: input.key, currency, minor, customer, merchant, party });
  if (remainder === 0n) {
    await end(parts, input, payment);
    return PROCESSED;
  }
  await end(parts, input, payment, { exposureMinor: remainder, exposureParty: party });
  return { status: "processed", detail: `${remainder} minor units are exposure of ${party}` };
}

/**
 * Whether the card really approved: what a person needs who looks into an exposure. The sale is posted all the same, as
 * goods have changed hands (RM16).
 */
async function recordCryptogram(
  { store, countCryptogram, within }: EntryParts,
  input: AdviceInput,
  payment: PaymentRecord,
): Promise<void> {
  const { body, card } = input;
  if (body.mode !== "offline" || typeof card !== "object" || !card.issued) return;
  const checked = checkClaim({ ...body, card: card.issued, type: "TC", iccData: body.card?.iccData });
  if (!checked.ok) {
    await store.setCryptogram(within, payment.number, "failed");
    countCryptogram("TC", checked.error.why);
    return;
  }
  const { sequenceNumber } = card.issued;
  const used = { token: card.token, sequenceNumber, counter: checked.value.atc, paymentNumber: payment.number };
  const fresh = await store.useCounter(within, used);
  await store.setCryptogram(within, payment.number, fresh ? "held" : "failed");
  countCryptogram("TC", fresh ? "held" : "replayed");
}

/** Declined for the card or its account; not for coming out of order or with other content. */
export function wasDeclinedOnMerit({ state, answer }: AttemptRecord): boolean {
  if (state !== "declined" || answer === undefined) return false;
  const { reason } = JSON.parse(answer) as Answer;
  return reason !== "E_STATE" && reason !== "E_CONFLICT";
}

/** A refund needs the hub: without an attempt that it approved there is nothing to confirm. */
async function confirmRefund(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): Promise<EntryOutcome> {
  const { store, postings, within } = parts;
  const { content } = payment;
  const attempts = await store.attempts(within, payment.number);
  if (!content || content.accountId === undefined || content.originalNumber === undefined)
    return quarantined("E_UNKNOWN", "a refund that this hub never authorised");
  const debitAccount = await parts.merchantAccount(within, input.key, content.currency);
  const exposed = await exposedPart(parts, { ...content, originalNumber: content.originalNumber });
  const minor = content.minor - (exposed?.minor ?? 0n);
  if (!(await postNewestHold(parts, { input, payment, attempts, minor }))) {
    if (!attempts.some(hasRunOut)) return quarantined("E_STATE", "no authorisation of this refund stands");
    const original = await store.paymentByNumber(within, content.originalNumber);
    const left = await leftMinor(parts, original, payment.number);
    if (content.minor > left) return quarantined("E_LIMIT", `of the original ${left} minor units are left to refund`);
    // The issuer was told that it would never be.
    const told = await adviseIssuer(parts, input, { payment, attempts });
    if (!told && isIssuerAccount(content.accountId)) return UNTOLD;
    if (minor > 0n)
      await postings.refundDirectly(within, { key: input.key, debitAccount, creditAccount: content.accountId, minor });
  }
  if (exposed)
    await postings.refundExposure(within, {
      key: input.key,
      debitAccount,
      creditAccount: exposed.account,
      minor: exposed.minor,
    });
  await end(parts, input, payment, exposed ? { exposureMinor: exposed.minor, exposureParty: exposed.party } : {});
  return PROCESSED;
}

/** A customer gets back no more than his account gave: what an exposure account bore of the original is made good first. */
async function exposedPart(
  parts: EntryParts,
  { originalNumber, accountId, currency, minor }: PaymentContent & { readonly originalNumber: number },
): Promise<{ readonly minor: bigint; readonly account: string; readonly party: string } | undefined> {
  const { store, postings, within } = parts;
  const original = await store.paymentByNumber(within, originalNumber);
  const open = original && (await openExposure(within, parts, original));
  if (!open || open.minor <= 0n) return undefined;
  const account = await postings.exposureAccount(within, open.party, currency);
  if (account === accountId) return undefined;
  return { minor: open.minor < minor ? open.minor : minor, account, party: open.party };
}

interface Confirming {
  readonly input: AdviceInput;
  readonly payment: PaymentRecord;
  readonly attempts: readonly AttemptRecord[];
  /** How much of the hold; all of it when not said. */
  readonly minor?: bigint;
}

/** As many as the sweep of a minute gives back. */
const EXPIRED_MAX = 1_000;

/** Posts the newest hold and takes every other attempt back. False when there is none left to post. A completion posts its original's. */
export async function postNewestHold(parts: EntryParts, confirming: Confirming): Promise<boolean> {
  const { store, postings, within } = parts;
  const { input, payment, attempts, minor } = confirming;
  const newest = attempts.findLast((attempt) => attempt.state === "approved");
  if (!newest) return false;
  for (const attempt of attempts.filter((other) => other !== newest && stands(other)))
    await withdraw(parts, { payment, attempt, to: "superseded", why: "other-attempt-posted" });
  const hold = { key: payment, attempt: newest.attempt, by: input.key };
  const posted = await postings.post(within, minor === undefined ? hold : { ...hold, minor });
  await store.moveAttempt(within, payment.number, newest.attempt, posted ? "posted" : "expired");
  // What was held is the account's again before it pays; what an institution owes has no limit.
  if (!posted && !isIssuerAccount(payment.content?.accountId)) await expireHolds(parts, EXPIRED_MAX);
  return posted;
}

/** What the hub alone knows of a payment's end. */
type HubsPart = Pick<PaymentOutcome, "exposureMinor" | "exposureParty" | "approvalCode">;

export async function end(
  parts: EntryParts,
  { key, body, now }: AdviceInput,
  payment: PaymentRecord,
  own: HubsPart = {},
): Promise<void> {
  await parts.store.endPayment(parts.within, payment.number, {
    state: "confirmed",
    at: now,
    mode: body.mode,
    businessDate: body.businessDate,
    ...(body.approvalCode === undefined ? {} : { approvalCode: body.approvalCode }),
    ...(body.card === undefined ? {} : { maskedPan: body.card.maskedPan }),
    ...own,
  });
  await parts.confirmed?.(parts.within, { key, body, now, exposureMinor: own.exposureMinor ?? 0n });
  // Again, for an approval whose hold ran out before its advice came. A card is no feature's means.
  if (body.card === undefined) await settleMeans(parts.within, { means: parts.means(), key, outcome: "approved" });
}

/** An unknown attempt leaves a tombstone that refuses the late original. */
export async function applyReversal(
  parts: EntryParts,
  { key, body, now }: EntryInput<EntryOf<"reversal">>,
): Promise<EntryOutcome> {
  const { store, within } = parts;
  const { scriptResults } = body;
  const payment = (await store.payment(within, key)) ?? (await store.insertPayment(within, key, now));
  if (payment.state === "confirmed" || isHeld(payment))
    return declined(`the payment is confirmed; its attempt ${body.attempt} is not reversed`);
  const attempt = (await store.attempts(within, payment.number)).find((known) => known.attempt === body.attempt);
  switch (attempt?.state) {
    case undefined:
      await store.insertAttempt(within, payment.number, { attempt: body.attempt, state: "tombstone", at: now });
      return PROCESSED;
    case "asked":
    case "approved":
    case "expired":
      await withdraw(parts, { payment, attempt, to: "reversed", why: "not-completed", scriptResults });
      await settleMeans(within, { means: parts.means(), key, outcome: "released" });
      return PROCESSED;
    case "reversed":
    case "tombstone":
      return DUPLICATE;
    case "declined":
    case "superseded":
    case "voided":
      // Whoever declined has nothing to take back, and hears what became of his scripts (RM13).
      if (attempt.state === "declined" && scriptResults !== undefined)
        await parts.acquiring?.withdraw(within, payment, body.attempt, { why: "declined", scriptResults });
      return { status: "processed", detail: `nothing to reverse: the attempt is ${attempt.state}` };
    case "posted":
      return declined("the attempt is posted");
  }
}

export async function applyVoid(parts: EntryParts, { key, now }: EntryInput<EntryOf<"void">>): Promise<EntryOutcome> {
  const { store, within } = parts;
  const payment = (await store.payment(within, key)) ?? (await store.insertPayment(within, key, now));
  if (payment.state === "confirmed") return declined("the payment is confirmed and can only be refunded");
  if (payment.state === "voided") return DUPLICATE;
  for (const attempt of (await store.attempts(within, payment.number)).filter(stands))
    await withdraw(parts, { payment, attempt, to: "voided", why: "voided" });
  await store.endPayment(within, payment.number, { state: "voided", at: now });
  await settleMeans(within, { means: parts.means(), key, outcome: "released" });
  return PROCESSED;
}
