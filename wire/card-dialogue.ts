/**
 * A recorded dialogue with a card: it holds the card's data, so it is sealed to the hub's key as they are, and the terminal
 * cannot open what it keeps (RM6).
 */
import type { KeyObject } from "node:crypto";
import { fromBase64, toBase64 } from "../base/bytes.ts";
import type { TerminalId } from "../base/ids.ts";
import type { SealedCardData, SealingInput } from "./card-data.ts";
import { prepareSeal, unseal } from "./hpke.ts";

const INFO = Buffer.from("tillway/v1/card-dialogue", "utf8");
const aadFor = (terminalId: TerminalId, paymentId: string): Buffer =>
  Buffer.from(`${terminalId}\n${paymentId}`, "utf8");

/** More than the longest dialogue that the agent records. */
export const DIALOGUE_TEXT_MAX = 512 * 1_024;

interface DialogueOf {
  readonly terminalId: TerminalId;
  /** Bound into the seal: a dialogue cannot be passed off as another payment's. */
  readonly paymentId: string;
}

export function sealDialogue(input: SealingInput & DialogueOf & { readonly transcript: string }): SealedCardData {
  const { key, random, terminalId, paymentId, transcript } = input;
  const sealed = prepareSeal({ recipient: key.publicKey, info: INFO, random }).seal({
    aad: aadFor(terminalId, paymentId),
    plaintext: Buffer.from(transcript, "utf8"),
  });
  return { keyId: key.keyId, enc: toBase64(sealed.enc), ciphertext: toBase64(sealed.ciphertext) };
}

/** The transcript's text. Throws Fault `seal.invalid` for one sealed to another key, terminal or payment. */
export function openDialogue(
  input: DialogueOf & { readonly sealed: SealedCardData; readonly privateKey: KeyObject },
): string {
  const plaintext = unseal({
    recipient: input.privateKey,
    info: INFO,
    aad: aadFor(input.terminalId, input.paymentId),
    sealed: { enc: fromBase64(input.sealed.enc), ciphertext: fromBase64(input.sealed.ciphertext) },
  });
  return Buffer.from(plaintext).toString("utf8");
}
