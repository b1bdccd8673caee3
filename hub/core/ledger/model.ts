/**
 * Accounts and transfers after TigerBeetle's published model, so that it could serve as the engine one day. Where ours
 * differ: ids are texts, an account's ledger is its currency, optional fields are absent instead of zero, and what its
 * fixed widths make impossible is the status `field-out-of-range` (docs/decisions/0026).
 */
import type { Currency } from "../../../base/money.ts";

export type BalanceLimit = "none" | "debits-must-not-exceed-credits" | "credits-must-not-exceed-debits";

/** As many bits as TigerBeetle's. */
export const AMOUNT_MAX = 2n ** 128n - 1n;
/** Microseconds since 1970, as exact as a number is: until the year 2255. */
export const TIMESTAMP_MAX = Number.MAX_SAFE_INTEGER;
/** Of an id or a reference, in UTF-16 units. */
export const TEXT_MAX = 512;
export const CODE_MAX = 65_535;

export interface NewAccount {
  readonly id: string;
  /** Transfers never cross currencies. */
  readonly currency: Currency;
  /** What kind of account it is: 1 to `CODE_MAX`. */
  readonly code: number;
  readonly limit: BalanceLimit;
  /** Whose it is, for queries. */
  readonly reference?: string;
  /** Made only together with the account after it. */
  readonly linked?: boolean;
  /** Keeps the balances after each of its transfers. */
  readonly history?: boolean;
  /** Takes no transfers: only what is pending can be voided. A closing transfer sets it, its void unsets it. */
  readonly closed?: boolean;
  /** Brings its own timestamp from elsewhere. */
  readonly imported?: boolean;
  /** For `imported` only. */
  readonly timestampUs?: number;
}

export interface Balances {
  readonly debitsPending: bigint;
  readonly debitsPosted: bigint;
  readonly creditsPending: bigint;
  readonly creditsPosted: bigint;
}

export interface Account extends NewAccount, Balances {
  /** No other account or transfer has the same. */
  readonly timestampUs: number;
  /** The newest transfer of this account, from which `debitPreviousUs` and `creditPreviousUs` lead on to all others. */
  readonly lastTransferUs?: number;
}

interface AnyTransfer {
  /** Used once, for ever. */
  readonly id: string;
  /** Of a post or void: absent, or as the pending transfer's. Else absent, or as both accounts'. */
  readonly currency?: Currency;
  /** What it belongs to, for queries; a post or void without one has the pending transfer's. */
  readonly reference?: string;
  /** Succeeds only together with the transfer after it. */
  readonly linked?: boolean;
  /** For `pending` only: how long it holds; 0 is the same as absent. */
  readonly timeoutMs?: number;
  /** Moves at most what the debit account has on its credit side, possibly nothing. */
  readonly balancingDebit?: boolean;
  /** Moves at most what the credit account has on its debit side, possibly nothing. */
  readonly balancingCredit?: boolean;
  /** For `pending` only: closes the account until this transfer is voided or expires. */
  readonly closingDebit?: boolean;
  readonly closingCredit?: boolean;
  /** Brings its own timestamp from elsewhere. */
  readonly imported?: boolean;
  /** For `imported` only. */
  readonly timestampUs?: number;
}

export interface MoveTransfer extends AnyTransfer {
  readonly kind: "single" | "pending";
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly amount: bigint;
  /** What the transfer is for: 1 to `CODE_MAX`. */
  readonly code: number;
  readonly pendingId?: string;
}

export interface Resolution extends AnyTransfer {
  readonly kind: "post-pending" | "void-pending";
  readonly pendingId: string;
  /** Of a post: absent or `AMOUNT_MAX` for all of it; less releases the rest. Of a void: absent, 0, or all of it. */
  readonly amount?: bigint;
  /** Absent, or as the pending transfer's. */
  readonly debitAccount?: string;
  readonly creditAccount?: string;
  readonly code?: number;
}

export type NewTransfer = MoveTransfer | Resolution;

export const isResolution = (transfer: NewTransfer): transfer is Resolution =>
  transfer.kind === "post-pending" || transfer.kind === "void-pending";

/** A transfer as it happened; it never changes. */
export interface Transfer extends AnyTransfer {
  readonly kind: NewTransfer["kind"];
  readonly debitAccount: string;
  readonly creditAccount: string;
  /** What moved, was held, or was released. */
  readonly amount: bigint;
  /** What was asked for, where another amount moved. */
  readonly requested?: bigint;
  readonly pendingId?: string;
  readonly currency: Currency;
  readonly code: number;
  readonly timestampUs: number;
  /** The transfer before this one of the same account. */
  readonly debitPreviousUs?: number;
  readonly creditPreviousUs?: number;
}

export type PendingState = "pending" | "posted" | "voided" | "expired";

/** How a pending transfer stands. */
export interface Pending {
  readonly transferId: string;
  readonly state: PendingState;
  /** Counted from the millisecond of the transfer. */
  readonly expiresAtMs?: number;
  /** When it expired: as an event of its own, with a timestamp that nothing else has. */
  readonly expiredUs?: number;
}

/** What an account with `history` had after the event of that time. */
export interface AccountBalance extends Balances {
  readonly account: string;
  readonly timestampUs: number;
}

/** Texts that both databases keep as they are. */
export const isWellFormed = (text: string): boolean =>
  text.length <= TEXT_MAX && text.isWellFormed() && !text.includes("\0");

/** What the account can still spend under its limit, where it has one; what is held counts as spent. */
export function availableOf(account: Account): bigint | undefined {
  switch (account.limit) {
    case "none":
      return undefined;
    case "debits-must-not-exceed-credits":
      return account.creditsPosted - account.debitsPosted - account.debitsPending;
    case "credits-must-not-exceed-debits":
      return account.debitsPosted - account.creditsPosted - account.creditsPending;
  }
}
