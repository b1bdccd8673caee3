/**
 * What authorisation asks of the ledger. Transfer ids are (terminal, payment, leg, attempt), so that a repeat is
 * recognised and a refused attempt never blocks the next (RM16).
 */
import { assert } from "../../../base/assert.ts";
import type { Currency } from "../../../base/money.ts";
import type { Operation } from "../../../wire/common.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { Ledger, NewAccount, NewTransfer, TransferStatus } from "../ledger/index.ts";
import type { PaymentKey } from "./store.ts";

export const ACCOUNT_CODES = { customer: 10, merchant: 20, exposure: 30, equity: 40, issuer: 50 } as const;
export const TRANSFER_CODES = {
  purchase: 1,
  refund: 2,
  advice: 3,
  exposure: 4,
  funding: 8,
} as const;

export interface Hold {
  readonly key: PaymentKey;
  readonly attempt: number;
  readonly operation: Operation;
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly minor: bigint;
  readonly timeoutMs: number;
}

export interface Honoured {
  readonly key: PaymentKey;
  readonly currency: Currency;
  readonly minor: bigint;
  /** Undefined: nobody knows whose card it was, and all of it is exposure. */
  readonly customer?: string | undefined;
  readonly merchant: string;
  /** Who bears what the customer's account cannot. */
  readonly party: string;
}

export type Postings = ReturnType<typeof createPostings>;

const prefixOf = (key: PaymentKey): string => `${key.terminalId}/${key.paymentId}/`;
const holdId = (key: PaymentKey, attempt: number): string => `${prefixOf(key)}hold/${attempt}`;

/** Reads back what `holdId` wrote. */
export function readHoldId(id: string): { terminalId: string; paymentId: string; attempt: number } | undefined {
  const match = /^([^/]+)\/([^/]+)\/hold\/(\d+)$/.exec(id);
  return match?.[1] && match[2] ? { terminalId: match[1], paymentId: match[2], attempt: Number(match[3]) } : undefined;
}

/** Whether an account is what an institution owes. */
export const isIssuerAccount = (accountId: string | undefined): boolean => accountId?.startsWith("issuer:") === true;

/** Two legs for each of 99 attempts, and the honoured posting's two. */
const TRANSFERS_OF_PAYMENT_MAX = 200;

export function createPostings(ledger: Ledger) {
  return {
    ...standingAccounts(ledger),
    hold: (within: Within, hold: Hold) => createHold({ ledger, within }, hold),

    /**
     * Makes a hold final: all of it, or `minor` of it while the rest goes free. `by` is the payment that it is posted for, which
     * is another only where that completes it. False when the hold has expired.
     */
    async post(
      within: Within,
      { key, attempt, minor, by }: PostedHold & { readonly by: PaymentKey },
    ): Promise<boolean> {
      const [status] = await ledger.createTransfers(within, [
        {
          id: `${prefixOf(by)}post/${attempt}`,
          kind: "post-pending",
          pendingId: holdId(key, attempt),
          ...(minor === undefined ? {} : { amount: minor }),
        },
      ]);
      if (status === "pending-transfer-expired") return false;
      assert(status === "created", `a hold cannot be posted: ${status}`);
      return true;
    },

    /** Gives a hold back; one that has expired is back already. */
    async release(within: Within, { key, attempt }: PostedHold): Promise<void> {
      const [status] = await ledger.createTransfers(within, [
        {
          id: `${prefixOf(key)}void/${attempt}`,
          kind: "void-pending",
          pendingId: holdId(key, attempt),
        },
      ]);
      assert(status === "created" || status === "pending-transfer-expired", `a hold cannot be voided: ${status}`);
    },

    /** The ids of what was held until now at most. */
    expireDue: (within: Within, limit: number) => ledger.expireDue(within, limit),

    /** The account where it can pay in this currency; undefined where it is kept in another, or is nobody's. */
    async keptIn(reading: Reading, currency: Currency, accountId: string | undefined): Promise<string | undefined> {
      const account = accountId === undefined ? undefined : await ledger.account(reading, accountId);
      return account?.currency === currency ? accountId : undefined;
    },

    honour: (within: Within, advice: Honoured) => honour({ ledger, within }, advice),

    /** A refund whose hold is gone, posted at once. */
    async refundDirectly(within: Within, { key, debitAccount, creditAccount, minor }: DirectRefund): Promise<void> {
      const id = `${prefixOf(key)}advice/0`;
      const code = TRANSFER_CODES.refund;
      await mustCreate({ ledger, within }, [{ id, kind: "single", debitAccount, creditAccount, amount: minor, code }]);
    },

    /** The part of a refund that makes good what an exposure account bore of the original. */
    async refundExposure(within: Within, { key, debitAccount, creditAccount, minor }: DirectRefund): Promise<void> {
      const id = `${prefixOf(key)}exposure/0`;
      const code = TRANSFER_CODES.refund;
      await mustCreate({ ledger, within }, [{ id, kind: "single", debitAccount, creditAccount, amount: minor, code }]);
    },

    /** Money into a new customer's account, from equity. */
    async fund(
      within: Within,
      account: { readonly id: string; readonly currency: Currency },
      minor: bigint,
    ): Promise<void> {
      const debitAccount = await ensureAccount(
        { ledger, within },
        {
          id: `equity:${account.currency}`,
          currency: account.currency,
          code: ACCOUNT_CODES.equity,
        },
      );
      const id = `funding/${account.id}/0`;
      const code = TRANSFER_CODES.funding;
      await mustCreate({ ledger, within }, [
        { id, kind: "single", debitAccount, creditAccount: account.id, amount: minor, code },
      ]);
    },

    transfersOf: (reading: Reading, key: PaymentKey) =>
      ledger.transfersUnder(reading, prefixOf(key), TRANSFERS_OF_PAYMENT_MAX),
  };
}

