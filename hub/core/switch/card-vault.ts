/** Keeps the cards that issuers have yet to be told about: sealed under a key of the hub's, and bound to their payment (RM5). */
import { createCipheriv, createDecipheriv, createSecretKey } from "node:crypto";
import { concat } from "../../../base/bytes.ts";
import { Fault } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import { type CardData, CardDataSchema } from "../../../wire/card-data.ts";
import { parseJson } from "../../../wire/signing.ts";
import type { PaymentKey } from "../authorisation/index.ts";

/** What an advice or a reversal carries of a card. */
export type KeptCard = Omit<CardData, "track2">;

export interface CardVault {
  seal(card: CardData, key: PaymentKey): Uint8Array;
  /** Throws Fault `seal.invalid` for what was altered, or was sealed for another payment or by another key. */
  open(sealed: Uint8Array, key: PaymentKey): KeptCard;
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** `secret`: 32 bytes. */
export function createCardVault(secret: Uint8Array, random: RandomBytes): CardVault {
  const key = createSecretKey(secret);
  const bound = ({ terminalId, paymentId }: PaymentKey) => Buffer.from(`${terminalId}\n${paymentId}`, "utf8");
  return {
    seal({ track2: _, ...card }, payment) {
      const nonce = random(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(bound(payment));
      const text = cipher.update(JSON.stringify(card), "utf8");
      return concat(nonce, text, cipher.final(), cipher.getAuthTag());
    },
    open(sealed, payment) {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const [text, tag] = [sealed.subarray(NONCE_BYTES, -TAG_BYTES), sealed.subarray(-TAG_BYTES)];
      try {
        const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(bound(payment));
        decipher.setAuthTag(tag);
        const plain = Buffer.concat([decipher.update(text), decipher.final()]).toString("utf8");
        return CardDataSchema.parse(parseJson(plain));
      } catch (error) {
        throw new Fault(
          "seal.invalid",
          "a card that was kept for its issuer cannot be opened; are the hub's keys its own?",
          {
            cause: error,
          },
        );
      }
    },
  };
}
