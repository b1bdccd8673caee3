/** Double entry: what may happen to accounts, decided in order of precedence and written in one database transaction. */
import { present } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import { type BalanceChange, createLedgerStore, type LedgerStore } from "./store.ts";
import {
  type Account,
  type AccountStatus,
  LEDGER_AMOUNT_MAX,
  type MoveTransfer,
  type NewAccount,
  type NewTransfer,
  type PostTransfer,
  TRANSIENT_STATUSES,
  type Transfer,
  type TransferStatus,
  type VoidTransfer,
} from "./types.ts";

export interface Ledger {
  createAccounts(accounts: readonly NewAccount[]): readonly AccountStatus[];
  /**
   * For many transfers between few accounts: what changes is written together at its end. Within a transaction that the
   * caller undoes if this throws.
   */
  batched<T>(work: () => T): T;
  /** All in one database transaction, the caller's where there is one; a chain of linked transfers succeeds or fails as one. */
  createTransfers(transfers: readonly NewTransfer[]): readonly TransferStatus[];
  /** Returns what is held by pending transfers due by now, by void transfers of code `EXPIRY_CODE`. */
  expireDue(limit: number): readonly string[];
  account(id: string): Account | undefined;
  transfer(id: string): Transfer | undefined;
  /** What the account can still spend under its limit; undefined for one without. */
  available(id: string): bigint | undefined;
  accounts(page: { readonly after?: string; readonly limit: number }): readonly Account[];
  transfers(page: { readonly afterNumber?: number; readonly limit: number }): readonly Transfer[];
  transfersUnder(prefix: string, limit: number): readonly Transfer[];
}

/** The code of the void that the sweep writes; nobody else uses it. */
export const EXPIRY_CODE = 90;
const NO_CHANGE: BalanceChange = { debitsPending: 0n, debitsPosted: 0n, creditsPending: 0n, creditsPosted: 0n };

class ChainFailed extends Error {
  readonly at: number;
  readonly status: TransferStatus;
  constructor(at: number, status: TransferStatus) {
    super("a linked transfer failed");
    this.at = at;
    this.status = status;
  }
}

export function createLedger(database: Sqlite, clock: Clock): Ledger {
  const store = createLedgerStore(database);
  return {
    createAccounts: (accounts) =>
      within(database, () => accounts.map((account) => createAccount(store, account, clock.now()))),
    batched: (work) => store.batched(work),
    createTransfers: (transfers) =>
      within(database, () => chainsOf(transfers).flatMap((chain) => createChain(store, chain, clock.now()))),
    expireDue: (limit) => transaction(database, () => expireDue(store, clock.now(), limit)),
    account: (id) => store.account(id),
    transfer: (id) => store.transfer(id),
    available: (id) => {
      const account = store.account(id);
      return account && availableOf(account);
    },
    accounts: ({ after = "", limit }) => store.accounts(after, limit),
    transfers: ({ afterNumber = 0, limit }) => store.transfers(afterNumber, limit),
    transfersUnder: (prefix, limit) => store.transfersUnder(prefix, limit),
  };
}

/** A savepoint for each transfer would cost more than the transfer: whoever began the transaction undoes all of it. */
const within = <T>(database: Sqlite, work: () => T): T =>
  database.inTransaction ? work() : transaction(database, work);

function createAccount(store: LedgerStore, account: NewAccount, at: number): AccountStatus {
  if (account.id === "") return "id-must-not-be-empty";
  if (account.code === 0) return "code-must-not-be-zero";
  const known = store.account(account.id);
  if (known) {
    if (known.limit !== account.limit) return "exists-with-different-limit";
    if (known.currency !== account.currency) return "exists-with-different-currency";
    return known.code === account.code ? "exists" : "exists-with-different-code";
  }
  store.insertAccount(account, at);
  return "created";
}

