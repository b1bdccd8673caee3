/**
 * What the verification application of a card and its hub compute with the card's two keys.
 *
 * - The data key makes authenticated ciphertexts (AES-GCM, NIST SP 800-38D): the card's data, and each challenge. Their
 *   purpose and the card's number are authenticated with them, so that neither passes for the other, nor for that of
 *   another card, and the card can tell that a challenge was made by its hub.
 * - The MAC key makes the card's only answer, an HMAC-SHA-256 (RFC 2104) over the challenge's secret and over what the
 *   terminal showed. No plaintext ever leaves the card, so no terminal can use it to decrypt anything (RM7).
 */
import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from "node:crypto";
import { assert } from "../../base/assert.ts";
import { ByteReader, concat } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import type { RandomBytes } from "../../base/ids.ts";
import { encodeAmount, encodeText, type ShownTransaction } from "./commands.ts";

/** 16 or 32 bytes each, different from each other. They leave neither card nor hub. */
export interface CardKeys {
  readonly dataKey: Uint8Array;
  readonly macKey: Uint8Array;
}

/** The secret in a challenge. */
export const CHALLENGE_SECRET_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const CARD_DATA_PURPOSE = "tillway/card-verification/v1/card-data";
const CHALLENGE_PURPOSE = "tillway/card-verification/v1/challenge";
const ANSWER_PURPOSE = "tillway/card-verification/v1/answer";

export interface SealInput {
  /** 16 or 32 bytes. */
  readonly key: Uint8Array;
  readonly plain: Uint8Array;
  /** Bound to the ciphertext, and needed again to open it. */
  readonly boundTo: Uint8Array;
  readonly random: RandomBytes;
}

/** Nonce, ciphertext and tag of AES-GCM under a fresh nonce. */
export function seal({ key, plain, boundTo, random }: SealInput): Uint8Array<ArrayBuffer> {
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv(algorithmOf(key), key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(boundTo);
  const body = cipher.update(plain);
  cipher.final();
  return concat(nonce, body, cipher.getAuthTag());
}

export type OpenInput = Pick<SealInput, "key" | "boundTo"> & { readonly sealed: Uint8Array };

/** The plaintext, or undefined when it was not made with this key for this purpose, or was changed. */
export function open({ key, sealed, boundTo }: OpenInput): Uint8Array | undefined {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv(algorithmOf(key), key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(boundTo);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return new Uint8Array(plain);
}

const algorithmOf = (key: Uint8Array): "aes-128-gcm" | "aes-256-gcm" => {
  assert(key.length === 16 || key.length === 32, "a card's key has 16 or 32 bytes");
  return key.length === 16 ? "aes-128-gcm" : "aes-256-gcm";
};

const bound = (purpose: string, cardId: Uint8Array): Uint8Array => concat(encodeText(purpose), cardId);

export interface OfCard {
  readonly cardId: Uint8Array;
  readonly dataKey: Uint8Array;
}

export const sealCardData = (card: OfCard, plain: Uint8Array, random: RandomBytes): Uint8Array<ArrayBuffer> =>
  seal({ key: card.dataKey, plain, boundTo: bound(CARD_DATA_PURPOSE, card.cardId), random });

export const openCardData = (card: OfCard, sealed: Uint8Array): Uint8Array | undefined =>
  open({ key: card.dataKey, sealed, boundTo: bound(CARD_DATA_PURPOSE, card.cardId) });

/** What only card and hub know of a challenge: the secret, and which transaction it was made for. */
export interface Challenge {
  /** `CHALLENGE_SECRET_BYTES` fresh random bytes. */
  readonly secret: Uint8Array;
  readonly txnId: string;
  readonly amountMinor: bigint;
}

/** The cipher challenge: Enc(K_data, r || txnId || amount). */
export function sealChallenge(card: OfCard, challenge: Challenge, random: RandomBytes): Uint8Array<ArrayBuffer> {
  assert(challenge.secret.length === CHALLENGE_SECRET_BYTES, "a challenge's secret has 16 bytes");
  const plain = concat(challenge.secret, encodeText(challenge.txnId), encodeAmount(challenge.amountMinor));
  return seal({ key: card.dataKey, plain, boundTo: bound(CHALLENGE_PURPOSE, card.cardId), random });
}

/** What the card learns of a cipher challenge; undefined for one that its hub did not make for it. */
export function openChallenge(card: OfCard, sealed: Uint8Array): Challenge | undefined {
  const plain = open({ key: card.dataKey, sealed, boundTo: bound(CHALLENGE_PURPOSE, card.cardId) });
  if (!plain) return undefined;
  try {
    const reader = new ByteReader(plain);
    const secret = reader.take(CHALLENGE_SECRET_BYTES);
    const txnId = Buffer.from(reader.take(reader.u8())).toString("utf8");
    const amountMinor = Buffer.from(reader.take(8)).readBigUInt64BE();
    return reader.remaining === 0 ? { secret, txnId, amountMinor } : undefined;
  } catch (error) {
    if (isFault(error, "codec.truncated")) return undefined;
    throw error;
  }
}

/** MAC(K_mac, r || txnId || amount || currency || payee || terminalId); each text with its length before it (RM7). */
export const answerOf = (macKey: Uint8Array, secret: Uint8Array, shown: ShownTransaction): Uint8Array =>
  new Uint8Array(
    createHmac("sha256", macKey)
      .update(encodeText(ANSWER_PURPOSE))
      .update(secret)
      .update(encodeText(shown.txnId))
      .update(encodeAmount(shown.amountMinor))
      .update(encodeText(shown.currency))
      .update(encodeText(shown.payeeAccount))
      .update(encodeText(shown.terminalId))
      .digest(),
  );

/** Compares secrets in a time that tells nothing of where they differ; lengths are no secret here. */
export const sameSecretBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b);
