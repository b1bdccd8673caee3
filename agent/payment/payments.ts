/** What the local API and the command line ask of payments, and what they are shown. */
import type { PaymentId } from "../../base/ids.ts";
import type { Money } from "../../base/money.ts";
import type { Result } from "../../base/result.ts";
import type { Operation, ReasonCode } from "../../wire/common.ts";
import type { CardFacts } from "../../wire/journal-entry.ts";
import type { QueueState } from "../journal/journal.ts";

export interface PurchaseRequest {
  readonly id: PaymentId;
  /** A purchase when not said. A pre-authorisation only holds the amount, for a completion. */
  readonly operation?: "purchase" | "pre-authorisation";
  readonly amount: Money;
  /** The part of the amount that the customer gets in cash. */
  readonly cashback?: Money;
  /** The till's own words, printed on the receipt. */
  readonly reference?: string;
}

export interface RefundRequest {
  /** The refund's own id, owned by the caller as a payment's is. */
  readonly id: PaymentId;
  readonly originalId: PaymentId;
  /** Absent: all that is left of the original. */
  readonly amount?: Money;
}

export interface CompletionRequest {
  /** The completion's own id, owned by the caller as a payment's is. */
  readonly id: PaymentId;
  /** The pre-authorisation, made at this terminal. */
  readonly originalId: PaymentId;
  readonly amount: Money;
}

export interface TipRequest {
  /** The tip's own id, owned by the caller as a payment's is. */
  readonly id: PaymentId;
  /** The sale that it comes on top of. */
  readonly originalId: PaymentId;
  readonly amount: Money;
}

/** Where a running payment is; also the names of the points at which tests kill the agent. */
export const PAYMENT_STAGES = [
  "accepted",
  "intent-stored",
  "card-presented",
  "code-presented",
  "records-read",
  "first-cryptogram",
  "online-request-stored",
  "online-request-sent",
  "online-answered",
  "online-unknown-stored",
  "second-cryptogram",
  "decision-ready",
  "decision-stored",
  "answered",
  "print-intent-stored",
  "print-started",
  "print-finished",
  "print-stored",
] as const;
export type PaymentStage = (typeof PAYMENT_STAGES)[number];

export type PaymentStatus = "processing" | "approved" | "declined" | "aborted" | "voided";

export interface PaymentView {
  readonly id: PaymentId;
  readonly operation: Operation;
  readonly status: PaymentStatus;
  readonly amount: Money;
  /** The part of the amount that the customer gets in cash. */
  readonly cashback?: Money;
  readonly reference?: string;
  readonly originalId?: PaymentId;
  /** While processing: the stage and what the customer should do ("present card"). */
  readonly stage?: PaymentStage;
  readonly mode?: "online" | "offline";
  /** Sold at the merchant's risk; the hub authorises or refuses it when it is back (RM9). */
  readonly deferred?: true;
  readonly reason?: ReasonCode;
  /** One sentence for the cashier; while processing, why what was presented last is no way to pay. */
  readonly detail?: string;
  readonly responseCode?: string;
  readonly approvalCode?: string;
  /** Of a pre-authorisation: in hub time, until when its amount is held. */
  readonly heldUntil?: string;
  /** Of a pre-authorisation: the payment that completed it. */
  readonly completedBy?: PaymentId;
  readonly card?: CardFacts;
  /** Paid with a code: the account that it stood for, as it may be printed. */
  readonly maskedAccount?: string;
  /** Paid with a note of staged value, by this device. */
  readonly payingDevice?: string;
  /** While a card or a code is awaited: what a phone answers with a note; shown as a QR code. */
  readonly challenge?: string;
  /** pending: approved, not yet on paper; none: nothing to print. */
  readonly ticket: "none" | "pending" | "printed" | "possibly-printed";
  /** The entry's place in the store-and-forward queue, once decided. */
  readonly queue?: QueueState;
  readonly startedAt: string;
  readonly decidedAt?: string;
}

