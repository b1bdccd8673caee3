/** How accounts and transfers stand in tables: amounts as texts that order as they do, flags as TigerBeetle's bits. */
import type { Currency } from "../../../base/money.ts";
import type { Account, AccountBalance, BalanceLimit, Balances, Pending, PendingState, Transfer } from "./model.ts";

/** The number of digits in two digits, then those: `03100` is 100. Compares as the amounts do, byte by byte. */
export function amountText(amount: bigint): string {
  const digits = amount.toString();
  return digits.length < 10 ? `0${digits.length}${digits}` : `${digits.length}${digits}`;
}

const amountIn = (text: string): bigint => BigInt(text.slice(2));

const ACCOUNT_FLAGS = { linked: 1, history: 8, imported: 16, closed: 32 } as const;
const TRANSFER_FLAGS = {
  linked: 1,
  balancingDebit: 16,
  balancingCredit: 32,
  closingDebit: 64,
  closingCredit: 128,
  imported: 256,
} as const;

type FlagsOf<Bits> = { readonly [Flag in keyof Bits]?: boolean };

function bitsOf<Bits extends Readonly<Record<string, number>>>(bits: Bits, flagged: FlagsOf<Bits>): number {
  let sum = 0;
  for (const flag in bits) if (flagged[flag] === true) sum += bits[flag] ?? 0;
  return sum;
}

function flagsIn<Bits extends Readonly<Record<string, number>>>(
  bits: Bits,
  sum: number,
): { [Flag in keyof Bits]?: true } {
  const flags: { [Flag in keyof Bits]?: true } = {};
  for (const flag in bits) if ((sum & (bits[flag] ?? 0)) !== 0) flags[flag] = true;
  return flags;
}

export const accountBits = (account: Account): number => bitsOf(ACCOUNT_FLAGS, account);
export const transferBits = (transfer: Transfer): number => bitsOf(TRANSFER_FLAGS, transfer);

const BALANCE_COLUMNS = `debits_pending AS debitsPending, debits_posted AS debitsPosted, credits_pending AS creditsPending,
  credits_posted AS creditsPosted`;
export const ACCOUNT_COLUMNS = `a.id, a.currency, a.code, a.balance_limit AS balanceLimit, a.flags, a.reference,
  ${BALANCE_COLUMNS}, a.at_us AS timestampUs, a.last_transfer_us AS lastTransferUs`;
export const TRANSFER_COLUMNS = `t.id, t.kind, t.debit_account AS debitAccount, t.credit_account AS creditAccount, t.amount,
  t.requested, t.pending_id AS pendingId, t.currency, t.code, t.flags, t.timeout_ms AS timeoutMs, t.reference,
  t.at_us AS timestampUs, t.debit_previous_us AS debitPreviousUs, t.credit_previous_us AS creditPreviousUs`;
export const PENDING_COLUMNS = `p.state, p.expires_at AS expiresAtMs, p.expired_us AS expiredUs`;
export const HISTORY_COLUMNS = `b.account, b.at_us AS timestampUs, ${BALANCE_COLUMNS}`;

type BalanceRow = { readonly [Balance in keyof Balances]: string };

export interface AccountRow extends BalanceRow {
  readonly id: string;
  readonly currency: string;
  readonly code: number;
  readonly balanceLimit: string;
  readonly flags: number;
  readonly reference: string | null;
  readonly timestampUs: number;
  readonly lastTransferUs: number | null;
}

export interface TransferRow {
  readonly id: string;
  readonly kind: Transfer["kind"];
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly amount: string;
  readonly requested: string | null;
  readonly pendingId: string | null;
  readonly currency: string;
  readonly code: number;
  readonly flags: number;
  readonly timeoutMs: number | null;
  readonly reference: string | null;
  readonly timestampUs: number;
  readonly debitPreviousUs: number | null;
  readonly creditPreviousUs: number | null;
}

/** Of a transfer that is not pending the state is null. */
export interface PendingRow {
  readonly state: PendingState | null;
  readonly expiresAtMs: number | null;
  readonly expiredUs: number | null;
}

export interface BalancesRow extends BalanceRow {
  readonly account: string;
  readonly timestampUs: number;
}

const balancesIn = (row: BalanceRow): Balances => ({
  debitsPending: amountIn(row.debitsPending),
  debitsPosted: amountIn(row.debitsPosted),
  creditsPending: amountIn(row.creditsPending),
  creditsPosted: amountIn(row.creditsPosted),
});

export const accountIn = (row: AccountRow): Account => ({
  id: row.id,
  currency: row.currency as Currency,
  code: row.code,
  limit: row.balanceLimit as BalanceLimit,
  ...(row.reference === null ? {} : { reference: row.reference }),
  ...(row.flags === 0 ? {} : flagsIn(ACCOUNT_FLAGS, row.flags)),
  ...balancesIn(row),
  timestampUs: row.timestampUs,
  ...(row.lastTransferUs === null ? {} : { lastTransferUs: row.lastTransferUs }),
});

export const transferIn = (row: TransferRow): Transfer => ({
  id: row.id,
  kind: row.kind,
  debitAccount: row.debitAccount,
  creditAccount: row.creditAccount,
  amount: amountIn(row.amount),
  ...(row.requested === null ? {} : { requested: amountIn(row.requested) }),
  ...(row.pendingId === null ? {} : { pendingId: row.pendingId }),
  currency: row.currency as Currency,
  code: row.code,
  ...(row.timeoutMs === null ? {} : { timeoutMs: row.timeoutMs }),
  ...(row.reference === null ? {} : { reference: row.reference }),
  ...(row.flags === 0 ? {} : flagsIn(TRANSFER_FLAGS, row.flags)),
  timestampUs: row.timestampUs,
  ...(row.debitPreviousUs === null ? {} : { debitPreviousUs: row.debitPreviousUs }),
  ...(row.creditPreviousUs === null ? {} : { creditPreviousUs: row.creditPreviousUs }),
});

export function pendingIn(transferId: string, row: PendingRow): Pending | undefined {
  if (row.state === null) return undefined;
  return {
    transferId,
    state: row.state,
    ...(row.expiresAtMs === null ? {} : { expiresAtMs: row.expiresAtMs }),
    ...(row.expiredUs === null ? {} : { expiredUs: row.expiredUs }),
  };
}

export const historyIn = (row: BalancesRow): AccountBalance => ({
  account: row.account,
  timestampUs: row.timestampUs,
  ...balancesIn(row),
});
