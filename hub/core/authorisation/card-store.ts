/** SQL of the cards that accounts have. */
import { type Reading, sql, type Within } from "../../store/store.ts";

export interface CardRecord {
  readonly token: string;
  readonly accountId: string;
  /** YYMM. */
  readonly expiry: string;
  readonly name?: string;
}

type CardRow = Omit<CardRecord, "name"> & { readonly name: string | null };
const CARD_COLUMNS = "token, account_id AS accountId, expiry, name";
const CARD = sql<[string], CardRow>(`SELECT ${CARD_COLUMNS} FROM authorisation__card WHERE token = ?`);
const CARD_OF_ACCOUNT = sql<[string], CardRow>(`SELECT ${CARD_COLUMNS} FROM authorisation__card WHERE account_id = ?`);
const INSERT_CARD = sql<[string, string, string, string | null, number]>(
  "INSERT INTO authorisation__card (token, account_id, expiry, name, created_at) VALUES (?, ?, ?, ?, ?)",
);

function toCard(row: CardRow | undefined): CardRecord | undefined {
  if (!row) return undefined;
  const { name, ...rest } = row;
  return name === null ? rest : { ...rest, name };
}

export const cardSql = {
  card: async (reading: Reading, token: string) => toCard(await reading.get(CARD, [token])),
  cardOfAccount: async (reading: Reading, accountId: string) => toCard(await reading.get(CARD_OF_ACCOUNT, [accountId])),
  async insertCard(within: Within, card: CardRecord, at: number): Promise<void> {
    await within.run(INSERT_CARD, [card.token, card.accountId, card.expiry, card.name ?? null, at]);
  },
};
