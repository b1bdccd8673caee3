/** The ledger as far as it is in memory: what was loaded, and drafts of changes that lie over it or over one another. */
import type { Account, AccountBalance, Pending, Transfer } from "./model.ts";

/** What deciding needs to know. Nothing is known of ids that were not asked for when the tables were read. */
export interface Facts {
  account(id: string): Account | undefined;
  transfer(id: string): Transfer | undefined;
  pending(id: string): Pending | undefined;
  hasFailed(id: string): boolean;
  /** Whether an account, a transfer or an expiry has this timestamp. */
  isTaken(timestampUs: number): boolean;
  readonly times: Times;
}

/** The newest timestamps there are; 0 for none. */
export interface Times {
  readonly accountUs: number;
  readonly transferUs: number;
  readonly expiryUs: number;
}

export const newestOf = ({ accountUs, transferUs, expiryUs }: Times): number =>
  Math.max(accountUs, transferUs, expiryUs);

/** What was read from the tables; an id with nothing behind it is there as undefined, so that it is not read again. */
export class Loaded implements Facts {
  readonly accounts = new Map<string, Account | undefined>();
  readonly transfers = new Map<string, Transfer | undefined>();
  readonly pendings = new Map<string, Pending>();
  readonly failed = new Set<string>();
  readonly taken = new Set<number>();
  times: Times = { accountUs: 0, transferUs: 0, expiryUs: 0 };

  account = (id: string): Account | undefined => this.accounts.get(id);
  transfer = (id: string): Transfer | undefined => this.transfers.get(id);
  pending = (id: string): Pending | undefined => this.pendings.get(id);
  hasFailed = (id: string): boolean => this.failed.has(id);
  isTaken = (timestampUs: number): boolean => this.taken.has(timestampUs);
}

/** Changes that are decided and not written. Dropping it undoes them. */
export class Draft implements Facts {
  readonly #below: Facts;
  readonly #taken = new Set<number>();
  /** New ones and changed ones. */
  readonly accounts = new Map<string, Account>();
  readonly newAccounts = new Set<string>();
  readonly transfers = new Map<string, Transfer>();
  /** New ones and resolved ones. */
  readonly pendings = new Map<string, Pending>();
  readonly newPendings = new Set<string>();
  readonly failed = new Set<string>();
  readonly balances: AccountBalance[] = [];
  times: Times;

  constructor(below: Facts) {
    this.#below = below;
    this.times = below.times;
  }

  account = (id: string): Account | undefined => this.accounts.get(id) ?? this.#below.account(id);
  transfer = (id: string): Transfer | undefined => this.transfers.get(id) ?? this.#below.transfer(id);
  pending = (id: string): Pending | undefined => this.pendings.get(id) ?? this.#below.pending(id);
  hasFailed = (id: string): boolean => this.failed.has(id) || this.#below.hasFailed(id);

  isTaken = (timestampUs: number): boolean => this.#taken.has(timestampUs) || this.#below.isTaken(timestampUs);

  /** Whether nothing of the account changed but what was posted. */
  isOnlyPosted(account: Account): boolean {
    const before = this.#below.account(account.id);
    return (
      before !== undefined &&
      before.debitsPending === account.debitsPending &&
      before.creditsPending === account.creditsPending &&
      before.closed === account.closed
    );
  }

  addAccount(account: Account): void {
    this.accounts.set(account.id, account);
    this.newAccounts.add(account.id);
    this.#taken.add(account.timestampUs);
    this.times = { ...this.times, accountUs: Math.max(this.times.accountUs, account.timestampUs) };
  }

  /** The two accounts as they are after it. Transfers come in the order of their timestamps, imported ones too. */
  addTransfer(transfer: Transfer, debit: Account, credit: Account): void {
    this.transfers.set(transfer.id, transfer);
    this.#taken.add(transfer.timestampUs);
    const { accountUs, expiryUs } = this.times;
    this.times = { accountUs, transferUs: transfer.timestampUs, expiryUs };
    this.changeAccount(debit, transfer.timestampUs);
    this.changeAccount(credit, transfer.timestampUs);
  }

  changeAccount(account: Account, timestampUs: number): void {
    this.accounts.set(account.id, account);
    if (account.history !== true) return;
    const { id, debitsPending, debitsPosted, creditsPending, creditsPosted } = account;
    this.balances.push({ account: id, timestampUs, debitsPending, debitsPosted, creditsPending, creditsPosted });
  }

  addPending(pending: Pending): void {
    this.pendings.set(pending.transferId, pending);
    this.newPendings.add(pending.transferId);
  }

  resolvePending(pending: Pending): void {
    this.pendings.set(pending.transferId, pending);
    if (pending.expiredUs === undefined) return;
    this.#taken.add(pending.expiredUs);
    this.times = { ...this.times, expiryUs: pending.expiredUs };
  }

  /** Takes over what was decided above this. */
  merge(above: Draft): void {
    for (const [id, account] of above.accounts) this.accounts.set(id, account);
    for (const id of above.newAccounts) this.newAccounts.add(id);
    for (const [id, transfer] of above.transfers) this.transfers.set(id, transfer);
    for (const [id, pending] of above.pendings) this.pendings.set(id, pending);
    for (const id of above.newPendings) this.newPendings.add(id);
    for (const id of above.failed) this.failed.add(id);
    for (const balance of above.balances) this.balances.push(balance);
    for (const timestampUs of above.#taken) this.#taken.add(timestampUs);
    this.times = above.times;
  }

  /** After it was written: the same facts from now on, and nothing to write. */
  settle(loaded: Loaded): void {
    for (const [id, account] of this.accounts) loaded.accounts.set(id, account);
    for (const [id, transfer] of this.transfers) loaded.transfers.set(id, transfer);
    for (const [id, pending] of this.pendings) loaded.pendings.set(id, pending);
    for (const id of this.failed) loaded.failed.add(id);
    for (const timestampUs of this.#taken) loaded.taken.add(timestampUs);
    loaded.times = this.times;
  }
}