type PostedHold = Pick<Hold, "key" | "attempt"> & { readonly minor?: bigint };
type DirectRefund = Omit<Hold, "attempt" | "operation" | "timeoutMs">;

interface Books {
  readonly ledger: Ledger;
  readonly within: Within;
}

async function mustCreate({ ledger, within }: Books, transfers: readonly NewTransfer[]): Promise<void> {
  for (const status of await ledger.createTransfers(within, transfers)) {
    assert(status === "created", `a transfer that must succeed is ${status}`);
  }
}

type StandingAccount = Pick<NewAccount, "id" | "currency" | "code">;
async function ensureAccount({ ledger, within }: Books, account: StandingAccount): Promise<string> {
  const [status] = await ledger.createAccounts(within, [{ ...account, limit: "none" }]);
  assert(status === "created" || status === "exists", `account ${account.id} is ${status}`);
  return account.id;
}

/** Accounts that come into being when first needed. */
const standingAccounts = (ledger: Ledger) => ({
  merchantAccount: (within: Within, merchantId: string, currency: Currency) =>
    ensureAccount(
      { ledger, within },
      { id: `merchant:${merchantId}:${currency}`, currency, code: ACCOUNT_CODES.merchant },
    ),
  /** What an institution owes for sales on its cards. */
  issuerAccount: (within: Within, institutionId: string, currency: Currency) =>
    ensureAccount(
      { ledger, within },
      { id: `issuer:${institutionId}:${currency}`, currency, code: ACCOUNT_CODES.issuer },
    ),
  exposureAccount: (within: Within, party: string, currency: Currency) =>
    exposureAccount({ ledger, within }, party, currency),
});

const exposureAccount = (books: Books, party: string, currency: Currency): Promise<string> =>
  ensureAccount(books, { id: `exposure:${party}:${currency}`, currency, code: ACCOUNT_CODES.exposure });

async function createHold({ ledger, within }: Books, hold: Hold): Promise<TransferStatus> {
  const [status] = await ledger.createTransfers(within, [
    {
      id: holdId(hold.key, hold.attempt),
      kind: "pending",
      debitAccount: hold.debitAccount,
      creditAccount: hold.creditAccount,
      amount: hold.minor,
      code: hold.operation === "refund" ? TRANSFER_CODES.refund : TRANSFER_CODES.purchase,
      timeoutMs: hold.timeoutMs,
    },
  ]);
  assert(status !== undefined, "one transfer has one status");
  return status;
}

/**
 * Posts an approval that no hold covers (RM16): what the customer's account has by a balancing debit, linked with the
 * remainder from the party's exposure account. Returns the remainder.
 */
async function honour(books: Books, advice: Honoured): Promise<bigint> {
  const { ledger, within } = books;
  const { customer, minor } = advice;
  // Of an institution's account: what it owes has no limit here.
  const limit = customer === undefined ? 0n : await ledger.available(within, customer);
  const spendable = limit ?? minor;
  const fromCustomer = spendable < minor ? spendable : minor;
  const remainder = minor - fromCustomer;
  const prefix = prefixOf(advice.key);
  const transfers: NewTransfer[] = [];
  if (customer !== undefined && fromCustomer > 0n) {
    transfers.push({
      id: `${prefix}advice/0`,
      kind: "single",
      debitAccount: customer,
      creditAccount: advice.merchant,
      amount: fromCustomer,
      ...(limit === undefined ? {} : { balancingDebit: true }),
      code: TRANSFER_CODES.advice,
      ...(remainder > 0n ? { linked: true } : {}),
    });
  }
  if (remainder > 0n) {
    transfers.push({
      id: `${prefix}exposure/0`,
      kind: "single",
      debitAccount: await exposureAccount(books, advice.party, advice.currency),
      creditAccount: advice.merchant,
      amount: remainder,
      code: TRANSFER_CODES.exposure,
    });
  }
  await mustCreate(books, transfers);
  return remainder;
}
