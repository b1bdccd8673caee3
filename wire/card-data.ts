/** Card data on its way to the hub: sealed the moment it is read, so that the terminal cannot open its own queue. */
import { hash, type KeyObject } from "node:crypto";
import { z } from "zod";
import { fromBase64, toBase64 } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import type { RandomBytes, TerminalId } from "../base/ids.ts";
import { Base64Schema } from "./common.ts";
import { deriveOpening, prepareSeal, unseal } from "./hpke.ts";
import { parseJson } from "./signing.ts";

/** What only the hub may read. */
export const CardDataSchema = z.strictObject({
  /** Primary account number, 12 to 19 digits (ISO/IEC 7812). */
  pan: z.string().regex(/^\d{12,19}$/),
  /** YYMM. */
  expiry: z.string().regex(/^\d{4}$/),
  sequenceNumber: z
    .string()
    .regex(/^\d{1,3}$/)
    .optional(),
  /** Track 2 equivalent data, tag 57, in hex. Present for online requests only. */
  track2: z
    .string()
    .regex(/^[0-9A-Fa-f]{2,38}$/)
    .optional(),
});
export type CardData = z.infer<typeof CardDataSchema>;

export const SealedCardDataSchema = z.strictObject({
  keyId: z.string().max(64),
  enc: Base64Schema,
  ciphertext: Base64Schema,
});
export type SealedCardData = z.infer<typeof SealedCardDataSchema>;

/** The one text form of sealed data: what lies in the journal, and what `sealedDigest` of an entry is taken over. */
export const sealedText = (sealed: SealedCardData): string => `${sealed.keyId}\n${sealed.enc}\n${sealed.ciphertext}`;

/** Reads what `sealedText` wrote. Base64 holds no line break, so the last two lines are unambiguous. */
export function readSealedText(text: string): SealedCardData {
  const last = text.lastIndexOf("\n");
  const middle = text.lastIndexOf("\n", last - 1);
  if (last < 1 || middle < 0) throw new Fault("seal.invalid", "not the text of sealed card data");
  return { keyId: text.slice(0, middle), enc: text.slice(middle + 1, last), ciphertext: text.slice(last + 1) };
}

/** SHA-256 in hex: what the journal's chain covers in the place of the sealed bytes (RM5). */
export const digestOfSealed = (sealed: SealedCardData): string => hash("sha256", sealedText(sealed), "hex");

const INFO = Buffer.from("tillway/v1/card-data", "utf8");
const aadFor = (terminalId: TerminalId, paymentId: string): Buffer =>
  Buffer.from(`${terminalId}\n${paymentId}`, "utf8");

export interface SealingInput {
  readonly key: { readonly keyId: string; readonly publicKey: KeyObject };
  readonly random: RandomBytes;
}

export interface CardContent {
  readonly data: CardData;
  readonly terminalId: TerminalId;
  /** Bound into the seal: sealed data cannot be moved to another payment. */
  readonly paymentId: string;
}

/** Seals one card's data, once. */
export type CardSealer = (content: CardContent) => SealedCardData;

/** Does the slow part of sealing ahead, while the card is still on its way. */
export function prepareCardSealer({ key, random }: SealingInput): CardSealer {
  const prepared = prepareSeal({ recipient: key.publicKey, info: INFO, random });
  return ({ data, terminalId, paymentId }) => {
    const plaintext = Buffer.from(JSON.stringify(data), "utf8");
    const sealed = prepared.seal({ aad: aadFor(terminalId, paymentId), plaintext });
    return { keyId: key.keyId, enc: toBase64(sealed.enc), ciphertext: toBase64(sealed.ciphertext) };
  };
}

export type SealCardInput = SealingInput & CardContent;
export const sealCardData = (input: SealCardInput): SealedCardData => prepareCardSealer(input)(input);

export interface OpenCardInput {
  readonly sealed: SealedCardData;
  readonly terminalId: TerminalId;
  readonly paymentId: string;
  readonly privateKey: KeyObject;
  /** What `deriveCardOpening` gave for these sealed data, if it was done ahead. */
  readonly opening?: Uint8Array | undefined;
}

/** The slow part of opening sealed card data, of which it needs only `enc`. Throws Fault `seal.invalid` or `codec.invalid`. */
export const deriveCardOpening = (privateKey: KeyObject, enc: string): Uint8Array =>
  deriveOpening({ recipient: privateKey, info: INFO, enc: fromBase64(enc) });

/** Throws Fault `seal.invalid` for data sealed to another key, terminal or payment. */
export function openCardData(input: OpenCardInput): CardData {
  const plaintext = unseal({
    recipient: input.privateKey,
    info: INFO,
    aad: aadFor(input.terminalId, input.paymentId),
    sealed: { enc: fromBase64(input.sealed.enc), ciphertext: fromBase64(input.sealed.ciphertext) },
    opening: input.opening,
  });
  const parsed = CardDataSchema.safeParse(parseJson(Buffer.from(plaintext).toString("utf8")));
  if (!parsed.success) throw new Fault("seal.invalid", `sealed card data of unknown form: ${reasonOf(parsed.error)}`);
  return parsed.data;
}
