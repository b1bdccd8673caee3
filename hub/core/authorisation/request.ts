/** Decides online requests: one attempt of one payment each, with the first answer again for every repeat (RM1, RM4). */
import { assert } from "../../../base/assert.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import { type AuthorisationRequest, type PreAuthorisedCode, RESPONSE_CODES } from "../../../wire/authorisation.ts";
import { fromWireMoney } from "../../../wire/common.ts";
import type { Reading } from "../../store/store.ts";
import type { Asking, RoutedCard } from "./acquiring.ts";
import { type Answer, conflict, decline, refuseState, STALE_ANSWER } from "./answers.ts";
import { refuseCashback } from "./cashback.ts";
import { hasExpired, hold, isHeld } from "./hold.ts";
import { askIssuer } from "./issuer-question.ts";
import { type CountCryptogram, checkClaim, type IssuedCard, issuerAuthenticationData } from "./issuing.ts";
import { type Means, type Payer, settleMeans } from "./means.ts";
import type { MerchantParts } from "./purchase.ts";
import { refund } from "./refund.ts";
import type { AttemptRecord, PaymentContent, PaymentKey, PaymentRecord } from "./store.ts";
import { tip } from "./tip.ts";
import { stands, type WithdrawalParts, withdraw } from "./withdrawal.ts";

/** What was under the seal: the card's token at this hub, never its number. */
export interface PresentedCard {
  readonly token: string;
  /** YYMM. */
  readonly expiry: string;
  /** Only of a card in one of this hub's own ranges. */
  readonly issued?: IssuedCard;
  /** Only of a card in the range of another institution. */
  readonly routed?: RoutedCard;
}

/** `unreadable`: sealed for another terminal or payment, or damaged. `no-key`: sealed to a key that this hub has not. */
export type Presented = PresentedCard | "unreadable" | "no-key" | undefined;

/**
 * `fresh`: decided now, so that it may still be taken back; else nothing was done. `asking`: its issuer is to be asked once
 * this is durable. `running`: he is being asked already.
 */
export type Decided =
  | { readonly answer: Answer; readonly fresh: boolean }
  | { readonly asking: Asking }
  | { readonly running: true };

export interface RequestParts extends WithdrawalParts, MerchantParts {
  readonly random: RandomBytes;
  readonly merchantId: string;
  readonly holdMs: number;
  /** Of a pre-authorisation, until its completion; seven days when not said. */
  readonly preAuthorisationMs?: number;
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
  const heard = await heardOf(parts, input.key);
  const repeated = repeatOf(parts, input, heard);
  if (repeated) return repeated === "running" ? { running: true } : { answer: repeated, fresh: false };
  const answerBy = Date.parse(input.request.answerBy);
  if (input.receivedAt > answerBy || input.now > answerBy) return { answer: STALE_ANSWER, fresh: false };
  const decided = await decideNew(parts, input, heard);
  return "asking" in decided ? decided : { answer: decided, fresh: true };
}

/** For a request that nobody waits for: it cannot come too late, and no issuer is asked. */
export async function decideLate(parts: RequestParts, input: AttemptInput): Promise<Answer> {
  const heard = await heardOf(parts, input.key);
  const decided = repeatOf(parts, input, heard) ?? (await decideNew(parts, input, heard));
  assert(decided !== "running" && !("asking" in decided), "what is asked late is decided here");
  return decided;
}

/** What of a payment came before this request. */
interface Heard {
  readonly payment?: PaymentRecord;
  readonly attempts: readonly AttemptRecord[];
}

async function heardOf({ store, within }: RequestParts, key: PaymentKey): Promise<Heard> {
  const payment = await store.payment(within, key);
  return payment ? { payment, attempts: await store.attempts(within, payment.number) } : { attempts: [] };
}

/** The answer to an attempt that came before. */
function repeatOf(parts: RequestParts, input: AttemptInput, { attempts }: Heard): Answer | "running" | undefined {
  const repeated = attempts.find((attempt) => attempt.attempt === input.request.attempt);
  return repeated && answerRepeat(repeated, contentOf(parts, input));
}

type NewlyDecided = Answer | { readonly asking: Asking };

async function decideNew(parts: RequestParts, input: AttemptInput, heard: Heard): Promise<NewlyDecided> {
  const { store, within } = parts;
  const { attempts } = heard;
  const payment = heard.payment ?? (await store.insertPayment(within, input.key, input.now));
  const decided =
    refuseForPayment(payment, attempts, input) ?? (await decideFresh(parts, input, { payment, attempts }));
  await store.insertAttempt(within, payment.number, {
    attempt: input.request.attempt,
    ...endOf(decided),
    content: JSON.stringify(contentOf(parts, input)),
    at: input.now,
  });
  return decided;
}

function endOf(decided: NewlyDecided): Pick<AttemptRecord, "state" | "answer"> {
  if ("asking" in decided) return { state: "asked" };
  return { state: decided.outcome === "approved" ? "approved" : "declined", answer: JSON.stringify(decided) };
}

type Content = Readonly<Record<string, string>>;

/** What makes two requests the same; the seal differs each time it is made, so the card stands in by its token. */
function contentOf({ codeHash }: RequestParts, { request, card }: AttemptInput): Content {
  return {
    kind: request.kind,
    "amount.minor": request.amount.minor,
    "amount.currency": request.amount.currency,
    "cashback.minor": request.cashback?.minor ?? "",
    originalPaymentId: request.originalPaymentId ?? "",
    card: typeof card === "object" ? card.token : (card ?? ""),
    entryMode: request.entryMode ?? "",
    iccData: request.iccData ?? "",
    code: request.code === undefined ? "" : codeHash(request.code),
  };
}