/** Linked transfers and the one that ends their chain. */
function chainsOf(transfers: readonly NewTransfer[]): readonly (readonly NewTransfer[])[] {
  const chains: NewTransfer[][] = [];
  let open: NewTransfer[] | undefined;
  for (const transfer of transfers) {
    if (open) open.push(transfer);
    else {
      open = [transfer];
      chains.push(open);
    }
    if (!transfer.linked) open = undefined;
  }
  return chains;
}

function createChain(store: LedgerStore, chain: readonly NewTransfer[], at: number): readonly TransferStatus[] {
  const last = present(chain.at(-1), "the end of a chain");
  if (last.linked)
    return chain.map((transfer) => (transfer === last ? "linked-event-chain-open" : "linked-event-failed"));
  if (chain.length === 1) {
    const status = createTransfer(store, last, at);
    if (TRANSIENT_STATUSES.has(status)) store.markFailed(last.id);
    return [status];
  }
  try {
    return store.undoable(() =>
      chain.map((transfer, index) => {
        const status = createTransfer(store, transfer, at);
        if (status !== "created") throw new ChainFailed(index, status);
        return status;
      }),
    );
  } catch (error) {
    if (!(error instanceof ChainFailed)) throw error;
    if (TRANSIENT_STATUSES.has(error.status)) store.markFailed(present(chain[error.at], "the failed transfer").id);
    return chain.map((_, index) => (index === error.at ? error.status : "linked-event-failed"));
  }
}

function createTransfer(store: LedgerStore, transfer: NewTransfer, at: number): TransferStatus {
  if (transfer.id === "") return "id-must-not-be-empty";
  const known = store.transfer(transfer.id);
  if (known) return compare(known, transfer);
  if (store.hasFailed(transfer.id)) return "id-already-failed";
  if (transfer.code === 0) return "code-must-not-be-zero";
  if (transfer.kind === "post-pending" || transfer.kind === "void-pending") return resolve(store, transfer, at);
  return move(store, transfer, at);
}

function compare(known: Transfer, again: NewTransfer): TransferStatus {
  if (known.kind !== again.kind) return "exists-with-different-kind";
  if (again.kind === "post-pending" || again.kind === "void-pending") {
    if (known.pendingId !== again.pendingId) return "exists-with-different-pending-id";
    const amount = again.kind === "post-pending" ? again.amount : undefined;
    if (amount !== undefined && amount !== known.amount) return "exists-with-different-amount";
  } else {
    if (known.timeoutMs !== again.timeoutMs) return "exists-with-different-timeout";
    if (known.debitAccount !== again.debitAccount) return "exists-with-different-debit-account";
    if (known.creditAccount !== again.creditAccount) return "exists-with-different-credit-account";
    if (known.requested !== again.amount) return "exists-with-different-amount";
  }
  if (known.code !== again.code) return "exists-with-different-code";
  const balancing = again.kind === "single" || again.kind === "pending" ? again.balancingDebit : undefined;
  if (known.linked !== again.linked || known.balancingDebit !== balancing) return "exists-with-different-flags";
  return "exists";
}

function move(store: LedgerStore, transfer: MoveTransfer, at: number): TransferStatus {
  if (transfer.amount < 0n) return "amount-must-not-be-negative";
  if (transfer.amount > LEDGER_AMOUNT_MAX) return "amount-too-large";
  if (transfer.timeoutMs !== undefined && transfer.kind !== "pending") return "timeout-reserved-for-pending";
  if (transfer.debitAccount === transfer.creditAccount) return "accounts-must-be-different";
  const debit = store.account(transfer.debitAccount);
  if (!debit) return "debit-account-not-found";
  const credit = store.account(transfer.creditAccount);
  if (!credit) return "credit-account-not-found";
  if (debit.currency !== credit.currency) return "accounts-must-have-the-same-currency";
  const amount = transfer.balancingDebit ? smaller(transfer.amount, availableOf(debit)) : transfer.amount;
  const refusal = limitsRefuse(debit, credit, amount);
  if (refusal) return refusal;

  const pending = transfer.kind === "pending";
  store.change(debit.id, { ...NO_CHANGE, [pending ? "debitsPending" : "debitsPosted"]: amount });
  store.change(credit.id, { ...NO_CHANGE, [pending ? "creditsPending" : "creditsPosted"]: amount });
  store.insertTransfer({ ...transfer, amount, requested: transfer.amount, createdAt: at });
  if (pending) {
    store.insertPending(transfer.id, transfer.timeoutMs === undefined ? undefined : at + transfer.timeoutMs);
  }
  return "created";
}

