/** Double entry: what may happen to accounts, decided in order of precedence and written in one database transaction. */
import { present } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Reading, Within } from "../../store/store.ts";
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
  createAccounts(within: Within, accounts: readonly NewAccount[]): Promise<readonly AccountStatus[]>;
  /**
   * For many transfers between few accounts: what changes is written together at its end. The caller undoes the transaction
   * if this throws.
   */
  batched<T>(within: Within, work: () => Promise<T>): Promise<T>;
  /** A chain of linked transfers succeeds or fails as one. */
  createTransfers(within: Within, transfers: readonly NewTransfer[]): Promise<readonly TransferStatus[]>;
  /** Returns what is held by pending transfers due by now, by void transfers of code `EXPIRY_CODE`. */
  expireDue(within: Within, limit: number): Promise<readonly string[]>;
  account(reading: Reading, id: string): Promise<Account | undefined>;
  transfer(reading: Reading, id: string): Promise<Transfer | undefined>;
  /** What the account can still spend under its limit; undefined for one without. */
  available(reading: Reading, id: string): Promise<bigint | undefined>;
  accounts(reading: Reading, page: { readonly after?: string; readonly limit: number }): Promise<readonly Account[]>;
  transfers(
    reading: Reading,
    page: { readonly afterNumber?: number; readonly limit: number },
  ): Promise<readonly Transfer[]>;
  transfersUnder(reading: Reading, prefix: string, limit: number): Promise<readonly Transfer[]>;
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

export function createLedger(clock: Clock): Ledger {
  const store = createLedgerStore();
  return {
    async createAccounts(within, accounts) {
      const statuses: AccountStatus[] = [];
      for (const account of accounts) statuses.push(await createAccount({ store, within }, account, clock.now()));
      return statuses;
    },
    batched: (within, work) => store.batched(within, work),
    async createTransfers(within, transfers) {
      const statuses: TransferStatus[] = [];
      for (const chain of chainsOf(transfers))
        statuses.push(...(await createChain({ store, within }, chain, clock.now())));
      return statuses;
    },
    expireDue: (within, limit) => expireDue({ store, within }, clock.now(), limit),
    account: (reading, id) => store.account(reading, id),
    transfer: (reading, id) => store.transfer(reading, id),
    async available(reading, id) {
      const account = await store.account(reading, id);
      return account && availableOf(account);
    },
    accounts: (reading, { after = "", limit }) => store.accounts(reading, after, limit),
    transfers: (reading, { afterNumber = 0, limit }) => store.transfers(reading, afterNumber, limit),
    transfersUnder: (reading, prefix, limit) => store.transfersUnder(reading, prefix, limit),
  };
}

interface Books {
  readonly store: LedgerStore;
  readonly within: Within;
}

