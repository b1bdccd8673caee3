/** Decides online requests: one attempt of one payment each, with the first answer again for every repeat (RM1, RM4). */
import type { RandomBytes } from "../../../base/ids.ts";
import { type AuthorisationRequest, type PreAuthorisedCode, RESPONSE_CODES } from "../../../wire/authorisation.ts";
import { fromWireMoney } from "../../../wire/common.ts";
import type { Reading, Within } from "../../store/store.ts";
import { type Answer, conflict, decline, refuseState, STALE_ANSWER } from "./answers.ts";
import { type CountCryptogram, checkClaim, type IssuedCard, issuerAuthenticationData } from "./issuing.ts";
import { type Means, type Payer, settleMeans } from "./means.ts";
import type { Postings } from "./postings.ts";
import type { AttemptRecord, AuthorisationStore, PaymentContent, PaymentKey, PaymentRecord } from "./store.ts";

/** What was under the seal: the card's token at this hub, never its number. */
export interface PresentedCard {
  readonly token: string;
  /** YYMM. */
  readonly expiry: string;
  /** Only of a card in one of this hub's own ranges. */
  readonly issued?: IssuedCard;
}

/** `unreadable`: sealed for another terminal or payment, or damaged. `no-key`: sealed to a key that this hub has not. */
export type Presented = PresentedCard | "unreadable" | "no-key" | undefined;

/** `fresh`: decided now, so that it may still be taken back; else nothing was done. */
export interface Decided {
  readonly answer: Answer;
  readonly fresh: boolean;
}

export interface RequestParts {
  readonly within: Within;
  readonly store: AuthorisationStore;
  readonly postings: Postings;
  readonly random: RandomBytes;
  readonly merchantId: string;
  readonly holdMs: number;
  readonly countCryptogram: CountCryptogram;
  readonly means: () => readonly Means[];
  /** Whether a card, by its token here, a paying device or an account is on the deny list; nothing is when not said. */
  readonly denies?: (reading: Reading, kind: "card" | "device" | "account", name: string) => Promise<boolean>;
  /** Keyed, so that a stored request tells nothing of the code that it brought. */
  codeHash(code: PreAuthorisedCode): string;
}

/** One attempt at a payment, however late. */
export interface AttemptInput {
  readonly key: PaymentKey;
  readonly request: Omit<AuthorisationRequest, "answerBy" | "card" | "paymentId">;
  readonly card: Presented;
  readonly now: number;
  /** The answer to what must not be approved, whatever its card and account are good for. */
  readonly refusal?: Answer;
}

export interface OnlineInput extends AttemptInput {
  readonly request: AuthorisationRequest;
  /** When the hub received it, in milliseconds since 1970. */
  readonly receivedAt: number;
}

export async function decideRequest(parts: RequestParts, input: OnlineInput): Promise<Decided> {
  const repeated = await repeatOf(parts, input);
  if (repeated) return { answer: repeated, fresh: false };
  const answerBy = Date.parse(input.request.answerBy);
  if (input.receivedAt > answerBy || input.now > answerBy) return { answer: STALE_ANSWER, fresh: false };
  return { answer: await decideNew(parts, input), fresh: true };
}

/** For a request that nobody waits for: it cannot come too late. */
export const decideLate = async (parts: RequestParts, input: AttemptInput): Promise<Answer> =>
  (await repeatOf(parts, input)) ?? (await decideNew(parts, input));

/** The answer to an attempt that came before. */
async function repeatOf(parts: RequestParts, input: AttemptInput): Promise<Answer | undefined> {
  const { store, within } = parts;
  const known = await store.payment(within, input.key);
  const attempts = known ? await store.attempts(within, known.number) : [];
  const repeated = attempts.find((attempt) => attempt.attempt === input.request.attempt);
  return repeated && answerRepeat(repeated, contentOf(parts, input));
}

async function decideNew(parts: RequestParts, input: AttemptInput): Promise<Answer> {
  const { store, within } = parts;
  const payment = (await store.payment(within, input.key)) ?? (await store.insertPayment(within, input.key, input.now));
  const attempts = await store.attempts(within, payment.number);
  const answer = refuseForPayment(payment, attempts, input) ?? (await decideFresh(parts, input, { payment, attempts }));
  await store.insertAttempt(within, payment.number, {
    attempt: input.request.attempt,
    state: answer.outcome === "approved" ? "approved" : "declined",
    content: JSON.stringify(contentOf(parts, input)),
    answer: JSON.stringify(answer),
    at: input.now,
  });
  return answer;
}

