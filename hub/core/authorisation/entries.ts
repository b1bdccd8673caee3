/** Applies what a terminal tells afterwards: advices, reversals and voids. Each ends in one answer for its receipt (RM1, RM12). */
import { assert } from "../../../base/assert.ts";
import { fromWireMoney, type ReasonCode } from "../../../wire/common.ts";
import type { EntryOf } from "../../../wire/journal-entry.ts";
import { askDeferred, cameTooLate, type DeferredParts } from "./deferred.ts";
import { checkClaim } from "./issuing.ts";
import { type AdvicePayer, settleMeans } from "./means.ts";
import type { Answer, Presented } from "./request.ts";
import type { AttemptRecord, PaymentContent, PaymentKey, PaymentOutcome, PaymentRecord } from "./store.ts";

export interface EntryOutcome {
  readonly status: "processed" | "declined" | "expired" | "duplicate" | "quarantined";
  readonly reason?: ReasonCode;
  readonly detail?: string;
}

export interface EntryParts extends DeferredParts {
  /** Who bears an honoured approval's remainder: of an ordinary one, and of one that the hub had declined. */
  readonly riskParties: { readonly offline: string; readonly declined: string };
}

export interface EntryInput<Body> {
  readonly key: PaymentKey;
  readonly body: Body;
  readonly now: number;
}
export type AdviceInput = EntryInput<EntryOf<"decision">> & { readonly card: Presented };

const PROCESSED: EntryOutcome = { status: "processed" };
const DUPLICATE: EntryOutcome = { status: "duplicate" };
const declined = (detail: string): EntryOutcome => ({ status: "declined", reason: "E_STATE", detail });
const quarantined = (reason: ReasonCode, detail: string): EntryOutcome => ({ status: "quarantined", reason, detail });

const UNOPENED = {
  unreadable: "the sealed card data cannot be opened",
  "no-key": "the card data are sealed to a key that this hub has not, or has no more",
} as const;

export function applyAdvice(parts: EntryParts, input: AdviceInput): EntryOutcome {
  const { body, key, now } = input;
  if (body.outcome !== "approved") return { status: "processed", detail: "not an approval: nothing to post" };
  if (body.deferred && (body.operation !== "purchase" || body.mode !== "offline"))
    return quarantined("E_FORMAT", "deferred: only a purchase decided offline can be authorised later");
  const known = parts.store.payment(key);
  // An advice of what this hub authorised needs no card: whose it was is known since then (RM16).
  if (typeof input.card === "string" && known?.content?.accountId === undefined)
    return quarantined("E_FORMAT", UNOPENED[input.card]);
  const payment = known ?? parts.store.insertPayment(key, now);
  const field = differingField(payment, body);
  if (field !== undefined)
    return quarantined("E_CONFLICT", `${field} differs from what came under this payment's id before`);
  if (payment.state === "confirmed") return DUPLICATE;
  if (payment.state === "voided") return declined("this payment was voided");
  if (body.deferred) return confirmDeferred(parts, input, payment);
  return body.operation === "purchase" ? confirmPurchase(parts, input, payment) : confirmRefund(parts, input, payment);
}

function differingField({ content }: PaymentRecord, body: EntryOf<"decision">): string | undefined {
  if (!content) return undefined;
  if (content.operation !== body.operation) return "operation";
  if (content.currency !== body.amount.currency) return "amount.currency";
  return content.minor.toString() === body.amount.minor ? undefined : "amount.minor";
}

/** No advice but a late request (RM9): posted when it is approved, and when it is refused nothing moves. */
function confirmDeferred(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): EntryOutcome {
  const answer = askDeferred(parts, input, payment);
  if (answer.outcome !== "approved") {
    const detail = `at the merchant's risk: ${answer.detail ?? `response code ${answer.responseCode}`}`;
    return { status: cameTooLate(answer) ? "expired" : "declined", reason: answer.reason ?? "E_DENIED", detail };
  }
  const attempts = parts.store.attempts(payment.number);
  const posted = postNewestHold(parts, { input, payment, attempts });
  assert(posted, "a hold made within this transaction can be posted");
  const { approvalCode } = answer;
  end(parts, input, payment, approvalCode === undefined ? {} : { approvalCode });
  return PROCESSED;
}

function confirmPurchase(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): EntryOutcome {
  if (input.body.note !== undefined) return confirmNote(parts, input, payment);
  const { store } = parts;
  const amount = fromWireMoney(input.body.amount);
  const attempts = store.attempts(payment.number);
  const accountId =
    payment.content?.accountId ??
    (typeof input.card === "object" ? store.card(input.card.token)?.accountId : undefined);
  store.setContent(payment.number, {
    operation: "purchase",
    currency: amount.currency,
    minor: amount.minor,
    ...(accountId === undefined ? {} : { accountId }),
  });
  recordCryptogram(parts, input, payment);
  if (postNewestHold(parts, { input, payment, attempts })) {
    end(parts, input, payment);
    return PROCESSED;
  }
  const riskParty = attempts.some(wasDeclinedOnMerit) ? parts.riskParties.declined : parts.riskParties.offline;
  return honour(parts, input, { payment, payer: { riskParty, ...(accountId === undefined ? {} : { accountId }) } });
}

