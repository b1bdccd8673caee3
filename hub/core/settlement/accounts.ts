/** The ledger's accounts on the way from a sale to a merchant's bank, and the codes of the transfers between them. */
import { assert } from "../../../base/assert.ts";
import type { Currency } from "../../../base/money.ts";
import type { Within } from "../../store/store.ts";
import { ACCOUNT_CODES, TRANSFER_CODES } from "../authorisation/postings.ts";
import type { Ledger, NewAccount, NewTransfer } from "../ledger/index.ts";

const CODES = { fees: 60, payable: 61, paidOut: 62 } as const;
export const SETTLEMENT_CODES = { fee: 40, settlement: 41, payout: 42, chargeback: 43, representment: 44 } as const;
export const EXPOSURE_CODE = TRANSFER_CODES.exposure;

export interface Books {
  readonly ledger: Ledger;
  readonly within: Within;
}

type Ensured = Pick<NewAccount, "id" | "code" | "limit">;

async function ensured({ ledger, within }: Books, currency: Currency, account: Ensured): Promise<string> {
  const [status] = await ledger.createAccounts(within, [{ ...account, currency }]);
  assert(status === "created" || status === "exists", `account ${account.id} is ${status}`);
  return account.id;
}

export const payableId = (merchantId: string, currency: Currency): string => `payable:${merchantId}:${currency}`;

/** Accounts that come into being when first needed. */
export const accountsIn = (books: Books, currency: Currency) => ({
  merchant: (id: string) =>
    ensured(books, currency, { id: `merchant:${id}:${currency}`, code: ACCOUNT_CODES.merchant, limit: "none" }),
  exposure: (party: string) =>
    ensured(books, currency, { id: `exposure:${party}:${currency}`, code: ACCOUNT_CODES.exposure, limit: "none" }),
  fees: () => ensured(books, currency, { id: `fees:${currency}`, code: CODES.fees, limit: "none" }),
  /** Nothing is paid out that was not settled. */
  payable: (id: string) =>
    ensured(books, currency, {
      id: payableId(id, currency),
      code: CODES.payable,
      limit: "debits-must-not-exceed-credits",
    }),
  paidOut: (id: string) =>
    ensured(books, currency, { id: `paid-out:${id}:${currency}`, code: CODES.paidOut, limit: "none" }),
});

export type Moved = Pick<
  Extract<NewTransfer, { kind: "single" | "pending" }>,
  "id" | "debitAccount" | "creditAccount" | "amount" | "code"
>;

/** All of them or none: one linked chain. */
export async function moveChained(
  { ledger, within }: Books,
  reference: string,
  moved: readonly Moved[],
): Promise<void> {
  if (moved.length === 0) return;
  const chain = moved.map(
    (transfer, at): NewTransfer => ({
      ...transfer,
      kind: "single",
      reference,
      ...(at < moved.length - 1 ? { linked: true } : {}),
    }),
  );
  for (const status of await ledger.createTransfers(within, chain))
    assert(status === "created", `a transfer of ${reference} is ${status}`);
}
