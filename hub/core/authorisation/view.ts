/** A payment as the operator sees it: its one outcome, its attempts, and every transfer that it made. */
import type { Reading } from "../../store/store.ts";
import type { Transfer } from "../ledger/index.ts";
import type { Answer } from "./answers.ts";
import { DEFERRED_ATTEMPT } from "./deferred.ts";
import type { Postings } from "./postings.ts";
import type { AttemptRecord, AuthorisationStore, PaymentRecord } from "./store.ts";

export type TransactionStatus = "confirmed" | "voided" | "asked" | "authorised" | "declined" | "reversed" | "expired";

export interface TransactionView {
  readonly payment: PaymentRecord;
  readonly status: TransactionStatus;
  readonly originalPaymentId?: string;
  /** Of a pre-authorisation: until when its amount is held, or was. */
  readonly heldUntil?: string;
  readonly attempts: readonly AttemptRecord[];
  readonly transfers: readonly Transfer[];
  /** What reached the merchant for good, in minor units: negative for a refund. */
  readonly postedMinor: bigint;
  /** How many transfers moved money for good: 1, or 2 where exposure bears a part. */
  readonly postings: number;
  /** Goods that nobody pays for: sold at the merchant's risk and refused afterwards (RM9). */
  readonly merchantLoss?: { readonly minor: bigint; readonly reason?: string; readonly detail?: string };
}

interface ViewParts {
  readonly store: AuthorisationStore;
  readonly postings: Pick<Postings, "transfersOf">;
}

export async function viewPayment(
  reading: Reading,
  { store, postings }: ViewParts,
  payment: PaymentRecord,
): Promise<TransactionView> {
  const transfers = await postings.transfersOf(reading, payment);
  const attempts = await store.attempts(reading, payment.number);
  const original = payment.content?.originalNumber;
  const originalPaymentId =
    original === undefined ? undefined : (await store.paymentByNumber(reading, original))?.paymentId;
  const moved = transfers.filter((transfer) => transfer.kind === "single" || transfer.kind === "post-pending");
  const sum = moved.reduce((total, transfer) => total + transfer.amount, 0n);
  return {
    payment,
    status: statusOf(payment, attempts),
    ...(originalPaymentId === undefined ? {} : { originalPaymentId }),
    ...heldUntilOf(attempts),
    attempts,
    transfers,
    postedMinor: payment.content?.operation === "refund" ? -sum : sum,
    postings: moved.length,
    ...lossOf(payment, attempts),
  };
}

function heldUntilOf(attempts: readonly AttemptRecord[]): Pick<TransactionView, "heldUntil"> {
  const answer = attempts.findLast((attempt) => attempt.answer !== undefined)?.answer ?? "{}";
  const { heldUntil } = JSON.parse(answer) as Partial<Answer>;
  return heldUntil === undefined ? {} : { heldUntil };
}

function lossOf({ deferred, state, content }: PaymentRecord, attempts: readonly AttemptRecord[]) {
  const refused = attempts.find(({ attempt }) => attempt === DEFERRED_ATTEMPT);
  if (!deferred || state !== "open" || !content || refused?.answer === undefined) return {};
  const { reason, detail } = JSON.parse(refused.answer) as Answer;
  const why = { ...(reason === undefined ? {} : { reason }), ...(detail === undefined ? {} : { detail }) };
  return { merchantLoss: { minor: content.minor, ...why } };
}

function statusOf(payment: PaymentRecord, attempts: readonly AttemptRecord[]): TransactionStatus {
  if (payment.state !== "open") return payment.state;
  if (attempts.some((attempt) => attempt.state === "approved")) return "authorised";
  if (attempts.some((attempt) => attempt.state === "asked")) return "asked";
  switch (attempts.at(-1)?.state) {
    case "expired":
      return "expired";
    case "declined":
      return "declined";
    default:
      return "reversed";
  }
}