type Content = Readonly<Record<string, string>>;

/** What makes two requests the same; the seal differs each time it is made, so the card stands in by its token. */
function contentOf({ codeHash }: RequestParts, { request, card }: AttemptInput): Content {
  return {
    kind: request.kind,
    "amount.minor": request.amount.minor,
    "amount.currency": request.amount.currency,
    originalPaymentId: request.originalPaymentId ?? "",
    card: typeof card === "object" ? card.token : (card ?? ""),
    entryMode: request.entryMode ?? "",
    iccData: request.iccData ?? "",
    code: request.code === undefined ? "" : codeHash(request.code),
  };
}

function answerRepeat(attempt: AttemptRecord, content: Content): Answer {
  switch (attempt.state) {
    case "tombstone":
      return refuseState("this attempt was reversed before it came");
    case "reversed":
    case "superseded":
    case "voided":
    case "expired":
      return refuseState(`this attempt was approved and is ${attempt.state} now`);
    case "approved":
    case "posted":
    case "declined": {
      const before = JSON.parse(attempt.content ?? "{}") as Content;
      // Requests that were stored before a field came into being had none of it.
      const field = Object.entries(content).find(([name, value]) => (before[name] ?? "") !== value)?.[0];
      if (field !== undefined) return conflict(field);
      return JSON.parse(attempt.answer ?? "{}") as Answer;
    }
  }
}

function refuseForPayment(
  payment: PaymentRecord,
  attempts: readonly AttemptRecord[],
  { request }: AttemptInput,
): Answer | undefined {
  const content = payment.content;
  if (content) {
    if (content.operation !== request.kind) return conflict("kind");
    if (content.currency !== request.amount.currency) return conflict("amount.currency");
    if (content.minor.toString() !== request.amount.minor) return conflict("amount.minor");
  }
  if (payment.state !== "open") return refuseState(`this payment is ${payment.state} already`);
  const newest = attempts.filter((attempt) => attempt.state !== "tombstone").at(-1);
  if (newest && newest.attempt > request.attempt) return refuseState(`attempt ${newest.attempt} came before this one`);
  return undefined;
}

interface Known {
  readonly payment: PaymentRecord;
  readonly attempts: readonly AttemptRecord[];
}

async function decideFresh(parts: RequestParts, input: AttemptInput, known: Known): Promise<Answer> {
  const { store, postings, within } = parts;
  // The terminal has moved on to a newer attempt: the older hold would count the same sale twice against the account.
  for (const older of known.attempts.filter((attempt) => attempt.state === "approved")) {
    await postings.release(within, { key: input.key, attempt: older.attempt });
    await store.moveAttempt(within, known.payment.number, older.attempt, "superseded");
    await settleMeans(within, { means: parts.means(), key: input.key, outcome: "released" });
  }
  const amount = fromWireMoney(input.request.amount);
  const content: PaymentContent = { operation: input.request.kind, currency: amount.currency, minor: amount.minor };
  if (amount.minor === 0n) return decline(RESPONSE_CODES.invalidAmount, "E_FORMAT", "the amount is zero");
  if (input.refusal) {
    await store.setContent(within, known.payment.number, content);
    return input.refusal;
  }
  return input.request.kind === "purchase"
    ? await purchase(parts, input, { ...known, content })
    : await refund(parts, input, { ...known, content });
}

type Deciding = Known & { readonly content: PaymentContent };

