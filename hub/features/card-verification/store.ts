/** All SQL of card verification. */
import type { Sqlite } from "../../../base/sqlite.ts";

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

export interface TransactionKey {
  readonly terminalId: string;
  readonly txnId: string;
}

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

export interface OpenChallenge extends TransactionKey {
  readonly cardId: string;
  readonly challengeId: string;
  readonly challengeSecret: Uint8Array;
  readonly encryptedData: Uint8Array;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly trace: string;
}

export interface Ending extends TransactionKey {
  readonly state: "approved" | "declined";
  readonly cardId: string;
  readonly outcome: string;
  readonly trace: string;
  readonly endedAt: number;
}

const CARD_COLUMNS = `card_id AS cardId, account_id AS accountId, sealed_keys AS sealedKeys, sealed_data AS sealedData,
  failures, blocked_at AS blockedAt, created_at AS createdAt`;
const TRANSACTION_COLUMNS = `number, terminal_id AS terminalId, txn_id AS txnId, minor, currency,
  payee_account AS payeeAccount, card_id AS cardId, state, challenge_id AS challengeId,
  challenge_secret AS challengeSecret, encrypted_data AS encryptedData, issued_at AS issuedAt, expires_at AS expiresAt,
  outcome, trace, created_at AS createdAt, ended_at AS endedAt`;

export type CardVerificationStore = ReturnType<typeof createCardVerificationStore>;

export function createCardVerificationStore(database: Sqlite) {
  const card = database.prepare<[string], CardRow>(
    `SELECT ${CARD_COLUMNS} FROM card_verification__card WHERE card_id = ?`,
  );
  const cards = database.prepare<[string, number], CardRow>(
    `SELECT ${CARD_COLUMNS} FROM card_verification__card WHERE card_id > ? ORDER BY card_id LIMIT ?`,
  );
  const insertCard = database.prepare(
    `INSERT INTO card_verification__card (card_id, account_id, sealed_keys, sealed_data, created_at)
     VALUES (@cardId, @accountId, @sealedKeys, @sealedData, @createdAt)`,
  );
  const setFailures = database.prepare(
    "UPDATE card_verification__card SET failures = @failures, blocked_at = @blockedAt WHERE card_id = @cardId",
  );
  const transaction = database.prepare<TransactionKey, TransactionRow>(
    `SELECT ${TRANSACTION_COLUMNS} FROM card_verification__transaction
     WHERE terminal_id = @terminalId AND txn_id = @txnId`,
  );
  const transactions = database.prepare<[number, number], TransactionRow>(
    `SELECT ${TRANSACTION_COLUMNS} FROM card_verification__transaction WHERE number > ? ORDER BY number LIMIT ?`,
  );
  const insert = database.prepare(
    `INSERT INTO card_verification__transaction
       (terminal_id, txn_id, minor, currency, payee_account, card_id, state, trace, created_at)
     VALUES (@terminalId, @txnId, @minor, @currency, @payeeAccount, @cardId, 'open', '[]', @createdAt)`,
  );
  const challenge = database.prepare(
    `UPDATE card_verification__transaction SET card_id = @cardId, challenge_id = @challengeId,
       challenge_secret = @challengeSecret, encrypted_data = @encryptedData, issued_at = @issuedAt,
       expires_at = @expiresAt, trace = @trace
     WHERE terminal_id = @terminalId AND txn_id = @txnId AND state = 'open'`,
  );
  const withdraw = database.prepare(
    `UPDATE card_verification__transaction SET challenge_id = NULL, challenge_secret = NULL, encrypted_data = NULL,
       issued_at = NULL, expires_at = NULL
     WHERE terminal_id = @terminalId AND txn_id = @txnId AND state = 'open'`,
  );
  const end = database.prepare(
    `UPDATE card_verification__transaction SET state = @state, card_id = @cardId, outcome = @outcome, trace = @trace,
       ended_at = @endedAt, challenge_secret = NULL, encrypted_data = NULL
     WHERE terminal_id = @terminalId AND txn_id = @txnId AND state = 'open'`,
  );

  return {
    card: (cardId: string) => card.get(cardId),
    cards: (after: string, limit: number) => cards.all(after, limit),
    insertCard: (row: Omit<CardRow, "failures" | "blockedAt">) => void insertCard.run(row),
    setFailures: (row: Pick<CardRow, "cardId" | "failures" | "blockedAt">) => void setFailures.run(row),
    transaction: (key: TransactionKey) => transaction.get(key),
    transactions: (afterNumber: number, limit: number) => transactions.all(afterNumber, limit),
    insert: (
      row: TransactionKey & Pick<TransactionRow, "minor" | "currency" | "payeeAccount" | "cardId" | "createdAt">,
    ) => void insert.run(row),
    challenge: (open: OpenChallenge) => void challenge.run(open),
    /** The secret is gone with it: nothing can answer the challenge any more. */
    withdraw: (key: TransactionKey) => void withdraw.run(key),
    end: (ending: Ending) => void end.run(ending),
  };
}
