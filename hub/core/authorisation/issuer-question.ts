/** Purchases and refunds on cards of other institutions: asked of their issuers, or decided in their name (RM1, system 3). */
import { assert, unreachable } from "../../../base/assert.ts";
import { RESPONSE_CODES } from "../../../wire/authorisation.ts";
import type { Asked, Asking, QuestionedCard, StoodIn } from "./acquiring.ts";
import { type Answer, decline, type ForCard, STALE_ANSWER } from "./answers.ts";
import { approvalCode, createHold, toldHold } from "./hold.ts";
import type { AttemptInput, RequestParts } from "./request.ts";
import type { PaymentContent, PaymentKey } from "./store.ts";
import { withdraw } from "./withdrawal.ts";

interface Questioned {
  /** With the institution's account. */
  readonly content: PaymentContent;
  readonly card: QuestionedCard;
}

/** The question, once this transaction is durable; or an answer, where the issuer is not to be asked. */
export async function askIssuer(
  parts: RequestParts,
  { key, request, now }: AttemptInput,
  { content, card }: Questioned,
): Promise<Answer | { readonly asking: Asking }> {
  const { acquiring, within } = parts;
  assert(acquiring !== undefined, "a routed card comes from a switch");
  const { currency, minor, cashbackMinor } = content;
  const begun = await acquiring.begin(within, {
    ...{ key, attempt: request.attempt, operation: request.kind, card, at: now },
    amount: { currency, minor },
    ...(cashbackMinor === undefined ? {} : { cashback: { currency, minor: cashbackMinor } }),
    ...(request.entryMode === undefined ? {} : { entryMode: request.entryMode }),
    ...(request.iccData === undefined ? {} : { iccData: request.iccData }),
  });
  if ("asking" in begun) return begun;
  return await answerStoodIn(parts, { key, attempt: request.attempt, content, at: now }, begun.stoodIn);
}

interface Attempted {
  readonly key: PaymentKey;
  readonly attempt: number;
  readonly content: PaymentContent;
  /** When it was asked. */
  readonly at: number;
}

async function answerStoodIn(parts: RequestParts, attempted: Attempted, stoodIn: StoodIn): Promise<Answer> {
  if (!stoodIn.approved) return decline(stoodIn.responseCode, stoodIn.reason, stoodIn.detail);
  return await approve(parts, attempted, { approvalCode: stoodIn.approvalCode });
}

/** The issuer's word on who pays; it is ours to refuse all the same where the books cannot hold it. */
async function approve(
  parts: RequestParts,
  { key, attempt, content, at }: Attempted,
  given: Pick<Answer, "approvalCode"> & ForCard,
): Promise<Answer> {
  const { accountId } = content;
  assert(accountId !== undefined, "a question is about an institution's account");
  const merchant = await parts.merchantAccount(parts.within, key, content.currency);
  const [debitAccount, creditAccount] = content.operation === "refund" ? [merchant, accountId] : [accountId, merchant];
  const refusal = await createHold(parts, { key, attempt, debitAccount, creditAccount, content });
  assert(!refusal, `an approval that an issuer gave is held: ${refusal?.detail}`);
  return { outcome: "approved", responseCode: RESPONSE_CODES.approved, ...given, ...toldHold(parts, content, at) };
}

export interface Concluding {
  readonly asking: Asking;
  readonly asked: Asked;
}

/** What became of a question. An attempt that was reversed, or confirmed, meanwhile has its end: late answers change nothing (RM1). */
export async function concludeQuestion(parts: RequestParts, { asking, asked }: Concluding): Promise<Answer> {
  const { store, within } = parts;
  const { key, attempt, at } = asking.question;
  const payment = await store.payment(within, key);
  const attempts = payment ? await store.attempts(within, payment.number) : [];
  const open = attempts.find((known) => known.attempt === attempt && known.state === "asked");
  if (!payment?.content || payment.state !== "open" || !open) return STALE_ANSWER;
  const answer = await answerAsked(parts, { key, attempt, content: payment.content, at }, { asking, asked });
  const state = answer.outcome === "approved" ? "approved" : "declined";
  await store.answerAttempt(within, payment.number, { attempt, state, answer: JSON.stringify(answer) });
  return answer;
}

/** Nobody will hear its answer: what the issuer did, or may do yet, is taken back. */
export async function abandonQuestion(parts: RequestParts, key: PaymentKey, attempt: number): Promise<void> {
  const payment = await parts.store.payment(parts.within, key);
  const attempts = payment ? await parts.store.attempts(parts.within, payment.number) : [];
  const open = attempts.find((known) => known.attempt === attempt && known.state === "asked");
  if (payment && open) await withdraw(parts, { payment, attempt: open, to: "tombstone", why: "abandoned" });
}

async function answerAsked(parts: RequestParts, attempted: Attempted, { asking, asked }: Concluding): Promise<Answer> {
  const { acquiring, within } = parts;
  assert(acquiring !== undefined, "a question comes from a switch");
  if (asked.what === "no-answer")
    return await answerStoodIn(parts, attempted, await acquiring.standIn(within, asking, asked));
  await acquiring.answered(within, asking, asked);
  const { key, attempt } = attempted;
  switch (asked.what) {
    case "approved":
      return await approve(parts, attempted, {
        approvalCode: asked.approvalCode ?? approvalCode(parts.random),
        ...asked.forCard,
      });
    case "declined":
      return { ...declinedBy(asking.institutionId, asked.responseCode), ...asked.forCard };
    case "partly-approved":
      await acquiring.withdraw(within, key, attempt, { why: "partial-approval" });
      return decline(RESPONSE_CODES.insufficientFunds, "E_LIMIT", "the issuer would give only a part of the amount");
    default:
      return unreachable(asked);
  }
}

const declinedBy = (institutionId: string, responseCode: string): Answer =>
  decline(
    responseCode,
    responseCode === RESPONSE_CODES.insufficientFunds ? "E_LIMIT" : "E_DENIED",
    `${institutionId} declined`,
  );
