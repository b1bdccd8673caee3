/** Authorisation: the payment record of RM1 over the ledger, and the accounts that cards belong to. */
import { createHmac, createSecretKey } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import { toHex } from "../../../base/bytes.ts";
import type { Clock } from "../../../base/clock.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import type { Money } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { PreAuthorisedCode } from "../../../wire/authorisation.ts";
import type { CardData } from "../../../wire/card-data.ts";
import type { EntryOf } from "../../../wire/journal-entry.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { Account, Ledger } from "../ledger/index.ts";
import type { Acquiring } from "./acquiring.ts";
import type { Answer } from "./answers.ts";
import { applyDecision } from "./decision.ts";
import {
  type AdviceInput,
  applyReversal,
  applyVoid,
  type EntryInput,
  type EntryOutcome,
  type EntryParts,
} from "./entries.ts";
import { expireHolds } from "./expiry.ts";
import { abandonQuestion, type Concluding, concludeQuestion } from "./issuer-question.ts";
import { type CardRange, type CountCryptogram, type IssuedCard, issuedCard } from "./issuing.ts";
import type { Means } from "./means.ts";
import { ACCOUNT_CODES, createPostings, type Postings } from "./postings.ts";
import { confirmedPurchase, type Purchase } from "./purchase.ts";
import { type Decided, decideRequest, type OnlineInput } from "./request.ts";
import { type AuthorisationStore, createAuthorisationStore, type PaymentFilter, type PaymentKey } from "./store.ts";
import { type TransactionView, viewPayment } from "./view.ts";

export interface AuthorisationOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly ledger: Ledger;
  /** 32 bytes: keys this hub's card tokens. */
  readonly tokenKey: Uint8Array;
  readonly merchantId: string;
  /** Whose terminal it is, where this hub has several merchants. */
  readonly merchantOf?: EntryParts["merchantOf"];
  readonly confirmed?: NonNullable<EntryParts["confirmed"]>;
  readonly chargedBack?: EntryParts["chargedBack"];
  readonly termsOf?: EntryParts["termsOf"];
  readonly inOpenBatch?: EntryParts["inOpenBatch"];
  /** How long an approval holds the money without its confirmation. */
  readonly holdMs: number;
  readonly preAuthorisationMs?: number;
  readonly riskParties: EntryParts["riskParties"];
  readonly permitsDeferred: EntryParts["permitsDeferred"];
  readonly deferredMaxMs?: number;
  /** The cards that this hub issues itself; none when not said. */
  readonly issuing?: readonly CardRange[];
  readonly countCryptogram?: CountCryptogram;
  /** Asked at each request and advice, as features come into being after the core. */
  readonly means?: () => readonly Means[];
  readonly denies?: NonNullable<EntryParts["denies"]>;
  /** Cards of other institutions; absent where there are none. */
  readonly acquiring?: Acquiring;
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
  request(within: Within, input: OnlineInput): Promise<Decided>;
  /** The answer to a request that its issuer was asked about. */
  conclude(within: Within, concluding: Concluding): Promise<Answer>;
  /** A question that nobody waits for any more is taken back. */
  abandon(within: Within, key: PaymentKey, attempt: number): Promise<void>;
  advice(within: Within, input: AdviceInput): Promise<EntryOutcome>;
  reversal(within: Within, input: EntryInput<EntryOf<"reversal">>): Promise<EntryOutcome>;
  void(within: Within, input: EntryInput<EntryOf<"void">>): Promise<EntryOutcome>;
  /** For work on many entries at once, within one transaction: what it changes is written together at its end. */
  batched<T>(within: Within, work: () => Promise<T>): Promise<T>;
  /** Returns holds that were never confirmed, and those of pre-authorisations never completed; how many it was. */
  expireHolds(within: Within, limit: number): Promise<number>;
  /** The number is kept as a token only. */
  openAccount(within: Within, customer: NewCustomer): Promise<Result<AccountView, "card-has-an-account">>;
  account(reading: Reading, id: string): Promise<AccountView | undefined>;
  /** Whether there is such an account, and a customer's. */
  isCustomer(reading: Reading, id: string): Promise<boolean>;
  accounts(reading: Reading, page: { readonly after: string; readonly limit: number }): Promise<readonly AccountView[]>;
  transactions(reading: Reading, filter: PaymentFilter): Promise<readonly TransactionView[]>;
  /** What the ledger moved for a payment; undefined for one never heard of. */
  posted(reading: Reading, key: PaymentKey): Promise<Posted | undefined>;
  /** Undefined for what is no confirmed purchase. */
  purchase(reading: Reading, key: PaymentKey): Promise<Purchase | undefined>;
  /** Whether a payment of this terminal was ever heard of. */
  hasPayment(reading: Reading, terminalId: string): Promise<boolean>;
}

export type Posted = Pick<TransactionView, "status" | "postedMinor" | "postings">;