/** A sale with both sides offline (RM11): the feature that knows the note says whose value it is. */
function confirmNote(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): EntryOutcome {
  const { key, body, now } = input;
  for (const means of parts.means()) {
    const resolved = means.resolveAdvice?.({ key, body, now });
    if (!resolved) continue;
    return "outcome" in resolved ? resolved.outcome : postNote(parts, input, { payment, payer: resolved.payer });
  }
  return quarantined("E_UNKNOWN", "note: this hub takes no notes of staged value");
}

interface PaidBy {
  readonly payment: PaymentRecord;
  readonly payer: AdvicePayer;
}

function postNote(parts: EntryParts, input: AdviceInput, { payment, payer }: PaidBy): EntryOutcome {
  const { store, postings } = parts;
  const { minor, currency } = fromWireMoney(input.body.amount);
  // The goods are paid once: what a card was asked for under the same payment is free again.
  for (const held of store.attempts(payment.number).filter((attempt) => attempt.state === "approved")) {
    postings.release(input.key, held.attempt, "superseded");
    store.moveAttempt(payment.number, held.attempt, "superseded");
  }
  const accountId = payer.refundAccountId ?? payer.accountId;
  const content: PaymentContent = { operation: "purchase", currency, minor };
  store.setContent(payment.number, accountId === undefined ? content : { ...content, accountId });
  return honour(parts, input, { payment, payer });
}

/** Goods have changed hands: it posts whatever the account has (RM16). */
function honour(parts: EntryParts, input: AdviceInput, { payment, payer }: PaidBy): EntryOutcome {
  const { postings } = parts;
  const { minor, currency } = fromWireMoney(input.body.amount);
  const { accountId: customer, riskParty: party } = payer;
  const merchant = postings.merchantAccount(parts.merchantId, currency);
  const remainder = postings.honour({ key: input.key, currency, minor, customer, merchant, party });
  if (remainder === 0n) {
    end(parts, input, payment);
    return PROCESSED;
  }
  end(parts, input, payment, { exposureMinor: remainder, exposureParty: party });
  return { status: "processed", detail: `${remainder} minor units are exposure of ${party}` };
}

/**
 * Whether the card really approved: what a person needs who looks into an exposure. The sale is posted all the same, as
 * goods have changed hands (RM16).
 */
function recordCryptogram({ store, countCryptogram }: EntryParts, input: AdviceInput, payment: PaymentRecord): void {
  const { body, card } = input;
  if (body.mode !== "offline" || typeof card !== "object" || !card.issued) return;
  const checked = checkClaim({ card: card.issued, type: "TC", amount: body.amount, iccData: body.card?.iccData });
  if (!checked.ok) {
    store.setCryptogram(payment.number, "failed");
    countCryptogram("TC", checked.error.why);
    return;
  }
  const { sequenceNumber } = card.issued;
  const used = { token: card.token, sequenceNumber, counter: checked.value.atc, paymentNumber: payment.number };
  const fresh = store.useCounter(used);
  store.setCryptogram(payment.number, fresh ? "held" : "failed");
  countCryptogram("TC", fresh ? "held" : "replayed");
}

/** Declined for the card or its account; not for coming out of order or with other content. */
function wasDeclinedOnMerit({ state, answer }: AttemptRecord): boolean {
  if (state !== "declined" || answer === undefined) return false;
  const { reason } = JSON.parse(answer) as Answer;
  return reason !== "E_STATE" && reason !== "E_CONFLICT";
}

/** A refund needs the hub: without an attempt that it approved there is nothing to confirm. */
function confirmRefund(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): EntryOutcome {
  const { store, postings } = parts;
  const { content } = payment;
  const attempts = store.attempts(payment.number);
  if (!content || content.accountId === undefined || content.originalNumber === undefined)
    return quarantined("E_UNKNOWN", "a refund that this hub never authorised");
  const debitAccount = postings.merchantAccount(parts.merchantId, content.currency);
  const exposed = exposedPart(parts, { ...content, originalNumber: content.originalNumber });
  const minor = content.minor - (exposed?.minor ?? 0n);
  if (!postNewestHold(parts, { input, payment, attempts, minor })) {
    if (!attempts.some((attempt) => attempt.state === "expired"))
      return quarantined("E_STATE", "no authorisation of this refund stands");
    const original = store.paymentByNumber(content.originalNumber);
    const left = (original?.content?.minor ?? 0n) - store.refundedMinor(content.originalNumber, payment.number);
    if (content.minor > left) return quarantined("E_LIMIT", `of the original ${left} minor units are left to refund`);
    if (minor > 0n) postings.refundDirectly({ key: input.key, debitAccount, creditAccount: content.accountId, minor });
  }
  if (exposed)
    postings.refundExposure({ key: input.key, debitAccount, creditAccount: exposed.account, minor: exposed.minor });
  end(parts, input, payment, exposed ? { exposureMinor: exposed.minor, exposureParty: exposed.party } : {});
  return PROCESSED;
}