async function purchase(parts: RequestParts, input: AttemptInput, { payment, content }: Deciding): Promise<Answer> {
  const { card } = input;
  await parts.store.setContent(parts.within, payment.number, content);
  if (input.request.code !== undefined) return await purchaseByCode(parts, input, { payment, content });
  if (card === undefined) return decline(RESPONSE_CODES.formatError, "E_FORMAT", "card: a purchase needs card data");
  if (typeof card === "string")
    return decline(RESPONSE_CODES.formatError, "E_FORMAT", "card: sealed to another key, terminal or payment");
  if (!card.issued) return await purchaseWith(parts, input, { payment, content, card });
  const checked = await checkOnline(parts, input, { payment, card: { ...card, issued: card.issued } });
  if ("refusal" in checked) return checked.refusal;
  const answer = await purchaseWith(parts, input, { payment, content, card });
  return { ...answer, issuerAuthenticationData: checked.authenticate(answer.responseCode) };
}

type PaidByMeans = Pick<Deciding, "payment" | "content">;

/** What a code stands for the features know; whoever knows it has reserved it by the time he answers (RM10). */
async function purchaseByCode(
  parts: RequestParts,
  input: AttemptInput,
  { payment, content }: PaidByMeans,
): Promise<Answer> {
  const { key, request, card, now } = input;
  if (card !== undefined)
    return decline(
      RESPONSE_CODES.formatError,
      "E_FORMAT",
      "code: a purchase is paid by a card or by a code, not by both",
    );
  for (const means of parts.means()) {
    const resolved = await means.resolveRequest?.(parts.within, { key, request, now });
    if (!resolved) continue;
    return "refusal" in resolved ? resolved.refusal : await holdOf(parts, input, { payment, content, ...resolved });
  }
  return decline(RESPONSE_CODES.formatError, "E_FORMAT", "code: this hub takes no codes");
}

async function holdOf(
  parts: RequestParts,
  input: AttemptInput,
  { payment, content, payer }: PaidByMeans & { readonly payer: Payer },
): Promise<Answer> {
  const { accountId, deviceId, maskedAccount } = payer;
  await parts.store.setContent(parts.within, payment.number, { ...content, accountId });
  const answer = (await parts.denies?.(parts.within, "device", deviceId))
    ? decline(RESPONSE_CODES.doNotHonour, "E_DENIED", "this phone is on the deny list")
    : await hold(parts, input, {
        debitAccount: accountId,
        creditAccount: await parts.postings.merchantAccount(parts.within, parts.merchantId, content.currency),
        content,
      });
  const approved = answer.outcome === "approved";
  await settleMeans(parts.within, {
    means: parts.means(),
    key: input.key,
    outcome: approved ? "approved" : "declined",
  });
  if (approved) return { ...answer, maskedAccount };
  // The account's keeper says no. That a code's own bound was passed is `E_LIMIT`, so this must not be.
  return answer.reason === "E_LIMIT" ? { ...answer, reason: "E_DENIED" } : answer;
}

interface Claiming {
  readonly payment: PaymentRecord;
  readonly card: PresentedCard & { readonly issued: IssuedCard };
}

type OnlineCheck = { readonly refusal: Answer } | { readonly authenticate: (responseCode: string) => string };

/**
 * A wrong cryptogram is declined with 05, the code that ISO 8583 itself has for it: 82, which card schemes use, lies in the
 * standard's private range.
 */
async function checkOnline(
  { store, countCryptogram, within }: RequestParts,
  { request }: AttemptInput,
  { payment, card }: Claiming,
): Promise<OnlineCheck> {
  const { issued, token } = card;
  const checked = checkClaim({ card: issued, type: "ARQC", amount: request.amount, iccData: request.iccData });
  if (!checked.ok) {
    const { why, detail } = checked.error;
    countCryptogram("ARQC", why);
    if (why === "incomplete") return { refusal: decline(RESPONSE_CODES.formatError, "E_FORMAT", detail) };
    await store.setCryptogram(within, payment.number, "failed");
    return { refusal: decline(RESPONSE_CODES.doNotHonour, "E_DENIED", detail) };
  }
  const { sequenceNumber } = issued;
  if (
    !(await store.useCounter(within, {
      token,
      sequenceNumber,
      counter: checked.value.atc,
      paymentNumber: payment.number,
    }))
  ) {
    countCryptogram("ARQC", "replayed");
    const detail = "the card's transaction counter was used by another payment before";
    return { refusal: decline(RESPONSE_CODES.doNotHonour, "E_DENIED", detail) };
  }
  countCryptogram("ARQC", "held");
  await store.setCryptogram(within, payment.number, "held");
  return { authenticate: (responseCode) => issuerAuthenticationData(issued, checked.value, responseCode) };
}