const ACCOUNT_ID_BYTES = 8;
const NOTHING_BESIDE_GOODS = { cashbackMaxMinor: 0, tipPercentMax: 0 };
const NOTHING_CHARGED_BACK = { minor: 0n, exposureMinor: 0n };

export function createAuthorisation(options: AuthorisationOptions): Authorisation {
  const { ledger, issuing = [], countCryptogram = () => {}, means = () => [] } = options;
  const { merchantOf = async () => options.merchantId, chargedBack = async () => NOTHING_CHARGED_BACK } = options;
  const { termsOf = async () => NOTHING_BESIDE_GOODS, inOpenBatch = async () => false } = options;
  const store = createAuthorisationStore();
  const postings = createPostings(ledger);
  // As a key object: Node tries raw bytes as each kind of key first, at many times the cost of the token.
  const tokenKey = createSecretKey(options.tokenKey);
  const codeHash = ({ userId, secureCode }: PreAuthorisedCode) =>
    createHmac("sha256", tokenKey).update(`code/${userId}/${secureCode}`).digest("hex");
  const tokenOf = (pan: string) => createHmac("sha256", tokenKey).update(pan).digest("hex");
  const merchantAccount: EntryParts["merchantAccount"] = async (within, { terminalId }, currency) =>
    postings.merchantAccount(within, await merchantOf(within, terminalId), currency);
  const merchants = { merchantOf, merchantAccount, chargedBack, termsOf, inOpenBatch };
  const shared = { ...options, ...merchants, store, postings, countCryptogram, means, codeHash };
  const partsOf = (within: Within): EntryParts => ({ ...shared, within });

  return {
    tokenOf,
    issued: (card) => issuedCard(issuing, card),
    request: (within, input) => decideRequest(partsOf(within), input),
    conclude: (within, concluding) => concludeQuestion(partsOf(within), concluding),
    abandon: (within, key, attempt) => abandonQuestion(partsOf(within), key, attempt),
    advice: (within, input) => applyDecision(partsOf(within), input),
    reversal: (within, input) => applyReversal(partsOf(within), input),
    void: (within, input) => applyVoid(partsOf(within), input),
    batched: (within, work) => ledger.batched(within, () => store.batched(within, work)),
    expireHolds: (within, limit) => expireHolds(partsOf(within), limit),
    ...accountsOf({ ...options, store, postings, tokenOf }),
    purchase: (reading, key) => confirmedPurchase(reading, shared, key),
    hasPayment: (reading, terminalId) => store.hasPayment(reading, terminalId),
    async posted(reading, key) {
      const payment = await store.payment(reading, key);
      return payment && (await viewPayment(reading, { store, postings }, payment));
    },
    async transactions(reading, filter) {
      const views: TransactionView[] = [];
      for (const payment of await store.payments(reading, filter))
        views.push(await viewPayment(reading, { store, postings }, payment));
      return views;
    },
  };
}

interface AccountParts extends Pick<AuthorisationOptions, "clock" | "random" | "ledger"> {
  readonly store: AuthorisationStore;
  readonly postings: Postings;
  tokenOf(pan: string): string;
}

/** Customers' accounts, each with the card that it belongs to. */
function accountsOf({
  clock,
  random,
  ledger,
  store,
  postings,
  tokenOf,
}: AccountParts): Pick<Authorisation, "openAccount" | "account" | "isCustomer" | "accounts"> {
  async function viewOf(reading: Reading, account: Account): Promise<AccountView> {
    const card = await store.cardOfAccount(reading, account.id);
    if (!card) return account;
    return { ...account, cardExpiry: card.expiry, ...(card.name === undefined ? {} : { name: card.name }) };
  }
  return {
    async openAccount(within, { pan, expiry, name, balance: { currency, minor } }) {
      const token = tokenOf(pan);
      if (await store.card(within, token)) return fail("card-has-an-account");
      const id = `customer:${toHex(random(ACCOUNT_ID_BYTES))}`;
      const [status] = await ledger.createAccounts(within, [
        { id, currency, code: ACCOUNT_CODES.customer, limit: "debits-must-not-exceed-credits" },
      ]);
      assert(status === "created", `a new account is ${status}`);
      await store.insertCard(
        within,
        { token, accountId: id, expiry, ...(name === undefined ? {} : { name }) },
        clock.now(),
      );
      if (minor > 0n) await postings.fund(within, { id, currency }, minor);
      const account = await ledger.account(within, id);
      assert(account !== undefined, "the account just made");
      return ok(await viewOf(within, account));
    },
    async account(reading, id) {
      const account = await ledger.account(reading, id);
      return account && (await viewOf(reading, account));
    },
    isCustomer: async (reading, id) => (await ledger.account(reading, id))?.code === ACCOUNT_CODES.customer,
    async accounts(reading, page) {
      const views: AccountView[] = [];
      for (const account of await ledger.accounts(reading, page)) views.push(await viewOf(reading, account));
      return views;
    },
  };
}
