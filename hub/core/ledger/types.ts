/** Accounts and transfers, after TigerBeetle's published model, so that it could serve as the engine one day. */
import type { Currency } from "../../../base/money.ts";

export type BalanceLimit = "none" | "debits-must-not-exceed-credits" | "credits-must-not-exceed-debits";

export interface NewAccount {
  readonly id: string;
  /** An account's ledger is its currency; transfers never cross ledgers. */
  readonly currency: Currency;
  /** What kind of account it is; not 0. */
  readonly code: number;
  readonly limit: BalanceLimit;
}

export interface Account extends NewAccount {
  readonly debitsPending: bigint;
  readonly debitsPosted: bigint;
  readonly creditsPending: bigint;
  readonly creditsPosted: bigint;
  readonly createdAt: number;
}

/** In order of precedence: the first that applies is the answer. */
export const ACCOUNT_STATUSES = [
  "created",
  "id-must-not-be-empty",
  "code-must-not-be-zero",
  "exists-with-different-limit",
  "exists-with-different-currency",
  "exists-with-different-code",
  "exists",
] as const;
export type AccountStatus = (typeof ACCOUNT_STATUSES)[number];

interface Head {
  /** Used once, for ever. */
  readonly id: string;
  /** What the transfer is for; not 0. */
  readonly code: number;
  /** Succeeds only together with the transfer after it. */
  readonly linked?: true;
}

export interface MoveTransfer extends Head {
  readonly kind: "single" | "pending";
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly amount: bigint;
  /** Moves what the debit account has, at most `amount`, possibly nothing. */
  readonly balancingDebit?: true;
  /** For `pending` only: how long it holds before the sweep returns it. */
  readonly timeoutMs?: number;
}

export interface PostTransfer extends Head {
  readonly kind: "post-pending";
  readonly pendingId: string;
  /** Absent: all of it. Less: the rest is released. */
  readonly amount?: bigint;
}

export interface VoidTransfer extends Head {
  readonly kind: "void-pending";
  readonly pendingId: string;
}

export type NewTransfer = MoveTransfer | PostTransfer | VoidTransfer;

/** A transfer as it happened. */
export interface Transfer {
  readonly number: number;
  readonly id: string;
  readonly kind: NewTransfer["kind"];
  readonly debitAccount: string;
  readonly creditAccount: string;
  /** What moved, was held, or was released. */
  readonly amount: bigint;
  /** What was asked for; absent where all of a pending one was. */
  readonly requested?: bigint;
  readonly pendingId?: string;
  readonly code: number;
  readonly linked?: true;
  readonly balancingDebit?: true;
  readonly timeoutMs?: number;
  readonly createdAt: number;
}

/**
 * In order of precedence. `exists` and its kin come before every refusal, so that a repeat gets the answer of the first
 * time; `id-already-failed` says that the first time was refused for the state of the accounts, and stays so.
 */
export const TRANSFER_STATUSES = [
  "created",
  "linked-event-failed",
  "linked-event-chain-open",
  "id-must-not-be-empty",
  "exists-with-different-kind",
  "exists-with-different-pending-id",
  "exists-with-different-timeout",
  "exists-with-different-debit-account",
  "exists-with-different-credit-account",
  "exists-with-different-amount",
  "exists-with-different-code",
  "exists-with-different-flags",
  "exists",
  "id-already-failed",
  "code-must-not-be-zero",
  "amount-must-not-be-negative",
  "amount-too-large",
  "timeout-reserved-for-pending",
  "accounts-must-be-different",
  "pending-id-must-be-different",
  "debit-account-not-found",
  "credit-account-not-found",
  "accounts-must-have-the-same-currency",
  "pending-transfer-not-found",
  "pending-transfer-not-pending",
  "exceeds-pending-transfer-amount",
  "pending-transfer-already-posted",
  "pending-transfer-already-voided",
  "pending-transfer-expired",
  "overflows",
  "exceeds-credits",
  "exceeds-debits",
] as const;
export type TransferStatus = (typeof TRANSFER_STATUSES)[number];

/** Refusals that depend on the state of the ledger: an id refused so is spent (RM16: a retry is a new attempt, a new id). */
export const TRANSIENT_STATUSES: ReadonlySet<TransferStatus> = new Set<TransferStatus>([
  "debit-account-not-found",
  "credit-account-not-found",
  "pending-transfer-not-found",
  "overflows",
  "exceeds-credits",
  "exceeds-debits",
]);

/** The store keeps 64-bit integers; a wider store would raise this and nothing else. */
export const LEDGER_AMOUNT_MAX = 2n ** 63n - 1n;
