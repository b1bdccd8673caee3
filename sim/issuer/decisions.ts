/** An issuer's decisions over its books, by RM1: one payment, one outcome, whatever comes twice, late or in another order. */

import { concat, toHex } from "../../base/bytes.ts";
import { type Books, standing } from "./books.ts";
import { checkCard, issuerAuthentication } from "./card-check.ts";
import type { Claim } from "./claim.ts";
import type { Account, Attempt, Payment } from "./records.ts";

/** DE 39 of 1987. */
export const CODE = {
  approved: "00",
  doNotHonour: "05",
  partial: "10",
  invalidTransaction: "12",
  invalidAmount: "13",
  invalidCard: "14",
  /** Of a reversal: the payment was confirmed. */
  noAction: "21",
  /** Of a reversal: there was nothing to take back. */
  notFound: "25",
  formatError: "30",
  insufficientFunds: "51",
  expired: "54",
  notPermitted: "57",
  unavailable: "91",
  duplicate: "94",
  outOfBalance: "95",
  malfunction: "96",
} as const;

export interface Answered {
  readonly responseCode: string;
  /** `changed`: the books are not as they were. `repeated`: it came before. */
  readonly did: "changed" | "repeated" | "nothing";
  readonly approvalCode?: string;
  readonly issuerAuthenticationData?: string;
  /** Of a partial approval. */
  readonly minor?: bigint;
}

export interface Policy {
  /** All requests are declined with it. */
  readonly decline?: string | undefined;
  /** All approvals that are told afterwards are refused with it. */
  readonly refuseAdvices?: string | undefined;
  /** What there is, when it is less than was asked for. */
  readonly partial: boolean;
  /** It gives no cash with a purchase. */
  readonly refuseCashback?: boolean;
  /** Cards that are not known get an account with so much. */
  readonly openMinor?: bigint | undefined;
}

export interface Deciding {
  readonly books: Books;
  readonly policy: Policy;
  readonly claim: Claim;
  /** YYMM of today. */
  readonly month: string;
  /** DE 38 of an approval. */
  readonly approvalCode: string;
}

const only = (responseCode: string): Answered => ({ responseCode, did: "nothing" });
const paymentOf = ({ books, claim: { key, operation } }: Deciding): Payment =>
  books.payment(key) ?? { ...key, operation, attempts: {} };

/** 0100 and 0200. */
export function decideRequest(deciding: Deciding): Answered {
  const { books, claim } = deciding;
  if (claim.attempt === undefined) return only(CODE.formatError);
  const payment = paymentOf(deciding);
  const known = payment.attempts[claim.attempt];
  if (known) return repeated(known, claim);
  if (payment.advice && !payment.advice.withdrawn) return only(CODE.duplicate);
  if (books.full) return only(CODE.malfunction);
  const account = accountOf(deciding);
  const attempt = judge(deciding, account);
  books.put(
    {
      ...payment,
      ...attempt.facts,
      ...(account && { card: account.card }),
      currency: claim.currency,
      attempts: { ...payment.attempts, [claim.attempt]: attempt.record },
    },
    claim.where,
  );
  return answerOf(attempt.record, claim, "changed");
}

/** The first answer again; a tombstone, a reversed attempt and another content are refused. */
function repeated(known: Attempt, claim: Claim): Answered {
  const same = (known.state === "approved" && known.of === claim.of) || known.state === "declined";
  if (!same || (known.minor !== claim.minor && known.responseCode !== CODE.partial)) return only(CODE.duplicate);
  return answerOf(known, claim, "repeated");
}

function answerOf(attempt: Attempt, claim: Claim, did: Answered["did"]): Answered {
  const { responseCode, approvalCode, issuerAuthenticationData, minor } = attempt;
  return {
    responseCode,
    did,
    ...(approvalCode !== undefined && { approvalCode }),
    ...(issuerAuthenticationData !== undefined && { issuerAuthenticationData }),
    ...(attempt.state === "approved" && minor !== claim.minor && { minor }),
  };
}

interface Judged {
  readonly record: Attempt;
  readonly facts: Pick<Payment, "cryptogram" | "counter">;
}

function judge(deciding: Deciding, account: Account | undefined): Judged {
  const { claim, approvalCode, policy } = deciding;
  const card = judgeCard(deciding, account);
  const minor = grantable(deciding, account);
  const responseCode =
    refusalOf(deciding, account) ??
    (card.facts.cryptogram === "failed" ? CODE.doNotHonour : undefined) ??
    (minor === claim.minor ? CODE.approved : policy.partial && minor > 0n ? CODE.partial : CODE.insufficientFunds);
  const approved = responseCode === CODE.approved || responseCode === CODE.partial;
  const issuerAuthenticationData = card.answer(responseCode);
  return {
    facts: card.facts,
    record: {
      state: approved ? "approved" : "declined",
      of: claim.of,
      minor: approved ? minor : claim.minor,
      responseCode,
      ...(approved && { approvalCode }),
      ...(issuerAuthenticationData !== undefined && { issuerAuthenticationData }),
    },
  };
}

function refusalOf({ claim, policy, month }: Deciding, account: Account | undefined): string | undefined {
  if (policy.decline !== undefined) return policy.decline;
  if (!account) return CODE.invalidCard;
  if (account.currency !== claim.currency) return CODE.invalidTransaction;
  if (claim.minor <= 0n || (claim.cashbackMinor ?? 0n) > claim.minor) return CODE.invalidAmount;
  if (claim.cashbackMinor !== undefined && policy.refuseCashback) return CODE.notPermitted;
  if (claim.expiry !== account.expiry || account.expiry < month) return CODE.expired;
  return undefined;
}

