/**
 * Ways to pay other than with the card of an account. A feature brings each; authorisation asks them in turn, always inside
 * the hub's transaction, so that what a feature notes down and what the ledger does become durable together.
 */
import type { AuthorisationRequest } from "../../../wire/authorisation.ts";
import type { EntryOf } from "../../../wire/journal-entry.ts";
import type { Within } from "../../store/store.ts";
import type { Answer } from "./answers.ts";
import type { EntryOutcome } from "./entries.ts";
import type { PaymentKey } from "./store.ts";

/** Whose account pays. */
export interface Payer {
  readonly accountId: string;
  /** The phone that says so; one on the deny list pays nothing. */
  readonly deviceId: string;
  /** As it may stand on a receipt. */
  readonly maskedAccount: string;
}

export interface MeansRequest {
  readonly key: PaymentKey;
  readonly request: Omit<AuthorisationRequest, "answerBy" | "card" | "paymentId">;
  /** When it is decided, in milliseconds since 1970. */
  readonly now: number;
}

/** Who pays an advice, and who bears what that account cannot. */
export interface AdvicePayer {
  readonly accountId?: string;
  /** Where a refund goes, when that is not the account that pays. */
  readonly refundAccountId?: string;
  readonly riskParty: string;
}

export interface MeansAdvice {
  readonly key: PaymentKey;
  readonly body: EntryOf<"decision">;
  readonly now: number;
}

/** `released`: an approval was reversed, voided, or never confirmed in time. */
export type MeansOutcome = "approved" | "declined" | "released";

export interface Means {
  /**
   * Finds who pays an online request, and reserves what may serve only once. Undefined: the request is not this feature's.
   * Not asked again for a repeat, which gets its first answer.
   */
  resolveRequest?(
    within: Within,
    input: MeansRequest,
  ): Promise<{ readonly payer: Payer } | { readonly refusal: Answer } | undefined>;
  /** What became of a payment that this feature resolved; tolerates being told twice, and of payments it does not know. */
  settle?(within: Within, key: PaymentKey, outcome: MeansOutcome): Promise<void>;
  /** Finds who pays an approval made with no hub in reach. Undefined: the advice is not this feature's. */
  resolveAdvice?(
    within: Within,
    input: MeansAdvice,
  ): Promise<{ readonly payer: AdvicePayer } | { readonly outcome: EntryOutcome } | undefined>;
}

export interface Settling {
  readonly means: readonly Means[];
  readonly key: PaymentKey;
  readonly outcome: MeansOutcome;
}

/** Tells every feature: only the one that resolved the payment knows it. */
export async function settleMeans(within: Within, { means, key, outcome }: Settling): Promise<void> {
  for (const one of means) await one.settle?.(within, key, outcome);
}