/** A customer gets back no more than his account gave: what an exposure account bore of the original is made good first. */
function exposedPart(
  { store, postings }: EntryParts,
  { originalNumber, accountId, currency, minor }: PaymentContent & { readonly originalNumber: number },
): { readonly minor: bigint; readonly account: string; readonly party: string } | undefined {
  const original = store.paymentByNumber(originalNumber);
  if (original?.exposureMinor === undefined || original.exposureParty === undefined) return undefined;
  const account = postings.exposureAccount(original.exposureParty, currency);
  const open = original.exposureMinor - store.madeGoodMinor(originalNumber);
  if (account === accountId || open <= 0n) return undefined;
  return { minor: open < minor ? open : minor, account, party: original.exposureParty };
}

interface Confirming {
  readonly input: AdviceInput;
  readonly payment: PaymentRecord;
  readonly attempts: readonly AttemptRecord[];
  /** How much of the hold; all of it when not said. */
  readonly minor?: bigint;
}

/** Posts the newest hold and gives any other back. False when there is none left to post. */
function postNewestHold({ store, postings }: EntryParts, confirming: Confirming): boolean {
  const { input, payment, attempts, minor } = confirming;
  const held = attempts.filter((attempt) => attempt.state === "approved");
  const newest = held.at(-1);
  let posted = false;
  for (const attempt of held) {
    if (attempt === newest) {
      const hold = { key: input.key, attempt: attempt.attempt, operation: input.body.operation };
      posted = postings.post(minor === undefined ? hold : { ...hold, minor });
      store.moveAttempt(payment.number, attempt.attempt, posted ? "posted" : "expired");
    } else {
      postings.release(input.key, attempt.attempt, "superseded");
      store.moveAttempt(payment.number, attempt.attempt, "superseded");
    }
  }
  return posted;
}

/** What the hub alone knows of a payment's end. */
type HubsPart = Pick<PaymentOutcome, "exposureMinor" | "exposureParty" | "approvalCode">;

function end(parts: EntryParts, { key, body, now }: AdviceInput, payment: PaymentRecord, own: HubsPart = {}): void {
  parts.store.endPayment(payment.number, {
    state: "confirmed",
    at: now,
    mode: body.mode,
    businessDate: body.businessDate,
    ...(body.approvalCode === undefined ? {} : { approvalCode: body.approvalCode }),
    ...(body.card === undefined ? {} : { maskedPan: body.card.maskedPan }),
    ...own,
  });
  // Again, for an approval whose hold ran out before its advice came. A card is no feature's means.
  if (body.card === undefined) settleMeans(parts.means(), key, "approved");
}

/** An unknown attempt leaves a tombstone that refuses the late original. */
export function applyReversal(parts: EntryParts, { key, body, now }: EntryInput<EntryOf<"reversal">>): EntryOutcome {
  const { store, postings } = parts;
  const payment = store.payment(key) ?? store.insertPayment(key, now);
  if (payment.state === "confirmed")
    return declined(`the payment is confirmed; its attempt ${body.attempt} is not reversed`);
  const attempt = store.attempts(payment.number).find((known) => known.attempt === body.attempt);
  switch (attempt?.state) {
    case undefined:
      store.insertAttempt(payment.number, { attempt: body.attempt, state: "tombstone", at: now });
      return PROCESSED;
    case "approved":
      postings.release(key, body.attempt, "reversal");
      store.moveAttempt(payment.number, body.attempt, "reversed");
      settleMeans(parts.means(), key, "released");
      return PROCESSED;
    case "reversed":
    case "tombstone":
      return DUPLICATE;
    case "declined":
    case "superseded":
    case "voided":
    case "expired":
      return { status: "processed", detail: `nothing to reverse: the attempt is ${attempt?.state}` };
    case "posted":
      return declined("the attempt is posted");
  }
}

export function applyVoid(parts: EntryParts, { key, now }: EntryInput<EntryOf<"void">>): EntryOutcome {
  const { store, postings } = parts;
  const payment = store.payment(key) ?? store.insertPayment(key, now);
  if (payment.state === "confirmed") return declined("the payment is confirmed and can only be refunded");
  if (payment.state === "voided") return DUPLICATE;
  for (const attempt of store.attempts(payment.number).filter((known) => known.state === "approved")) {
    postings.release(key, attempt.attempt, "void");
    store.moveAttempt(payment.number, attempt.attempt, "voided");
  }
  store.endPayment(payment.number, { state: "voided", at: now });
  settleMeans(parts.means(), key, "released");
  return PROCESSED;
}