async function createAccount({ store, within }: Books, account: NewAccount, at: number): Promise<AccountStatus> {
  if (account.id === "") return "id-must-not-be-empty";
  if (account.code === 0) return "code-must-not-be-zero";
  const known = await store.account(within, account.id);
  if (known) {
    if (known.limit !== account.limit) return "exists-with-different-limit";
    if (known.currency !== account.currency) return "exists-with-different-currency";
    return known.code === account.code ? "exists" : "exists-with-different-code";
  }
  await store.insertAccount(within, account, at);
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

async function createChain(
  books: Books,
  chain: readonly NewTransfer[],
  at: number,
): Promise<readonly TransferStatus[]> {
  const { store, within } = books;
  const last = present(chain.at(-1), "the end of a chain");
  if (last.linked)
    return chain.map((transfer) => (transfer === last ? "linked-event-chain-open" : "linked-event-failed"));
  if (chain.length === 1) {
    const status = await createTransfer(books, last, at);
    if (TRANSIENT_STATUSES.has(status)) await store.markFailed(within, last.id);
    return [status];
  }
  try {
    return await store.undoable(within, async () => {
      const statuses: TransferStatus[] = [];
      for (const [index, transfer] of chain.entries()) {
        const status = await createTransfer(books, transfer, at);
        if (status !== "created") throw new ChainFailed(index, status);
        statuses.push(status);
      }
      return statuses;
    });
  } catch (error) {
    if (!(error instanceof ChainFailed)) throw error;
    if (TRANSIENT_STATUSES.has(error.status))
      await store.markFailed(within, present(chain[error.at], "the failed transfer").id);
    return chain.map((_, index) => (index === error.at ? error.status : "linked-event-failed"));
  }
}

async function createTransfer(books: Books, transfer: NewTransfer, at: number): Promise<TransferStatus> {
  const { store, within } = books;
  if (transfer.id === "") return "id-must-not-be-empty";
  const known = await store.transfer(within, transfer.id);
  if (known) return compare(known, transfer);
  if (await store.hasFailed(within, transfer.id)) return "id-already-failed";
  if (transfer.code === 0) return "code-must-not-be-zero";
  if (transfer.kind === "post-pending" || transfer.kind === "void-pending") return await resolve(books, transfer, at);
  return await move(books, transfer, at);
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

async function move({ store, within }: Books, transfer: MoveTransfer, at: number): Promise<TransferStatus> {
  if (transfer.amount < 0n) return "amount-must-not-be-negative";
  if (transfer.amount > LEDGER_AMOUNT_MAX) return "amount-too-large";
  if (transfer.timeoutMs !== undefined && transfer.kind !== "pending") return "timeout-reserved-for-pending";
  if (transfer.debitAccount === transfer.creditAccount) return "accounts-must-be-different";
  const debit = await store.account(within, transfer.debitAccount);
  if (!debit) return "debit-account-not-found";
  const credit = await store.account(within, transfer.creditAccount);
  if (!credit) return "credit-account-not-found";
  if (debit.currency !== credit.currency) return "accounts-must-have-the-same-currency";
  const amount = transfer.balancingDebit ? smaller(transfer.amount, availableOf(debit)) : transfer.amount;
  const refusal = limitsRefuse(debit, credit, amount);
  if (refusal) return refusal;

  const pending = transfer.kind === "pending";
  await store.change(within, debit.id, { ...NO_CHANGE, [pending ? "debitsPending" : "debitsPosted"]: amount });
  await store.change(within, credit.id, { ...NO_CHANGE, [pending ? "creditsPending" : "creditsPosted"]: amount });
  await store.insertTransfer(within, { ...transfer, amount, requested: transfer.amount, createdAt: at });
  if (pending) {
    await store.insertPending(
      within,
      transfer.id,
      transfer.timeoutMs === undefined ? undefined : at + transfer.timeoutMs,
    );
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

async function resolve(
  { store, within }: Books,
  transfer: PostTransfer | VoidTransfer,
  at: number,
): Promise<TransferStatus> {
  if (transfer.pendingId === transfer.id) return "pending-id-must-be-different";
  const held = await store.transfer(within, transfer.pendingId);
  if (!held) return "pending-transfer-not-found";
  if (held.kind !== "pending") return "pending-transfer-not-pending";
  const amount = transfer.kind === "post-pending" ? (transfer.amount ?? held.amount) : held.amount;
  if (amount < 0n) return "amount-must-not-be-negative";
  if (amount > held.amount) return "exceeds-pending-transfer-amount";
  const state = await store.pendingState(within, held.id);
  if (state === "posted") return "pending-transfer-already-posted";
  if (state === "voided") return "pending-transfer-already-voided";
  if (state === "expired") return "pending-transfer-expired";

  const posted = transfer.kind === "post-pending" ? amount : 0n;
  await store.change(within, held.debitAccount, { ...NO_CHANGE, debitsPending: -held.amount, debitsPosted: posted });
  await store.change(within, held.creditAccount, { ...NO_CHANGE, creditsPending: -held.amount, creditsPosted: posted });
  await store.insertTransfer(within, {
    ...transfer,
    debitAccount: held.debitAccount,
    creditAccount: held.creditAccount,
    amount,
    ...(transfer.kind === "post-pending" && transfer.amount !== undefined ? { requested: transfer.amount } : {}),
    createdAt: at,
  });
  const expired = transfer.kind === "void-pending" && transfer.code === EXPIRY_CODE;
  await store.resolvePending(
    within,
    held.id,
    transfer.kind === "post-pending" ? "posted" : expired ? "expired" : "voided",
  );
  return "created";
}

async function expireDue(books: Books, now: number, limit: number): Promise<readonly string[]> {
  const expired: string[] = [];
  for (const pendingId of await books.store.due(books.within, now, limit)) {
    const sweep = { id: `${pendingId}/expired`, kind: "void-pending", pendingId, code: EXPIRY_CODE } as const;
    if ((await createTransfer(books, sweep, now)) === "created") expired.push(pendingId);
  }
  return expired;
}