function answerRepeat(attempt: AttemptRecord, content: Content): Answer | "running" {
  switch (attempt.state) {
    case "tombstone":
      return refuseState("this attempt was reversed before it came");
    case "reversed":
    case "superseded":
    case "voided":
    case "expired":
      return refuseState(`this attempt was approved and is ${attempt.state} now`);
    case "asked":
    case "approved":
    case "posted":
    case "declined": {
      const before = JSON.parse(attempt.content ?? "{}") as Content;
      // Requests that were stored before a field came into being had none of it.
      const field = Object.entries(content).find(([name, value]) => (before[name] ?? "") !== value)?.[0];
      if (field !== undefined) return conflict(field);
      return attempt.state === "asked" ? "running" : (JSON.parse(attempt.answer ?? "{}") as Answer);
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
    if (content.cashbackMinor?.toString() !== request.cashback?.minor) return conflict("cashback.minor");
  }
  if (isHeld(payment)) return refuseState("this pre-authorisation is confirmed already");
  if (payment.state !== "open") return refuseState(`this payment is ${payment.state} already`);
  const newest = attempts.filter((attempt) => attempt.state !== "tombstone").at(-1);
  if (newest && newest.attempt > request.attempt) return refuseState(`attempt ${newest.attempt} came before this one`);
  return undefined;
}

interface Known {
  readonly payment: PaymentRecord;
  readonly attempts: readonly AttemptRecord[];
}

async function decideFresh(parts: RequestParts, input: AttemptInput, known: Known): Promise<NewlyDecided> {
  const { store, within } = parts;
  // The terminal has moved on to a newer attempt: the older hold would count the same sale twice against the account.
  for (const attempt of known.attempts.filter(stands)) {
    await withdraw(parts, { payment: known.payment, attempt, to: "superseded", why: "newer-attempt" });
    await settleMeans(within, { means: parts.means(), key: input.key, outcome: "released" });
  }
  const amount = fromWireMoney(input.request.amount);
  const { kind: operation, cashback } = input.request;
  const content: PaymentContent = {
    ...{ operation, currency: amount.currency, minor: amount.minor },
    ...(cashback && { cashbackMinor: BigInt(cashback.minor) }),
  };
  if (amount.minor === 0n) return decline(RESPONSE_CODES.invalidAmount, "E_FORMAT", "the amount is zero");
  const refusal = input.refusal ?? (await refuseCashback(parts, input));
  if (refusal) {
    await store.setContent(within, known.payment.number, content);
    return refusal;
  }
  if (operation === "tip") return await tip(parts, input, { ...known, content });
  return operation === "refund"
    ? await refund(parts, input, { ...known, content })
    : await purchase(parts, input, { ...known, content });
}

export type Deciding = Known & { readonly content: PaymentContent };

/** A pre-authorisation is asked for as a purchase is; what differs is how long its amount is held, and what becomes of it. */
async function purchase(
  parts: RequestParts,
  input: AttemptInput,
  { payment, content }: Deciding,
): Promise<NewlyDecided> {
  const { card } = input;
  await parts.store.setContent(parts.within, payment.number, content);
  if (input.request.code !== undefined) return await purchaseByCode(parts, input, { payment, content });
  if (card === undefined) return decline(RESPONSE_CODES.formatError, "E_FORMAT", "card: a purchase needs card data");
  if (typeof card === "string")
    return decline(RESPONSE_CODES.formatError, "E_FORMAT", "card: sealed to another key, terminal or payment");
  if (card.routed) return await purchaseFrom(parts, input, { payment, content, card: { ...card, ...card.routed } });
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
  if (request.kind !== "purchase")
    return decline(RESPONSE_CODES.formatError, "E_FORMAT", "code: a pre-authorisation needs a card");
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
        creditAccount: await parts.merchantAccount(parts.within, input.key, content.currency),
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
  const checked = checkClaim({ ...request, card: issued, type: "ARQC", iccData: request.iccData });
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

interface RoutedPurchase extends PaidByMeans {
  readonly card: PresentedCard & RoutedCard;
}

/** What is known here is checked here; all else is its issuer's to say. */
async function purchaseFrom(
  parts: RequestParts,
  input: AttemptInput,
  { payment, content, card }: RoutedPurchase,
): Promise<NewlyDecided> {
  const { store, postings, within, acquiring } = parts;
  const heard = await acquiring?.cardOf(within, input.key);
  if (heard !== undefined && heard !== card.token) return conflict("card");
  const accountId = await postings.issuerAccount(within, card.institutionId, content.currency);
  await store.setContent(within, payment.number, { ...content, accountId });
  if (await parts.denies?.(within, "card", card.token))
    return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", "this card is on the deny list");
  if (hasExpired(card.expiry, input.now))
    return decline(RESPONSE_CODES.expiredCard, "E_EXPIRED", "the card has expired");
  return await askIssuer(parts, input, { content: { ...content, accountId }, card });
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
  const { store, within } = parts;
  const [record, isDenied] = await Promise.all([
    store.card(within, card.token),
    parts.denies?.(within, "card", card.token),
  ]);
  if (!record) return decline(RESPONSE_CODES.invalidCard, "E_UNKNOWN", "no account has this card");
  await store.setContent(within, payment.number, { ...content, accountId: record.accountId });
  if (isDenied) return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", "this card is on the deny list");
  if (hasExpired(card.expiry, input.now) || hasExpired(record.expiry, input.now))
    return decline(RESPONSE_CODES.expiredCard, "E_EXPIRED", "the card has expired");
  return await hold(parts, input, {
    debitAccount: record.accountId,
    creditAccount: await parts.merchantAccount(within, input.key, content.currency),
    content,
  });
}