/** All of it for a refund; for a purchase no more than there is. */
function grantable({ claim }: Deciding, account: Account | undefined): bigint {
  if (!account || claim.operation === "refund") return claim.minor;
  const lacking = claim.minor - (account.balanceMinor - account.heldMinor);
  return lacking > 0n ? claim.minor - lacking : claim.minor;
}

interface JudgedCard {
  readonly facts: Pick<Payment, "cryptogram" | "counter">;
  /** Tag 91, only for a cryptogram that held (EMV Book 2, 8.2). */
  answer(responseCode: string): string | undefined;
}

function judgeCard({ books, claim }: Deciding, account: Account | undefined): JudgedCard {
  const { pan, sequenceNumber, key } = claim;
  const checked = checkCard(claim);
  if (checked === "absent") return { facts: {}, answer: () => undefined };
  if (checked === "wrong") return { facts: { cryptogram: "failed" }, answer: () => undefined };
  const counter = `${sequenceNumber}/${checked.atc}`;
  const replayed = account !== undefined && books.isReplay({ card: account.card, counter }, key);
  return {
    facts: replayed ? { cryptogram: "failed" } : { cryptogram: "held", counter },
    answer: (responseCode) => (replayed ? undefined : issuerAuthentication({ pan, checked, responseCode })),
  };
}

function accountOf({ books, claim, policy }: Deciding): Account | undefined {
  const { pan, expiry, currency } = claim;
  const known = books.account(pan);
  if (known || policy.openMinor === undefined || expiry === undefined) return known;
  books.setAccount(pan, { expiry, currency, balanceMinor: policy.openMinor });
  return books.account(pan);
}

/** 0120 and 0220: what others decided. An approval posts whatever the account has (RM16). */
export function takeAdvice(deciding: Deciding): Answered {
  const { books, claim, policy } = deciding;
  if (claim.decided === undefined) return only(CODE.formatError);
  const payment = paymentOf(deciding);
  if (claim.decided !== CODE.approved) {
    if (payment.declined !== undefined) return { responseCode: CODE.approved, did: "repeated" };
    books.put({ ...payment, declined: claim.decided }, claim.where);
    return { responseCode: CODE.approved, did: "changed" };
  }
  const before = standingAdvice(payment, claim);
  if (before?.of === claim.of || before?.of === "financial")
    return before.minor === claim.minor && before.of === claim.of
      ? { responseCode: CODE.approved, did: "repeated" }
      : only(CODE.invalidAmount);
  if (policy.refuseAdvices !== undefined) return only(policy.refuseAdvices);
  if (books.full) return only(CODE.malfunction);
  const account = accountOf(deciding);
  if (!account) return only(CODE.invalidCard);
  if (account.currency !== claim.currency) return only(CODE.invalidTransaction);
  books.put(advised(payment, deciding, account), claim.where);
  return { responseCode: CODE.approved, did: "changed" };
}

/** One that was withdrawn with its attempt says nothing of another attempt. */
function standingAdvice({ advice }: Payment, { attempt }: Claim): Payment["advice"] {
  return advice?.withdrawn && advice.attempt !== attempt ? undefined : advice;
}

function advised(payment: Payment, deciding: Deciding, account: Account): Payment {
  const { claim } = deciding;
  const { of, minor, attempt, reason } = claim;
  const state = attempt === undefined ? undefined : payment.attempts[attempt]?.state;
  const withdrawn = state === "reversed" || state === "tombstone";
  return {
    ...payment,
    ...judgeCard(deciding, account).facts,
    card: account.card,
    currency: claim.currency,
    advice: {
      of,
      minor,
      ...(attempt !== undefined && { attempt }),
      ...(reason !== undefined && { reason }),
      ...(withdrawn && { withdrawn }),
    },
  };
}

/** 0420 and 0421. */
export function takeReversal(deciding: Deciding): Answered {
  const { books, claim } = deciding;
  const { attempt } = claim;
  if (attempt === undefined) return only(CODE.formatError);
  const payment = paymentOf(deciding);
  const { advice } = payment;
  const known = payment.attempts[attempt];
  if (known?.reversedWith !== undefined) return { responseCode: known.reversedWith, did: "repeated" };
  if (advice && advice.attempt === undefined) return only(CODE.noAction);
  const record = reversed(known, claim);
  const taken = {
    ...{ ...payment, attempts: { ...payment.attempts, [attempt]: record } },
    ...(advice?.attempt === attempt ? { advice: { ...advice, withdrawn: true as const } } : {}),
  };
  const responseCode = stands(taken) === stands(payment) ? CODE.notFound : CODE.approved;
  const attempts = { ...taken.attempts, [attempt]: { ...record, reversedWith: responseCode } };
  books.put({ ...taken, attempts }, claim.where);
  return { responseCode, did: "changed" };
}

function reversed(known: Attempt | undefined, { minor, objects }: Claim): Attempt {
  const before: Attempt = known ?? { state: "tombstone", of: "financial", minor, responseCode: CODE.duplicate };
  const results = objects.flatMap((object) =>
    object.tag === SCRIPT_RESULTS && "value" in object ? [object.value] : [],
  );
  return {
    ...before,
    ...(before.state === "approved" && { state: "reversed" as const }),
    ...(results.length > 0 && { scriptResults: toHex(concat(...results)) }),
  };
}

const SCRIPT_RESULTS = 0x9f5b;

const stands = (payment: Payment): bigint => {
  const { postedMinor, heldMinor } = standing(payment);
  return postedMinor + heldMinor;
};
