/** The ledger: double entry in TigerBeetle's published semantics. The only part that moves money. */
import { assert } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Reading, StoreKind, Within } from "../../store/store.ts";
import {
  type Account,
  availableOf,
  isResolution,
  isWellFormed,
  type NewAccount,
  type NewTransfer,
  type Pending,
  type Transfer,
} from "./model.ts";
import { planAccounts, planExpiry, planTransfers } from "./plan.ts";
import { postgresTables } from "./postgres-tables.ts";
import { dueTransfers, type Queries, queries } from "./queries.ts";
import { createSessions, type Sessions } from "./session.ts";
import { sqliteTables } from "./sqlite-tables.ts";
import type { AccountStatus, TransferStatus } from "./statuses.ts";
import type { Wanted } from "./tables.ts";

export interface Ledger extends Queries {
  /** One status for each, in their order; a chain of linked ones succeeds or fails as one. At most `BATCH_MAX`. */
  createAccounts(within: Within, accounts: readonly NewAccount[]): Promise<readonly AccountStatus[]>;
  createTransfers(within: Within, transfers: readonly NewTransfer[]): Promise<readonly TransferStatus[]>;
  /** Gives back what is held by pending transfers that are due by now, and returns their ids. */
  expireDue(within: Within, limit: number): Promise<readonly string[]>;
  /**
   * For many batches in one transaction: what they change stays in memory and is written together at the end of `work`. No
   * savepoint may be undone within it; where `work` throws, the caller undoes the transaction.
   */
  batched<T>(within: Within, work: () => Promise<T>): Promise<T>;
  account(reading: Reading, id: string): Promise<Account | undefined>;
  transfer(reading: Reading, id: string): Promise<Transfer | undefined>;
  /** How a pending transfer stands; undefined for all others. */
  pending(reading: Reading, id: string): Promise<Pending | undefined>;
  /** Those that there are, in the order of the ids. */
  lookupAccounts(reading: Reading, ids: readonly string[]): Promise<readonly Account[]>;
  lookupTransfers(reading: Reading, ids: readonly string[]): Promise<readonly Transfer[]>;
  /** What the account can still spend under its limit; undefined for one without. */
  available(reading: Reading, id: string): Promise<bigint | undefined>;
}

/** As in TigerBeetle, where it is what fits a message. */
export const BATCH_MAX = 8_190;

interface LedgerOptions {
  readonly kind: StoreKind;
  readonly clock: Clock;
}

export function createLedger({ kind, clock }: LedgerOptions): Ledger {
  const sessions = createSessions(kind === "sqlite" ? sqliteTables : postgresTables);
  return {
    ...lookups(sessions),
    ...afterWriting(sessions),
    createAccounts: (within, accounts) =>
      sessions.change(within, ofAccounts(accounts), (facts) => planAccounts(facts, accounts, clock.now())),
    createTransfers: (within, transfers) =>
      sessions.change(within, ofTransfers(transfers), (facts) => planTransfers(facts, transfers, clock.now())),
    async expireDue(within, limit) {
      await sessions.written(within);
      const nowMs = clock.now();
      const due = await dueTransfers(within, { nowMs, limit });
      if (due.length === 0) return due;
      return await sessions.change(within, { transfers: due }, (facts) => planExpiry(facts, due, nowMs));
    },
    batched: (within, work) => sessions.keep(within, work),
  };
}

function lookups(sessions: Sessions) {
  const accounts = async (reading: Reading, ids: readonly string[]): Promise<readonly Account[]> => {
    const facts = await sessions.facts(reading, { accounts: namable(ids) });
    return ids.map((id) => facts.account(id)).filter((account) => account !== undefined);
  };
  const transfers = async (reading: Reading, ids: readonly string[]): Promise<readonly Transfer[]> => {
    const facts = await sessions.facts(reading, { transfers: namable(ids) });
    return ids.map((id) => facts.transfer(id)).filter((transfer) => transfer !== undefined);
  };
  const account = async (reading: Reading, id: string) => (await accounts(reading, [id]))[0];
  return {
    lookupAccounts: accounts,
    lookupTransfers: transfers,
    account,
    transfer: async (reading: Reading, id: string) => (await transfers(reading, [id]))[0],
    async pending(reading: Reading, id: string): Promise<Pending | undefined> {
      return (await sessions.facts(reading, { transfers: namable([id]) })).pending(id);
    },
    async available(reading: Reading, id: string): Promise<bigint | undefined> {
      const found = await account(reading, id);
      return found && availableOf(found);
    },
  };
}

/** Queries ask the tables, so what is kept goes there first. */
function afterWriting(sessions: Sessions): Queries {
  const first =
    <Rest extends unknown[], T>(query: (reading: Reading, ...rest: Rest) => Promise<T>) =>
    async (reading: Reading, ...rest: Rest): Promise<T> => {
      await sessions.written(reading);
      return await query(reading, ...rest);
    };
  return {
    accounts: first(queries.accounts),
    transfers: first(queries.transfers),
    transfersUnder: first(queries.transfersUnder),
    queryAccounts: first(queries.queryAccounts),
    queryTransfers: first(queries.queryTransfers),
    accountTransfers: first(queries.accountTransfers),
    accountBalances: first(queries.accountBalances),
    totals: first(queries.totals),
  };
}

/** What the tables can be asked for: an id that they cannot hold names nothing. */
const namable = (ids: Iterable<string>): readonly string[] => [...new Set(ids)].filter(isWellFormed);

function ofAccounts(accounts: readonly NewAccount[]): Partial<Wanted> {
  assert(accounts.length <= BATCH_MAX, `a batch has at most ${BATCH_MAX}`);
  return { accounts: namable(accounts.map(({ id }) => id)), timestamps: timestampsOf(accounts) };
}

function ofTransfers(transfers: readonly NewTransfer[]): Partial<Wanted> {
  assert(transfers.length <= BATCH_MAX, `a batch has at most ${BATCH_MAX}`);
  const accounts = new Set<string>();
  const named = new Set<string>();
  for (const transfer of transfers) {
    named.add(transfer.id);
    if (isResolution(transfer)) named.add(transfer.pendingId);
    else accounts.add(transfer.debitAccount).add(transfer.creditAccount);
  }
  return { accounts: namable(accounts), transfers: namable(named), timestamps: timestampsOf(transfers) };
}

const timestampsOf = (events: readonly { readonly imported?: boolean; readonly timestampUs?: number }[]) =>
  events
    .filter(({ imported }) => imported === true)
    .map(({ timestampUs }) => timestampUs ?? 0)
    .filter((timestampUs) => Number.isSafeInteger(timestampUs));