/** The same id came with other content: the field that differs (RM4). */
export interface Conflict {
  readonly field: "amount.minor" | "amount.currency" | "cashback" | "reference" | "operation" | "originalId";
}

export type StartRefusal =
  | ({ readonly why: "conflict" } & Conflict)
  | {
      readonly why: "not-found" | "busy" | "draining" | "not-allowed";
      readonly detail: string;
      /** What of the request it is about, where it is about one part of it. */
      readonly field?: string;
    }
  /** Of a completion. */
  | { readonly why: "not-approved" | "already-processed" | "too-much" | "expired"; readonly detail: string };
export type CancelRefusal = { readonly why: "not-found" | "too-late"; readonly detail: string };
export type VoidRefusal = {
  readonly why: "not-found" | "not-approved" | "forwarding" | "already-processed";
  readonly detail: string;
};
export interface SignatureRefusal {
  readonly why: "not-asked" | "answered";
  readonly detail: string;
}
export type ReprintRefusal = { readonly why: "not-found" | "nothing-to-print" | "no-printer"; readonly detail: string };

export type PaymentEvent =
  | { readonly type: "payment.stage"; readonly id: PaymentId; readonly stage: PaymentStage }
  /** What was presented is no way to pay; the payment goes on waiting. */
  | { readonly type: "payment.hint"; readonly id: PaymentId; readonly detail: string }
  | { readonly type: "payment.ended"; readonly payment: PaymentView }
  | { readonly type: "payment.ticket"; readonly payment: PaymentView };

/** Milliseconds that a sale spent with others: the card and the wait for it, the journal's disk, the hub. */
export interface SaleTimings {
  readonly cardMs: number;
  readonly journalMs: number;
  readonly hubMs: number;
}

export interface Payments {
  /** Starts, or attaches to a running or ended payment of the same id and content. Returns at once. */
  begin(request: PurchaseRequest): Result<PaymentView, StartRefusal>;
  beginRefund(request: RefundRequest): Result<PaymentView, StartRefusal>;
  /** More for a sale whose batch is still open at the hub, from whoever paid for it. */
  beginTip(request: TipRequest): Result<PaymentView, StartRefusal>;
  /** Takes of what a pre-authorisation holds, once, and gives the rest back. */
  beginCompletion(request: CompletionRequest): Result<PaymentView, StartRefusal>;
  /** The payment when it has ended (the decision is on disk). Throws Fault `aborted` when the signal ends the wait. */
  ended(id: PaymentId, signal: AbortSignal): Promise<PaymentView>;
  get(id: PaymentId): PaymentView | undefined;
  /** Where the time went, for one of the last sales of this run. */
  timingsOf(id: PaymentId): SaleTimings | undefined;
  recent(limit: number): readonly PaymentView[];
  cancel(id: PaymentId): Result<PaymentView, CancelRefusal>;
  void(id: PaymentId, reason: string | undefined): Promise<Result<PaymentView, VoidRefusal>>;
  /** For who cancels a payment in the queue: `work` runs while nobody completes it; fails, in words, where somebody does already. */
  cancelling<T>(id: PaymentId, work: () => Promise<T>): Promise<Result<T, string>>;
  /** What the cashier says of the customer's signature; a refused one voids the sale (RM13). */
  checkSignature(check: {
    readonly id: PaymentId;
    readonly accepted: boolean;
  }): Promise<Result<PaymentView, VoidRefusal | SignatureRefusal>>;
  /** Prints the challenge that a phone answers with a note, for a counter without a display (RM11). */
  printChallenge(id: PaymentId): Promise<Result<PaymentView, ReprintRefusal>>;
  /** Prints a marked copy. */
  reprint(id: PaymentId): Promise<Result<PaymentView, ReprintRefusal>>;
  /** How many are running now. */
  readonly running: number;
  onEvent(listener: (event: PaymentEvent) => void): () => void;
}
