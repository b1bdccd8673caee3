/** Takes an attempt back: what it holds goes free, and its issuer hears of it (RM1). */
import type { Within } from "../../store/store.ts";
import type { Acquiring, TakenBack } from "./acquiring.ts";
import type { Postings } from "./postings.ts";
import type { AttemptRecord, AttemptState, AuthorisationStore, PaymentRecord } from "./store.ts";

export interface WithdrawalParts {
  readonly within: Within;
  readonly store: AuthorisationStore;
  readonly postings: Postings;
  /** Absent where all cards are this hub's own. */
  readonly acquiring?: Acquiring;
}

export interface Withdrawn extends TakenBack {
  readonly payment: PaymentRecord;
  readonly attempt: AttemptRecord;
  readonly to: Extract<AttemptState, "reversed" | "superseded" | "voided" | "tombstone">;
}

/** For one that is `approved` or `asked`, since no other holds anything; of an `expired` one the issuer heard before, or will now. */
export async function withdraw(parts: WithdrawalParts, { payment, attempt, to, ...back }: Withdrawn): Promise<void> {
  const { within, store, postings, acquiring } = parts;
  if (attempt.state === "approved") await postings.release(within, { key: payment, attempt: attempt.attempt });
  await store.moveAttempt(within, payment.number, attempt.attempt, to);
  await acquiring?.withdraw(within, payment, attempt.attempt, back);
}

/** May still move money. */
export const stands = ({ state }: AttemptRecord): boolean => state === "approved" || state === "asked";
