/** An issuer's books as people and comparisons read them: no card number, and amounts as decimal strings of minor units. */
import { type Books, standing } from "./books.ts";
import type { Account, Counted, DayTotals, Payment } from "./records.ts";

export interface PaymentView {
  readonly terminalId: string;
  readonly paymentId: string;
  readonly operation: Payment["operation"];
  /** DE 49. */
  readonly currency?: string;
  readonly postedMinor: string;
  readonly heldMinor: string;
  /** States by number. */
  readonly attempts: Readonly<Record<string, string>>;
  /** Why it was told afterwards that it was approved, or that this was taken back. */
  readonly advised?: string;
  /** The response code with which it was told that it was declined. */
  readonly declined?: string;
  readonly cryptogram?: "held" | "failed";
  /** Tag 9F5B in hex: what a card made of the scripts that it was sent. */
  readonly scriptResults?: string;
}

export interface BooksView {
  readonly accounts: readonly (Omit<Account, "balanceMinor" | "heldMinor" | "card"> & {
    readonly balanceMinor: string;
    readonly heldMinor: string;
  })[];
  readonly payments: readonly PaymentView[];
  readonly totals: readonly Readonly<Record<string, unknown>>[];
}

export function booksView(books: Books): BooksView {
  const records = [...books.records()];
  return {
    accounts: records.flatMap(({ account }) => (account ? [accountView(account)] : [])),
    payments: records.flatMap(({ payment }) => (payment ? [paymentView(payment)] : [])),
    totals: records.flatMap(({ totals }) => (totals ? [totalsView(totals)] : [])),
  };
}

export function paymentView(payment: Payment): PaymentView {
  const { postedMinor, heldMinor } = standing(payment);
  const { terminalId, paymentId, operation, currency, cryptogram, declined, advice } = payment;
  const scripted = Object.values(payment.attempts).findLast(({ scriptResults }) => scriptResults !== undefined);
  return {
    terminalId,
    paymentId,
    operation,
    ...(currency !== undefined && { currency }),
    postedMinor: postedMinor.toString(),
    heldMinor: heldMinor.toString(),
    attempts: Object.fromEntries(Object.entries(payment.attempts).map(([number, { state }]) => [number, state])),
    ...(advice && { advised: advice.withdrawn ? "withdrawn" : (advice.reason ?? "approved") }),
    ...(declined !== undefined && { declined }),
    ...(cryptogram !== undefined && { cryptogram }),
    ...(scripted?.scriptResults !== undefined && { scriptResults: scripted.scriptResults }),
  };
}

const accountView = ({ maskedPan, expiry, currency, balanceMinor, heldMinor }: Account) => ({
  maskedPan,
  expiry,
  currency,
  balanceMinor: balanceMinor.toString(),
  heldMinor: heldMinor.toString(),
});

function totalsView({ debits, debitReversals, credits, creditReversals, ...rest }: DayTotals) {
  const counted = ({ count, minor }: Counted) => ({ count, minor: minor.toString() });
  return {
    ...rest,
    debits: counted(debits),
    debitReversals: counted(debitReversals),
    credits: counted(credits),
    creditReversals: counted(creditReversals),
  };
}
