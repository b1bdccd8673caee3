/** Settles a closed batch: its fees to the fee account, what is left to the merchant's payable account, once for ever. */

import { fail, ok, type Result } from "../../../base/result.ts";
import type { Within } from "../../store/store.ts";
import type { Ledger } from "../ledger/index.ts";
import { accountsIn, type Books, type Moved, moveChained, SETTLEMENT_CODES } from "./accounts.ts";
import { type Batch, batchStore } from "./batch-store.ts";
import { type Settlement, settlementStore } from "./settlement-store.ts";
import { type BatchTotals, netMinor, settled } from "./totals.ts";

export type SettleRefusal = "unknown" | "open";

/** Settled before, it answers as it did then. */
export async function settleBatch(
  ledger: Ledger,
  within: Within,
  { number, now }: { readonly number: number; readonly now: number },
): Promise<Result<readonly Settlement[], SettleRefusal>> {
  const batch = await batchStore.batch(within, number);
  if (!batch) return fail("unknown");
  if (batch.closedAt === undefined) return fail("open");
  if (batch.settledAt !== undefined) return ok(await settlementStore.ofBatch(within, number));
  return ok(await settle({ ledger, within }, batch, now));
}

export interface SettledBatch {
  readonly batch: Batch;
  readonly settlements: readonly Settlement[];
}

/** Closed ones, oldest first: each makes good what the one before it left. */
export async function settleClosed(
  ledger: Ledger,
  within: Within,
  { limit, now }: { readonly limit: number; readonly now: number },
): Promise<{ readonly settled: readonly SettledBatch[]; readonly more: boolean }> {
  const closed = await batchStore.unsettled(within, limit + 1);
  const settled: SettledBatch[] = [];
  for (const batch of closed.slice(0, limit))
    settled.push({ batch, settlements: await settle({ ledger, within }, batch, now) });
  return { settled, more: closed.length > limit };
}

async function settle(books: Books, batch: Batch, now: number): Promise<readonly Settlement[]> {
  const { within } = books;
  const { number } = batch;
  const settlements: Settlement[] = [];
  const moved: Moved[] = [];
  for (const totals of await batchStore.totals(within, number)) {
    const settlement = await settlementOf(within, batch, totals);
    settlements.push(settlement);
    moved.push(...(await transfersOf(books, settlement)));
    await settlementStore.insert(within, settlement, now);
  }
  await moveChained(books, `batch/${number}`, moved);
  await batchStore.markSettled(within, number, now);
  return settlements;
}

async function settlementOf(within: Within, { number, merchantId }: Batch, totals: BatchTotals): Promise<Settlement> {
  const { currency, feesMinor } = totals;
  const carriedInMinor = await settlementStore.carriedMinor(within, merchantId, currency);
  const net = netMinor(totals);
  return {
    ...{ batch: number, merchantId, currency, netMinor: net, feesMinor, carriedInMinor },
    ...settled(net, carriedInMinor),
  };
}

/** A debt stays in the merchant's account, which what comes later fills up. */
async function transfersOf(books: Books, settlement: Settlement): Promise<readonly Moved[]> {
  const { batch, merchantId, currency, feesMinor, payableMinor } = settlement;
  const accounts = accountsIn(books, currency);
  const debitAccount = await accounts.merchant(merchantId);
  const moved: Moved[] = [];
  const leg = (name: "fee" | "settlement", creditAccount: string, amount: bigint) =>
    moved.push({
      id: `settlement/${batch}/${currency}/${name}`,
      debitAccount,
      creditAccount,
      amount,
      code: SETTLEMENT_CODES[name],
    });
  if (feesMinor > 0n) leg("fee", await accounts.fees(), feesMinor);
  if (payableMinor > 0n) leg("settlement", await accounts.payable(merchantId), payableMinor);
  return moved;
}
