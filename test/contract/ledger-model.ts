/**
 * The ledger as TigerBeetle's documentation tells it, with nothing in mind but to be read: every rule beside its status, in
 * the documented order. What the hub's ledger does is compared with this.
 */
import type {
  Account,
  AccountBalance,
  NewAccount,
  NewTransfer,
  PendingState,
  Transfer,
} from "../../hub/core/ledger/model.ts";
import type { AccountStatus, TransferStatus } from "../../hub/core/ledger/statuses.ts";
import { badCode, existing, firstOf, MAX, malformed, TRANSIENT } from "./ledger-model-rules.ts";

interface Held {
  state: PendingState;
  expiresAtMs: number | undefined;
}

interface State {
  accounts: Map<string, Account>;
  transfers: Map<string, Transfer>;
  held: Map<string, Held>;
  balances: AccountBalance[];
  taken: Set<number>;
  lastAccountUs: number;
  lastTransferUs: number;
  lastUs: number;
}

const copyOf = (state: State): State => ({
  ...state,
  accounts: new Map(state.accounts),
  transfers: new Map(state.transfers),
  held: new Map([...state.held].map(([id, held]) => [id, { ...held }])),
  balances: [...state.balances],
  taken: new Set(state.taken),
});

export class LedgerModel {
  state: State;
  readonly failed = new Set<string>();

  constructor() {
    this.state = {
      accounts: new Map(),
      transfers: new Map(),
      held: new Map(),
      balances: [],
      taken: new Set(),
      lastAccountUs: 0,
      lastTransferUs: 0,
      lastUs: 0,
    };
  }

