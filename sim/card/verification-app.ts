/**
 * The verification application of a simulated card. It holds its number, its encrypted data and two keys, and gives out the
 * first two and a MAC, nothing else. It answers a challenge once, and only one that its hub made for the transaction that
 * the terminal says it showed.
 */
import { readFileSync } from "node:fs";
import { fromHex, toHex } from "../../base/bytes.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import {
  CLA,
  decodeVerifyChallenge,
  encodeGetDataAnswer,
  INS_VERIFY_CHALLENGE,
  TAG_CARD_ID,
  TAG_ENCRYPTED_DATA,
  VERIFICATION_AID,
  VERIFICATION_STATUS,
} from "../../protocols/card-verification/commands.ts";
import { answerOf, openChallenge, sameSecretBytes } from "../../protocols/card-verification/cryptography.ts";
import { type CommandApdu, type ResponseApdu, STATUS } from "../../protocols/emv/apdu.ts";
import { encodeTlv } from "../../protocols/emv/ber-tlv.ts";
import { INS } from "../../protocols/emv/commands.ts";
import { type PersonalisedCard, PersonalisedCardSchema } from "../../wire/card-verification.ts";
import { firstIssue, parseJson } from "../../wire/signing.ts";

/** Challenges that the card remembers to have taken, the newest; a challenge lives for seconds only. */
const TAKEN_MAX = 64;
const PERSONALISED_BYTES_MAX = 4_096;

export class VerificationApp {
  readonly aid: Uint8Array = VERIFICATION_AID;
  readonly #cardId: Uint8Array;
  readonly #encryptedData: Uint8Array;
  readonly #dataKey: Uint8Array;
  readonly #macKey: Uint8Array;
  readonly #taken = new Set<string>();

  constructor(card: PersonalisedCard) {
    this.#cardId = fromHex(card.cardId);
    this.#encryptedData = fromHex(card.encryptedCardData);
    this.#dataKey = fromHex(card.dataKey);
    this.#macKey = fromHex(card.macKey);
  }

  /** The answer to SELECT by its name. */
  select(): ResponseApdu {
    const name = { tag: 0x84, value: this.aid };
    const label = { tag: 0xa5, children: [{ tag: 0x50, value: LABEL }] };
    return success(encodeTlv([{ tag: 0x6f, children: [name, label] }]));
  }

  /** Every command but SELECT and GET RESPONSE, while it is the selected application. */
  respond(command: CommandApdu): ResponseApdu {
    if (command.cla !== CLA) return refusal(STATUS.classNotSupported);
    switch (command.ins) {
      case INS.getData:
        return this.#getData(command.p1 * 0x100 + command.p2);
      case INS_VERIFY_CHALLENGE:
        return this.#verifyChallenge(command);
      default:
        return refusal(STATUS.instructionNotSupported);
    }
  }

  #getData(tag: number): ResponseApdu {
    if (tag === TAG_CARD_ID) return success(encodeGetDataAnswer(tag, this.#cardId));
    if (tag === TAG_ENCRYPTED_DATA) return success(encodeGetDataAnswer(tag, this.#encryptedData));
    return refusal(STATUS.referencedDataNotFound);
  }

  #verifyChallenge({ p1, p2, data }: CommandApdu): ResponseApdu {
    if (p1 !== 0 || p2 !== 0) return refusal(STATUS.incorrectParameters);
    const asked = data && readVerifyChallenge(data);
    if (!asked) return refusal(STATUS.wrongLength);
    const challenge = openChallenge({ cardId: this.#cardId, dataKey: this.#dataKey }, asked.cipherChallenge);
    if (!challenge) return refusal(VERIFICATION_STATUS.notFromHub);
    // Spent before it is looked at: a terminal has one try, not one for each amount.
    if (!this.#take(challenge.secret)) return refusal(VERIFICATION_STATUS.alreadyUsed);
    const { txnId, amountMinor } = asked.shown;
    const same = sameSecretBytes(Buffer.from(txnId), Buffer.from(challenge.txnId));
    if (!same || amountMinor !== challenge.amountMinor) return refusal(VERIFICATION_STATUS.otherTransaction);
    return success(answerOf(this.#macKey, challenge.secret, asked.shown));
  }

  #take(secret: Uint8Array): boolean {
    const key = toHex(secret);
    if (this.#taken.has(key)) return false;
    const [oldest] = this.#taken;
    if (this.#taken.size >= TAKEN_MAX && oldest !== undefined) this.#taken.delete(oldest);
    this.#taken.add(key);
    return true;
  }
}

function readVerifyChallenge(data: Uint8Array): ReturnType<typeof decodeVerifyChallenge> | undefined {
  try {
    return decodeVerifyChallenge(data);
  } catch (error) {
    if (isFault(error)) return undefined;
    throw error;
  }
}

/** A card from the file that personalisation wrote. Throws Fault `config.invalid` or `config.missing`. */
export function readPersonalisedCard(path: string): PersonalisedCard {
  let text: string;
  try {
    text = readFileSync(path, "utf8").slice(0, PERSONALISED_BYTES_MAX);
  } catch (error) {
    throw new Fault(
      "config.missing",
      `${path}: ${reasonOf(error)}; make it with: tillway hub cards add ACCOUNT --out ${path}`,
    );
  }
  let read: unknown;
  try {
    read = parseJson(text);
  } catch (error) {
    throw new Fault("config.invalid", `${path}: ${reasonOf(error)}; make it anew with: tillway hub cards add`);
  }
  const parsed = PersonalisedCardSchema.safeParse(read);
  if (parsed.success) return parsed.data;
  throw new Fault("config.invalid", `${path}: ${firstIssue(parsed.error)}; make it anew with: tillway hub cards add`);
}

const LABEL = new Uint8Array(Buffer.from("TILLWAY VERIFY", "ascii"));
const NO_DATA = new Uint8Array(0);
const success = (data: Uint8Array): ResponseApdu => ({ data, status: STATUS.ok });
const refusal = (status: number): ResponseApdu => ({ data: NO_DATA, status });
