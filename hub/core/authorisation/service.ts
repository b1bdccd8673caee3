/** Authorisation: the payment record of RM1 over the ledger, and the accounts that cards belong to. */
import { createHmac, createSecretKey } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import { toHex } from "../../../base/bytes.ts";
import type { Clock } from "../../../base/clock.ts";
import type { PaymentId, RandomBytes, TerminalId } from "../../../base/ids.ts";
import type { Money } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import { type Sqlite, transaction } from "../../../base/sqlite.ts";
import type { PreAuthorisedCode } from "../../../wire/authorisation.ts";
import type { CardData } from "../../../wire/card-data.ts";
import type { EntryOf } from "../../../wire/journal-entry.ts";
import type { Account, Ledger } from "../ledger/index.ts";
import {
  type AdviceInput,
  applyAdvice,
  applyReversal,
  applyVoid,
  type EntryInput,
  type EntryOutcome,
  type EntryParts,
} from "./entries.ts";
import { type CardRange, type CountCryptogram, type IssuedCard, issuedCard } from "./issuing.ts";
import { type Means, settleMeans } from "./means.ts";
import { ACCOUNT_CODES, createPostings, readHoldId } from "./postings.ts";
import { type Decided, decideRequest, type OnlineInput } from "./request.ts";
import { createAuthorisationStore, type PaymentFilter, type PaymentKey } from "./store.ts";
import { type TransactionView, viewPayment } from "./view.ts";

export interface AuthorisationOptions {
  readonly database: Sqlite;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly ledger: Ledger;
  /** 32 bytes: keys this hub's card tokens. */
  readonly tokenKey: Uint8Array;
  readonly merchantId: string;
  /** How long an approval holds the money without its confirmation. */
  readonly holdMs: number;
  readonly riskParties: EntryParts["riskParties"];
  readonly permitsDeferred: EntryParts["permitsDeferred"];
  readonly deferredMaxMs?: number;
  /** The cards that this hub issues itself; none when not said. */
  readonly issuing?: readonly CardRange[];
  readonly countCryptogram?: CountCryptogram;
  /** Asked at each request and advice, as features come into being after the core. */
  readonly means?: () => readonly Means[];
  readonly denies?: NonNullable<EntryParts["denies"]>;
}

export interface NewCustomer {
  readonly pan: string;
  /** YYMM. */
  readonly expiry: string;
  readonly balance: Money;
  readonly name?: string | undefined;
}

export interface AccountView extends Account {
  readonly name?: string;
  readonly cardExpiry?: string;
}

export interface Authorisation {
  tokenOf(pan: string): string;
  /** Undefined for a card of another issuer. */
  issued(card: CardData): IssuedCard | undefined;
  request(input: OnlineInput): Decided;
  advice(input: AdviceInput): EntryOutcome;
  reversal(input: EntryInput<EntryOf<"reversal">>): EntryOutcome;
  void(input: EntryInput<EntryOf<"void">>): EntryOutcome;
  /** For work on many entries at once, within one transaction: what it changes is written together at its end. */
  batched<T>(work: () => T): T;
  /** Returns holds that were never confirmed; how many it was. */
  expireHolds(limit: number): number;
  /** The number is kept as a token only. */
  openAccount(customer: NewCustomer): Result<AccountView, "card-has-an-account">;
  account(id: string): AccountView | undefined;
  /** Whether there is such an account, and a customer's. */
  isCustomer(id: string): boolean;
  accounts(page: { readonly after: string; readonly limit: number }): readonly AccountView[];
  transactions(filter: PaymentFilter): readonly TransactionView[];
  /** What the ledger moved for a payment; undefined for one never heard of. */
  posted(key: PaymentKey): Posted | undefined;
}

export type Posted = Pick<TransactionView, "status" | "postedMinor" | "postings">;

const ACCOUNT_ID_BYTES = 8;

export function createAuthorisation(options: AuthorisationOptions): Authorisation {
  const { database, clock, ledger, random, issuing = [], countCryptogram = () => {}, means = () => [] } = options;
  const store = createAuthorisationStore(database);
  const postings = createPostings(ledger);
  const codeHash = ({ userId, secureCode }: PreAuthorisedCode) =>
    createHmac("sha256", tokenKey).update(`code/${userId}/${secureCode}`).digest("hex");
  const parts: EntryParts = { ...options, store, postings, countCryptogram, means, codeHash };
  // As a key object: Node tries raw bytes as each kind of key first, at many times the cost of the token.
  const tokenKey = createSecretKey(options.tokenKey);
  const tokenOf = (pan: string) => createHmac("sha256", tokenKey).update(pan).digest("hex");
  const accountView = (account: Account): AccountView => {
    const card = store.cardOfAccount(account.id);
    if (!card) return account;
    return { ...account, cardExpiry: card.expiry, ...(card.name === undefined ? {} : { name: card.name }) };
  };

  return {
    tokenOf,
    issued: (card) => issuedCard(issuing, card),
    request: (input) => decideRequest(parts, input),
    advice: (input) => applyAdvice(parts, input),
    reversal: (input) => applyReversal(parts, input),
    void: (input) => applyVoid(parts, input),
    batched: (work) => ledger.batched(() => store.batched(work)),

    expireHolds: (limit) =>
      transaction(database, () => {
        const expired = ledger.expireDue(limit);
        for (const id of expired) {
          const hold = readHoldId(id);
          if (!hold) continue;
          const key = { terminalId: hold.terminalId as TerminalId, paymentId: hold.paymentId as PaymentId };
          const payment = store.payment(key);
          if (!payment) continue;
          store.moveAttempt(payment.number, hold.attempt, "expired");
          settleMeans(means(), key, "released");
        }
        return expired.length;
      }),

    openAccount: (customer) =>
      transaction(database, () => {
        const token = tokenOf(customer.pan);
        if (store.card(token)) return fail("card-has-an-account");
        const { currency, minor } = customer.balance;
        const id = `customer:${toHex(random(ACCOUNT_ID_BYTES))}`;
        const [status] = ledger.createAccounts([
          { id, currency, code: ACCOUNT_CODES.customer, limit: "debits-must-not-exceed-credits" },
        ]);
        assert(status === "created", `a new account is ${status}`);
        const { expiry, name } = customer;
        store.insertCard({ token, accountId: id, expiry, ...(name === undefined ? {} : { name }) }, clock.now());
        if (minor > 0n) postings.fund({ id, currency }, minor);
        const account = ledger.account(id);
        assert(account !== undefined, "the account just made");
        return ok(accountView(account));
      }),

    account: (id) => {
      const account = ledger.account(id);
      return account && accountView(account);
    },
    isCustomer: (id) => ledger.account(id)?.code === ACCOUNT_CODES.customer,
    accounts: (page) => ledger.accounts(page).map(accountView),
    posted(key) {
      const payment = store.payment(key);
      return payment && viewPayment({ payment, store, transfers: postings.transfersOf(payment) });
    },
    transactions: (filter) =>
      store
        .payments(filter)
        .map((payment) => viewPayment({ payment, store, transfers: postings.transfersOf(payment) })),
  };
}