  createAccounts(batch: readonly NewAccount[], nowMs: number): AccountStatus[] {
    return this.#batch<NewAccount, AccountStatus>(batch, nowMs, {
      one: (event, atUs) => this.#account(event, atUs),
      transient: () => false,
    });
  }

  createTransfers(batch: readonly NewTransfer[], nowMs: number): TransferStatus[] {
    return this.#batch<NewTransfer, TransferStatus>(batch, nowMs, {
      one: (event, atUs) => this.#transfer(event, atUs),
      transient: (status) => TRANSIENT.includes(status),
    });
  }

  expire(nowMs: number, limit: number): string[] {
    const due = [...this.state.held]
      .filter(([, { state, expiresAtMs }]) => state === "pending" && expiresAtMs !== undefined && expiresAtMs <= nowMs)
      .map(([id, held]) => ({ id, held, transfer: this.#transferOf(id) }))
      .sort(
        (a, b) =>
          (a.held.expiresAtMs ?? 0) - (b.held.expiresAtMs ?? 0) || a.transfer.timestampUs - b.transfer.timestampUs,
      )
      .slice(0, limit);
    for (const { held, transfer } of due) {
      held.state = "expired";
      const atUs = Math.max(nowMs * 1_000, this.state.lastUs + 1);
      this.#return(transfer, { posted: 0n, atUs });
      this.#took(atUs);
    }
    return due.map(({ id }) => id);
  }

  #batch<Event extends NewAccount | NewTransfer, Status extends string>(
    batch: readonly Event[],
    nowMs: number,
    { one, transient }: { one: (event: Event, atUs: number) => Status; transient: (status: Status) => boolean },
  ): Status[] {
    const statuses: string[] = [];
    const batchUs = Math.max(nowMs * 1_000, this.state.lastUs + 1);
    let chain: { start: number; before: State; broken: boolean } | undefined;
    for (const [index, event] of batch.entries()) {
      if (event.linked && !chain) chain = { start: index, before: copyOf(this.state), broken: false };
      const isImported = event.imported === true;
      const timestamp = event.timestampUs;
      const ruled = firstOf<string>([
        ["linked-event-chain-open", () => event.linked === true && index === batch.length - 1],
        ["linked-event-failed", () => chain?.broken === true],
        ["imported-event-expected", () => batch[0]?.imported === true && !isImported],
        ["imported-event-not-expected", () => batch[0]?.imported !== true && isImported],
        ["timestamp-must-be-absent", () => !isImported && timestamp !== undefined],
        [
          "imported-event-timestamp-out-of-range",
          () => isImported && !(Number.isSafeInteger(timestamp) && Number(timestamp) > 0),
        ],
        ["imported-event-timestamp-must-not-advance", () => isImported && Number(timestamp) >= batchUs],
      ]);
      const atUs = timestamp ?? Math.max(nowMs * 1_000, this.state.lastUs + 1);
      const status = ruled ?? one(event, atUs);
      statuses.push(status);
      if (status !== "created") {
        if (chain && !chain.broken) {
          this.state = chain.before;
          statuses.fill("linked-event-failed", chain.start, index);
          chain.broken = true;
        }
        if (transient(status as Status)) this.failed.add(event.id);
      }
      if (!event.linked) chain = undefined;
    }
    return statuses as Status[];
  }

  #account(account: NewAccount, atUs: number): AccountStatus {
    const { id, code, currency, reference = "" } = account;
    const known = this.state.accounts.get(id);
    const flags = (of: NewAccount) => JSON.stringify([of.limit, !!of.linked, !!of.history, !!of.imported, !!of.closed]);
    const refused = firstOf<AccountStatus>([
      ["id-must-not-be-empty", () => id === ""],
      ["id-malformed", () => malformed(id)],
      ["exists-with-different-flags", () => known !== undefined && flags(known) !== flags(account)],
      ["exists-with-different-reference", () => known !== undefined && (known.reference ?? "") !== reference],
      ["exists-with-different-currency", () => known !== undefined && known.currency !== currency],
      ["exists-with-different-code", () => known !== undefined && known.code !== code],
      ["exists", () => known !== undefined],
      ["field-out-of-range", () => badCode(code) || malformed(reference) || malformed(currency)],
      ["currency-must-not-be-empty", () => currency === ""],
      ["code-must-not-be-zero", () => code === 0],
      [
        "imported-event-timestamp-must-not-regress",
        () => account.imported === true && (atUs <= this.state.lastAccountUs || this.state.taken.has(atUs)),
      ],
    ]);
    if (refused) return refused;
    const zero = { debitsPending: 0n, debitsPosted: 0n, creditsPending: 0n, creditsPosted: 0n };
    this.state.accounts.set(id, { ...account, ...zero, timestampUs: atUs });
    this.state.lastAccountUs = Math.max(this.state.lastAccountUs, atUs);
    this.#took(atUs);
    return "created";
  }

  #transfer(transfer: NewTransfer, atUs: number): TransferStatus {
    const { id, amount = 0n, code = 0, timeoutMs = 0, reference = "", currency = "" } = transfer;
    const known = this.state.transfers.get(id);
    return (
      firstOf<TransferStatus>([
        ["id-must-not-be-empty", () => id === ""],
        ["id-malformed", () => malformed(id)],
      ]) ??
      (known ? existing(known, transfer, this.state.transfers.get(transfer.pendingId ?? "")) : undefined) ??
      firstOf<TransferStatus>([
        ["id-already-failed", () => this.failed.has(id)],
        [
          "field-out-of-range",
          () =>
            amount < 0n ||
            amount > MAX ||
            badCode(code) ||
            !Number.isSafeInteger(timeoutMs) ||
            timeoutMs < 0 ||
            malformed(reference) ||
            malformed(currency),
        ],
      ]) ??
      (transfer.kind === "single" || transfer.kind === "pending"
        ? this.#move(transfer, atUs)
        : this.#resolve(transfer, atUs))
    );
  }

  #move(transfer: NewTransfer, atUs: number): TransferStatus {
    const { kind, debitAccount = "", creditAccount = "", timeoutMs = 0 } = transfer;
    const debit = this.state.accounts.get(debitAccount);
    const credit = this.state.accounts.get(creditAccount);
    const [dp, dd] = [debit?.debitsPending ?? 0n, debit?.debitsPosted ?? 0n];
    const [cp, cc] = [credit?.creditsPending ?? 0n, credit?.creditsPosted ?? 0n];
    let amount = transfer.amount ?? 0n;
    const least = (a: bigint, b: bigint) => (a < b ? a : b);
    const notBelowZero = (a: bigint) => (a < 0n ? 0n : a);
    if (transfer.balancingDebit) amount = least(amount, notBelowZero((debit?.creditsPosted ?? 0n) - dd - dp));
    if (transfer.balancingCredit) amount = least(amount, notBelowZero((credit?.debitsPosted ?? 0n) - cc - cp));
    const pending = kind === "pending";
    const imported = transfer.imported === true;
    const refused = firstOf<TransferStatus>([
      ["debit-account-must-not-be-empty", () => debitAccount === ""],
      ["debit-account-malformed", () => malformed(debitAccount)],
      ["credit-account-must-not-be-empty", () => creditAccount === ""],
      ["credit-account-malformed", () => malformed(creditAccount)],
      ["accounts-must-be-different", () => debitAccount === creditAccount],
      ["pending-id-must-be-absent", () => transfer.pendingId !== undefined],
      ["timeout-reserved-for-pending", () => !pending && timeoutMs !== 0],
      ["closing-transfer-must-be-pending", () => !pending && (!!transfer.closingDebit || !!transfer.closingCredit)],
      ["currency-must-not-be-empty", () => transfer.currency === ""],
      ["code-must-not-be-zero", () => transfer.code === 0],
      ["debit-account-not-found", () => !debit],
      ["credit-account-not-found", () => !credit],
      ["accounts-must-have-the-same-currency", () => debit?.currency !== credit?.currency],
      [
        "transfer-must-have-the-same-currency-as-accounts",
        () => transfer.currency !== undefined && transfer.currency !== debit?.currency,
      ],
      [
        "imported-event-timestamp-must-not-regress",
        () => imported && (atUs <= this.state.lastTransferUs || this.state.taken.has(atUs)),
      ],
      ["imported-event-timestamp-must-postdate-debit-account", () => imported && atUs <= (debit?.timestampUs ?? 0)],
      ["imported-event-timestamp-must-postdate-credit-account", () => imported && atUs <= (credit?.timestampUs ?? 0)],
      ["imported-event-timeout-must-be-absent", () => imported && timeoutMs !== 0],
      ["debit-account-already-closed", () => debit?.closed === true],
      ["credit-account-already-closed", () => credit?.closed === true],
      ["overflows-debits-pending", () => pending && dp + amount > MAX],
      ["overflows-credits-pending", () => pending && cp + amount > MAX],
      ["overflows-debits-posted", () => dd + amount > MAX],
      ["overflows-credits-posted", () => cc + amount > MAX],
      ["overflows-debits", () => dp + dd + amount > MAX],
      ["overflows-credits", () => cp + cc + amount > MAX],
      ["overflows-timeout", () => Math.floor(atUs / 1_000) + timeoutMs > Number.MAX_SAFE_INTEGER],
      [
        "exceeds-credits",
        () => debit?.limit === "debits-must-not-exceed-credits" && dp + dd + amount > debit.creditsPosted,
      ],
      [
        "exceeds-debits",
        () => credit?.limit === "credits-must-not-exceed-debits" && cp + cc + amount > credit.debitsPosted,
      ],
    ]);
    if (refused || !debit || !credit) return refused ?? "debit-account-not-found";
    this.state.transfers.set(transfer.id, {
      ...transfer,
      debitAccount,
      creditAccount,
      amount,
      code: transfer.code ?? 0,
      currency: debit.currency,
      timestampUs: atUs,
    });
    this.#set(
      pending
        ? { ...debit, debitsPending: dp + amount, ...(transfer.closingDebit ? { closed: true } : {}) }
        : { ...debit, debitsPosted: dd + amount },
      atUs,
    );
    this.#set(
      pending
        ? { ...credit, creditsPending: cp + amount, ...(transfer.closingCredit ? { closed: true } : {}) }
        : { ...credit, creditsPosted: cc + amount },
      atUs,
    );
    const expiresAtMs = timeoutMs === 0 ? undefined : Math.floor(atUs / 1_000) + timeoutMs;
    if (pending) this.state.held.set(transfer.id, { state: "pending", expiresAtMs });
    this.state.lastTransferUs = atUs;
    this.#took(atUs);
    return "created";
  }

  #resolve(transfer: NewTransfer, atUs: number): TransferStatus {
    const { id, pendingId = "", code = 0, debitAccount, creditAccount, currency } = transfer;
    const p = this.state.transfers.get(pendingId);
    const held = this.state.held.get(pendingId);
    const post = transfer.kind === "post-pending";
    const all = p?.amount ?? 0n;
    const asked = transfer.amount ?? (post ? MAX : 0n);
    const amount = asked === (post ? MAX : 0n) ? all : asked;
    const closed = (account: string | undefined) => this.state.accounts.get(account ?? "")?.closed === true;
    const refused = firstOf<TransferStatus>([
      [
        "flags-are-mutually-exclusive",
        () =>
          !!transfer.balancingDebit ||
          !!transfer.balancingCredit ||
          !!transfer.closingDebit ||
          !!transfer.closingCredit,
      ],
      ["pending-id-must-not-be-empty", () => pendingId === ""],
      ["pending-id-malformed", () => malformed(pendingId)],
      ["pending-id-must-be-different", () => pendingId === id],
      ["timeout-reserved-for-pending", () => (transfer.timeoutMs ?? 0) !== 0],
      ["pending-transfer-not-found", () => !p],
      ["pending-transfer-not-pending", () => p?.kind !== "pending"],
      [
        "pending-transfer-has-different-debit-account",
        () => debitAccount !== undefined && debitAccount !== p?.debitAccount,
      ],
      [
        "pending-transfer-has-different-credit-account",
        () => creditAccount !== undefined && creditAccount !== p?.creditAccount,
      ],
      ["pending-transfer-has-different-currency", () => currency !== undefined && currency !== p?.currency],
      ["pending-transfer-has-different-code", () => code !== 0 && code !== p?.code],
      ["exceeds-pending-transfer-amount", () => amount > all],
      ["pending-transfer-has-different-amount", () => !post && amount < all],
      ["pending-transfer-already-posted", () => held?.state === "posted"],
      ["pending-transfer-already-voided", () => held?.state === "voided"],
      [
        "pending-transfer-expired",
        () => held?.state === "expired" || (held?.expiresAtMs !== undefined && held.expiresAtMs * 1_000 <= atUs),
      ],
      [
        "imported-event-timestamp-must-not-regress",
        () => transfer.imported === true && (atUs <= this.state.lastTransferUs || this.state.taken.has(atUs)),
      ],
      ["debit-account-already-closed", () => post && closed(p?.debitAccount)],
      ["credit-account-already-closed", () => post && closed(p?.creditAccount)],
    ]);
    if (refused || !p || !held) return refused ?? "pending-transfer-not-found";
    held.state = post ? "posted" : "voided";
    const { currency: _, reference, ...own } = transfer;
    this.state.transfers.set(id, {
      ...own,
      debitAccount: p.debitAccount,
      creditAccount: p.creditAccount,
      amount,
      code: p.code,
      currency: p.currency,
      ...((reference || p.reference) === undefined ? {} : { reference: reference || (p.reference ?? "") }),
      timestampUs: atUs,
    });
    this.#return(p, { posted: post ? amount : 0n, atUs });
    this.state.lastTransferUs = atUs;
    this.#took(atUs);
    return "created";
  }

  #return(p: Transfer, { posted, atUs }: { posted: bigint; atUs: number }): void {
    const debit = this.#accountOf(p.debitAccount);
    const credit = this.#accountOf(p.creditAccount);
    this.#set(
      {
        ...debit,
        debitsPending: debit.debitsPending - p.amount,
        debitsPosted: debit.debitsPosted + posted,
        ...(p.closingDebit ? { closed: false } : {}),
      },
      atUs,
    );
    this.#set(
      {
        ...credit,
        creditsPending: credit.creditsPending - p.amount,
        creditsPosted: credit.creditsPosted + posted,
        ...(p.closingCredit ? { closed: false } : {}),
      },
      atUs,
    );
  }

  #accountOf(id: string): Account {
    const account = this.state.accounts.get(id);
    if (!account) throw new Error(`the model has no account ${id}`);
    return account;
  }

  #transferOf(id: string): Transfer {
    const transfer = this.state.transfers.get(id);
    if (!transfer) throw new Error(`the model has no transfer ${id}`);
    return transfer;
  }

  #set(account: Account, atUs: number): void {
    this.state.accounts.set(account.id, account);
    const { id, history, debitsPending, debitsPosted, creditsPending, creditsPosted } = account;
    if (!history) return;
    this.state.balances.push({
      account: id,
      timestampUs: atUs,
      debitsPending,
      debitsPosted,
      creditsPending,
      creditsPosted,
    });
  }

  #took(atUs: number): void {
    this.state.taken.add(atUs);
    this.state.lastUs = Math.max(this.state.lastUs, atUs);
  }
}