function limitsRefuse(debit: Account, credit: Account, amount: bigint): TransferStatus | undefined {
  if (debit.debitsPosted + debit.debitsPending + amount > LEDGER_AMOUNT_MAX) return "overflows";
  if (credit.creditsPosted + credit.creditsPending + amount > LEDGER_AMOUNT_MAX) return "overflows";
  const spendable = availableOf(debit);
  if (debit.limit === "debits-must-not-exceed-credits" && spendable !== undefined && amount > spendable)
    return "exceeds-credits";
  const room = availableOf(credit);
  if (credit.limit === "credits-must-not-exceed-debits" && room !== undefined && amount > room) return "exceeds-debits";
  return undefined;
}

/** Pending sums count against the limit, so that what is held cannot be spent twice. */
function availableOf(account: Account): bigint | undefined {
  switch (account.limit) {
    case "none":
      return undefined;
    case "debits-must-not-exceed-credits":
      return account.creditsPosted - account.debitsPosted - account.debitsPending;
    case "credits-must-not-exceed-debits":
      return account.debitsPosted - account.creditsPosted - account.creditsPending;
  }
}

const smaller = (a: bigint, b: bigint | undefined): bigint => (b === undefined || a < b ? a : b);

function resolve(store: LedgerStore, transfer: PostTransfer | VoidTransfer, at: number): TransferStatus {
  if (transfer.pendingId === transfer.id) return "pending-id-must-be-different";
  const held = store.transfer(transfer.pendingId);
  if (!held) return "pending-transfer-not-found";
  if (held.kind !== "pending") return "pending-transfer-not-pending";
  const amount = transfer.kind === "post-pending" ? (transfer.amount ?? held.amount) : held.amount;
  if (amount < 0n) return "amount-must-not-be-negative";
  if (amount > held.amount) return "exceeds-pending-transfer-amount";
  const state = store.pendingState(held.id);
  if (state === "posted") return "pending-transfer-already-posted";
  if (state === "voided") return "pending-transfer-already-voided";
  if (state === "expired") return "pending-transfer-expired";

  const posted = transfer.kind === "post-pending" ? amount : 0n;
  store.change(held.debitAccount, { ...NO_CHANGE, debitsPending: -held.amount, debitsPosted: posted });
  store.change(held.creditAccount, { ...NO_CHANGE, creditsPending: -held.amount, creditsPosted: posted });
  store.insertTransfer({
    ...transfer,
    debitAccount: held.debitAccount,
    creditAccount: held.creditAccount,
    amount,
    ...(transfer.kind === "post-pending" && transfer.amount !== undefined ? { requested: transfer.amount } : {}),
    createdAt: at,
  });
  const expired = transfer.kind === "void-pending" && transfer.code === EXPIRY_CODE;
  store.resolvePending(held.id, transfer.kind === "post-pending" ? "posted" : expired ? "expired" : "voided");
  return "created";
}

function expireDue(store: LedgerStore, now: number, limit: number): readonly string[] {
  return store.due(now, limit).filter((pendingId) => {
    const sweep = { id: `${pendingId}/expired`, kind: "void-pending", pendingId, code: EXPIRY_CODE } as const;
    return createTransfer(store, sweep, now) === "created";
  });
}
