/** The issuer's part: makes a card's keys and data, keeps them under the hub's seal, and says what goes onto the card. */
import { concat, fromHex, toHex } from "../../../base/bytes.ts";
import { Fault } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import { CARD_ID_BYTES } from "../../../protocols/card-verification/commands.ts";
import { type CardKeys, open, seal, sealCardData } from "../../../protocols/card-verification/cryptography.ts";
import type { PersonalisedCard } from "../../../wire/card-verification.ts";
import type { CardRow } from "./store.ts";

export const KEY_BYTES = 32;
/** The card's un-encrypted data: a token made for it, which stands for no number of any scheme. */
const CARD_DATA_BYTES = 32;

export interface Vault {
  keysOf(card: CardRow): CardKeys;
  /** The un-encrypted card data. */
  dataOf(card: CardRow): Uint8Array;
  /** A fresh card for the account: what the hub keeps, and what goes onto the card. */
  personalise(
    accountId: string,
    at: number,
  ): { readonly row: Omit<CardRow, "failures" | "blockedAt">; readonly card: PersonalisedCard };
}

/** Seals with the service's secret, so that a copied database gives no card's keys. */
export function createVault(secret: Uint8Array, random: RandomBytes): Vault {
  const boundTo = (what: "keys" | "data", cardId: string) => Buffer.from(`card-verification/${what}/${cardId}`, "utf8");
  const opened = (what: "keys" | "data", card: CardRow): Uint8Array => {
    const sealed = what === "keys" ? card.sealedKeys : card.sealedData;
    const plain = open({ key: secret, sealed, boundTo: boundTo(what, card.cardId) });
    if (!plain)
      throw new Fault(
        "identity.invalid",
        `card ${card.cardId} was sealed with another key of this hub; make another for its account`,
      );
    return plain;
  };
  return {
    keysOf(card) {
      const keys = opened("keys", card);
      return { dataKey: keys.subarray(0, KEY_BYTES), macKey: keys.subarray(KEY_BYTES) };
    },
    dataOf: (card) => opened("data", card),
    personalise(accountId, at) {
      const cardId = toHex(random(CARD_ID_BYTES));
      const dataKey = random(KEY_BYTES);
      const macKey = random(KEY_BYTES);
      const data = random(CARD_DATA_BYTES);
      const sealFor = (what: "keys" | "data", plain: Uint8Array) =>
        seal({ key: secret, plain, boundTo: boundTo(what, cardId), random });
      const row = {
        cardId,
        accountId,
        sealedKeys: sealFor("keys", concat(dataKey, macKey)),
        sealedData: sealFor("data", data),
        createdAt: at,
      };
      const encryptedCardData = toHex(sealCardData({ cardId: fromHex(cardId), dataKey }, data, random));
      return { row, card: { cardId, encryptedCardData, dataKey: toHex(dataKey), macKey: toHex(macKey) } };
    },
  };
}