interface PurchaseCard {
  readonly payment: PaymentRecord;
  readonly content: PaymentContent;
  readonly card: PresentedCard;
}

async function purchaseWith(
  parts: RequestParts,
  input: AttemptInput,
  { payment, content, card }: PurchaseCard,
): Promise<Answer> {
  const { store, postings, within } = parts;
  const record = await store.card(within, card.token);
  if (!record) return decline(RESPONSE_CODES.invalidCard, "E_UNKNOWN", "no account has this card");
  await store.setContent(within, payment.number, { ...content, accountId: record.accountId });
  if (await parts.denies?.(within, "card", card.token))
    return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", "this card is on the deny list");
  if (hasExpired(card.expiry, input.now) || hasExpired(record.expiry, input.now))
    return decline(RESPONSE_CODES.expiredCard, "E_EXPIRED", "the card has expired");
  return await hold(parts, input, {
    debitAccount: record.accountId,
    creditAccount: await postings.merchantAccount(within, parts.merchantId, content.currency),
    content,
  });
}

async function refund(parts: RequestParts, input: AttemptInput, { payment, content }: Deciding): Promise<Answer> {
  const { store, postings, within } = parts;
  const original = await findOriginal(parts, input);
  if (original?.content?.operation !== "purchase" || original.state !== "confirmed") {
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
  const left = original.content.minor - (await store.refundedMinor(within, original.number, payment.number));
  if (content.minor > left)
    return decline(RESPONSE_CODES.exceedsLimit, "E_LIMIT", `of the original ${left} minor units are left to refund`);
  return await hold(parts, input, {
    debitAccount: await postings.merchantAccount(within, parts.merchantId, content.currency),
    creditAccount,
    content,
  });
}

/** The terminal's own payment; else the one of another terminal, if the id alone names one. */
async function findOriginal(
  { store, within }: RequestParts,
  { key, request }: AttemptInput,
): Promise<PaymentRecord | undefined> {
  const { originalPaymentId } = request;
  if (originalPaymentId === undefined) return undefined;
  const own = await store.payment(within, { terminalId: key.terminalId, paymentId: originalPaymentId });
  if (own) return own;
  const [only, second] = await store.paymentsById(within, originalPaymentId);
  return second === undefined ? only : undefined;
}

interface HoldInput {
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly content: PaymentContent;
}

async function hold(
  parts: RequestParts,
  input: AttemptInput,
  { debitAccount, creditAccount, content }: HoldInput,
): Promise<Answer> {
  if (content.operation === "purchase" && (await parts.denies?.(parts.within, "account", debitAccount)))
    return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", "this account is on the deny list");
  const status = await parts.postings.hold(parts.within, {
    key: input.key,
    attempt: input.request.attempt,
    operation: content.operation,
    debitAccount,
    creditAccount,
    minor: content.minor,
    timeoutMs: parts.holdMs,
  });
  if (status === "created") {
    return { outcome: "approved", responseCode: RESPONSE_CODES.approved, approvalCode: approvalCode(parts.random) };
  }
  if (status === "exceeds-credits")
    return decline(RESPONSE_CODES.insufficientFunds, "E_LIMIT", "the account's funds do not suffice");
  if (status === "accounts-must-have-the-same-currency")
    return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", `the account is not kept in ${content.currency}`);
  return decline(RESPONSE_CODES.systemMalfunction, "E_UNAVAILABLE", `the ledger says ${status}`);
}

/** A card is good to the end of the month that it names. */
export function hasExpired(expiry: string, now: number): boolean {
  const year = 2000 + Number(expiry.slice(0, 2));
  const month = Number(expiry.slice(2, 4));
  return month < 1 || month > 12 || now >= Date.UTC(year, month, 1);
}

const APPROVAL_ALPHABET = "0123456789ABCDEFGHJKLMNPQRSTVWXY";
const APPROVAL_LENGTH = 6;
function approvalCode(random: RandomBytes): string {
  return Array.from(random(APPROVAL_LENGTH), (byte) => APPROVAL_ALPHABET[byte % APPROVAL_ALPHABET.length]).join("");
}
