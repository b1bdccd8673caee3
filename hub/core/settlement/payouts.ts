/** Pays merchants what was settled: each payable amount leaves the books once, and the file that says so is always the same. */
import { newMessageId, type RandomBytes } from "../../../base/ids.ts";
import { type Currency, toDecimal } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { BankAccount } from "../../../protocols/iso20022/bank-account.ts";
import { pain001Text } from "../../../protocols/iso20022/pain001.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { Ledger } from "../ledger/index.ts";
import { accountsIn, type Books, type Moved, moveChained, payableId, SETTLEMENT_CODES } from "./accounts.ts";
import { csvText } from "./csv.ts";
import { placeStore } from "./place-store.ts";
import { type Payout, type PayoutLine, settlementStore } from "./settlement-store.ts";

export interface PayoutView extends Payout {
  readonly lines: readonly PayoutLine[];
}

export interface MadePayout extends PayoutView {
  /** Others have something to get too, and wait for the next one. */
  readonly more: boolean;
}

/**
 * no-payer: it is not configured from which account is paid. past: of a day that is over, whose statements are written.
 * nothing: no merchant with an account has anything to get.
 */
export type PayoutRefusal = "no-payer" | "past" | "nothing";
export const PAYOUT_FORMATS = ["pain001", "csv"] as const;
export type PayoutFormat = (typeof PAYOUT_FORMATS)[number];

/** Merchants paid by one message. */
const LINES_MAX = 4_000;
const PAGE = 500;

export interface PayoutParts {
  readonly ledger: Ledger;
  readonly random: RandomBytes;
  /** From whose account merchants are paid. */
  readonly payer?: BankAccount | undefined;
  /** Merchants paid by one message; 4,000 when not said. */
  readonly linesMax?: number;
}

export interface PayoutOrder {
  readonly currency: Currency;
  /** Of one merchant alone. */
  readonly merchantId?: string | undefined;
  /** YYYY-MM-DD; today in UTC, or later. */
  readonly executionDate: string;
  readonly now: number;
}

export async function makePayout(
  { ledger, random, payer, linesMax = LINES_MAX }: PayoutParts,
  within: Within,
  order: PayoutOrder,
): Promise<Result<MadePayout, PayoutRefusal>> {
  if (!payer) return fail("no-payer");
  const { currency, executionDate, now } = order;
  if (executionDate < new Date(now).toISOString().slice(0, 10)) return fail("past");
  const messageId = newMessageId(random);
  // One more than fits shows that there are more.
  const found = await payable({ ledger, within }, order, { messageId, limit: linesMax + 1 });
  const lines = found.slice(0, linesMax);
  if (lines.length === 0) return fail("nothing");
  const payout = { messageId, currency, executionDate, createdAt: now, payer };
  const number = await settlementStore.insertPayout(within, payout);
  const moved: Moved[] = [];
  const accounts = accountsIn({ ledger, within }, currency);
  for (const line of lines) {
    await settlementStore.insertLine(within, number, line);
    moved.push({
      id: `payout/${messageId}/${line.line}`,
      debitAccount: payableId(line.merchantId, currency),
      creditAccount: await accounts.paidOut(line.merchantId),
      amount: line.minor,
      code: SETTLEMENT_CODES.payout,
    });
  }
  await moveChained({ ledger, within }, `payout/${messageId}`, moved);
  return ok({ ...payout, number, lines, more: found.length > linesMax });
}

interface Listing {
  readonly messageId: string;
  readonly limit: number;
}

/** Whoever has something to get, and an account to get it. */
async function payable(
  { ledger, within }: Books,
  { currency, merchantId: only }: PayoutOrder,
  { messageId, limit }: Listing,
): Promise<readonly PayoutLine[]> {
  const lines: PayoutLine[] = [];
  for await (const { id, name, account } of merchants(within, only)) {
    if (lines.length === limit) break;
    if (!account) continue;
    const minor = (await ledger.available(within, payableId(id, currency))) ?? 0n;
    if (minor <= 0n) continue;
    const line = lines.length + 1;
    lines.push({ line, merchantId: id, minor, endToEndId: `${messageId}-${line}`, creditor: { name, ...account } });
  }
  return lines;
}

async function* merchants(reading: Reading, only: string | undefined) {
  if (only !== undefined) {
    const one = await placeStore.merchant(reading, only);
    if (one) yield one;
    return;
  }
  for (let after = "", more = true; more; ) {
    const page = await placeStore.merchants(reading, { after, limit: PAGE });
    yield* page;
    after = page.at(-1)?.id ?? after;
    more = page.length === PAGE;
  }
}

export async function payoutView(reading: Reading, messageId: string): Promise<PayoutView | undefined> {
  const payout = await settlementStore.payout(reading, messageId);
  return payout && { ...payout, lines: await settlementStore.lines(reading, payout.number) };
}

const remittanceOf = ({ executionDate }: Payout, { merchantId }: PayoutLine): string =>
  `settlement ${merchantId} ${executionDate}`;

/** Out of what was stored when it was made, so that every export of it is the same. */
export function payoutFile(view: PayoutView, format: PayoutFormat): string {
  return format === "csv" ? csvFile(view) : painFile(view);
}

const painFile = (view: PayoutView): string =>
  pain001Text({
    messageId: view.messageId,
    createdAt: new Date(view.createdAt).toISOString(),
    executionDate: view.executionDate,
    debtor: view.payer,
    currency: view.currency,
    transfers: view.lines.map((line) => ({ ...line, remittance: remittanceOf(view, line) })),
  });

const COLUMNS = [
  "endToEndId",
  "merchantId",
  "name",
  "iban",
  "bic",
  "amount",
  "currency",
  "executionDate",
  "remittance",
];

const csvFile = (view: PayoutView): string =>
  csvText([
    COLUMNS,
    ...view.lines.map((line) => {
      const { merchantId, minor, endToEndId, creditor } = line;
      const { currency, executionDate } = view;
      const amount = toDecimal({ minor, currency });
      const whom = [creditor.name, creditor.iban, creditor.bic];
      return [endToEndId, merchantId, ...whom, amount, currency, executionDate, remittanceOf(view, line)];
    }),
  ]);

export const linesSum = ({ lines }: PayoutView): bigint => lines.reduce((sum, { minor }) => sum + minor, 0n);
