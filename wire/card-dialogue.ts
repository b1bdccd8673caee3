/**
 * A recorded dialogue with a card: it holds the card's data, so it is sealed to the hub's key as they are, and the terminal
 * cannot open what it keeps (RM6).
 */
import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { fromBase64, toBase64 } from "../base/bytes.ts";
import { type SealedCardData, SealedCardDataSchema, type SealingInput } from "./card-data.ts";
import { PaymentIdSchema, TerminalIdSchema, TimeSchema } from "./common.ts";
import { prepareSeal, unseal } from "./hpke.ts";

/** What a terminal gives out of a recorded dialogue: all that the holder of the key needs to open it, and what anybody may see. */
export const DialogueFileSchema = z.strictObject({
  v: z.literal(1),
  terminalId: TerminalIdSchema,
  paymentId: PaymentIdSchema,
  at: TimeSchema,
  /** The transcript with the card's secrets replaced. */
  masked: z.string().max(262_144),
  sealed: SealedCardDataSchema,
});
export type DialogueFile = z.infer<typeof DialogueFileSchema>;

type DialogueOf = Pick<DialogueFile, "terminalId" | "paymentId">;

const INFO = Buffer.from("tillway/v1/card-dialogue", "utf8");
/** Bound into the seal: a dialogue cannot be passed off as another payment's. */
const aadFor = ({ terminalId, paymentId }: DialogueOf): Buffer => Buffer.from(`${terminalId}\n${paymentId}`, "utf8");

export function sealDialogue(input: SealingInput & DialogueOf & { readonly transcript: string }): SealedCardData {
  const { key, random, transcript } = input;
  const sealed = prepareSeal({ recipient: key.publicKey, info: INFO, random }).seal({
    aad: aadFor(input),
    plaintext: Buffer.from(transcript, "utf8"),
  });
  return { keyId: key.keyId, enc: toBase64(sealed.enc), ciphertext: toBase64(sealed.ciphertext) };
}

/** The transcript's text. Throws Fault `seal.invalid` for one sealed to another key, terminal or payment. */
export function openDialogue(file: DialogueOf & Pick<DialogueFile, "sealed">, privateKey: KeyObject): string {
  const plaintext = unseal({
    recipient: privateKey,
    info: INFO,
    aad: aadFor(file),
    sealed: { enc: fromBase64(file.sealed.enc), ciphertext: fromBase64(file.sealed.ciphertext) },
  });
  return Buffer.from(plaintext).toString("utf8");
}
