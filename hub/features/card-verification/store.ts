/** All SQL of card verification. */
import { type Reading, sql, type Within } from "../../store/store.ts";

export interface CardRow {
  readonly cardId: string;
  readonly accountId: string;
  /** Data key and MAC key under the hub's own seal. */
  readonly sealedKeys: Uint8Array;
  /** The un-encrypted card data under the hub's own seal. */
  readonly sealedData: Uint8Array;
  /** Failures of process 1 or 2 since the last success. */
  readonly failures: number;
  readonly blockedAt: number | null;
  readonly createdAt: number;
}

/** A type, not an interface: only that may be given to a statement by its names. */
export type TransactionKey = { readonly terminalId: string; readonly txnId: string };

export interface TransactionRow extends TransactionKey {
  readonly number: number;
  readonly minor: number;
  readonly currency: string;
  readonly payeeAccount: string;
  readonly cardId: string;
  readonly state: "open" | "approved" | "declined";
  readonly challengeId: string | null;
  readonly challengeSecret: Uint8Array | null;
  readonly encryptedData: Uint8Array | null;
  readonly issuedAt: number | null;
  readonly expiresAt: number | null;
  /** JSON. */
  readonly outcome: string | null;
  /** JSON: the processes that ran, in order. */
  readonly trace: string;
  readonly createdAt: number;
  readonly endedAt: number | null;
}

const CARD_COLUMNS = `card_id AS cardId, account_id AS accountId, sealed_keys AS sealedKeys, sealed_data AS sealedData,
  failures, blocked_at AS blockedAt, created_at AS createdAt`;
const CARD = sql<[string], CardRow>(`SELECT ${CARD_COLUMNS} FROM card_verification__card WHERE card_id = ?`);
const CARDS = sql<[string, number], CardRow>(
  `SELECT ${CARD_COLUMNS} FROM card_verification__card WHERE card_id > ? ORDER BY card_id LIMIT ?`,
);
type NewCard = Omit<CardRow, "failures" | "blockedAt">;
const INSERT_CARD = sql<NewCard>(
  `INSERT INTO card_verification__card (card_id, account_id, sealed_keys, sealed_data, created_at)
   VALUES (@cardId, @accountId, @sealedKeys, @sealedData, @createdAt)`,
);
type Failures = Pick<CardRow, "cardId" | "failures" | "blockedAt">;
const SET_FAILURES = sql<Failures>(
  "UPDATE card_verification__card SET failures = @failures, blocked_at = @blockedAt WHERE card_id = @cardId",
);

const TRANSACTION_COLUMNS = `number, terminal_id AS terminalId, txn_id AS txnId, minor, currency,
  payee_account AS payeeAccount, card_id AS cardId, state, challenge_id AS challengeId,
  challenge_secret AS challengeSecret, encrypted_data AS encryptedData, issued_at AS issuedAt, expires_at AS expiresAt,
  outcome, trace, created_at AS createdAt, ended_at AS endedAt`;
const TRANSACTION = sql<TransactionKey, TransactionRow>(
  `SELECT ${TRANSACTION_COLUMNS} FROM card_verification__transaction
   WHERE terminal_id = @terminalId AND txn_id = @txnId`,
);
const TRANSACTIONS = sql<[number, number], TransactionRow>(
  `SELECT ${TRANSACTION_COLUMNS} FROM card_verification__transaction WHERE number > ? ORDER BY number LIMIT ?`,
);
type NewTransaction = Pick<
  TransactionRow,
  keyof TransactionKey | "minor" | "currency" | "payeeAccount" | "cardId" | "createdAt"
>;
const INSERT = sql<NewTransaction>(
  `INSERT INTO card_verification__transaction
     (terminal_id, txn_id, minor, currency, payee_account, card_id, state, trace, created_at)
   VALUES (@terminalId, @txnId, @minor, @currency, @payeeAccount, @cardId, 'open', '[]', @createdAt)`,
);
type OpenChallenge = TransactionKey & {
  readonly cardId: string;
  readonly challengeId: string;
  readonly challengeSecret: Uint8Array;
  readonly encryptedData: Uint8Array;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly trace: string;
};
const CHALLENGE = sql<OpenChallenge>(
  `UPDATE card_verification__transaction SET card_id = @cardId, challenge_id = @challengeId,
     challenge_secret = @challengeSecret, encrypted_data = @encryptedData, issued_at = @issuedAt,
     expires_at = @expiresAt, trace = @trace
   WHERE terminal_id = @terminalId AND txn_id = @txnId AND state = 'open'`,
);
const WITHDRAW = sql<TransactionKey>(
  `UPDATE card_verification__transaction SET challenge_id = NULL, challenge_secret = NULL, encrypted_data = NULL,
     issued_at = NULL, expires_at = NULL
   WHERE terminal_id = @terminalId AND txn_id = @txnId AND state = 'open'`,
);
type Ending = TransactionKey & {
  readonly state: "approved" | "declined";
  readonly cardId: string;
  readonly outcome: string;
  readonly trace: string;
  readonly endedAt: number;
};
const END = sql<Ending>(
  `UPDATE card_verification__transaction SET state = @state, card_id = @cardId, outcome = @outcome, trace = @trace,
     ended_at = @endedAt, challenge_secret = NULL, encrypted_data = NULL
   WHERE terminal_id = @terminalId AND txn_id = @txnId AND state = 'open'`,
);

export const cardStore = {
  card: (reading: Reading, cardId: string) => reading.get(CARD, [cardId]),
  cards: (reading: Reading, { after, limit }: { readonly after: string; readonly limit: number }) =>
    reading.all(CARDS, [after, limit]),
  insertCard: (within: Within, card: NewCard) => within.run(INSERT_CARD, card),
  setFailures: (within: Within, failures: Failures) => within.run(SET_FAILURES, failures),
  transaction: (reading: Reading, key: TransactionKey) => reading.get(TRANSACTION, key),
  transactions: (reading: Reading, { afterNumber, limit }: { readonly afterNumber: number; readonly limit: number }) =>
    reading.all(TRANSACTIONS, [afterNumber, limit]),
  insert: (within: Within, transaction: NewTransaction) => within.run(INSERT, transaction),
  challenge: (within: Within, open: OpenChallenge) => within.run(CHALLENGE, open),
  /** The secret is gone with it: nothing can answer the challenge any more. */
  withdraw: (within: Within, key: TransactionKey) => within.run(WITHDRAW, key),
  end: (within: Within, ending: Ending) => within.run(END, ending),
};
