/**
 * The commands of the card's verification application, in short form, each with its whole data in one APDU.
 *
 * SELECT by name; GET DATA for the card's number and its encrypted data; VERIFY CHALLENGE with the cipher challenge and
 * with what the terminal showed. All but SELECT are proprietary (class 80).
 */
import { assert } from "../../base/assert.ts";
import { ByteReader, concat, fromHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import { type CommandApdu, RESPONSE_DATA_BYTES_MAX } from "../emv/apdu.ts";
import { decodeTlv, encodeTlv } from "../emv/ber-tlv.ts";

/** Proprietary, beside the payment application of the same card. */
export const VERIFICATION_AID = fromHex("F0 54 49 4C 4C 02");
export const CLA = 0x80;
export const INS_VERIFY_CHALLENGE = 0x88;
/** Card's number, 8 bytes. */
export const TAG_CARD_ID = 0xdf01;
/** The card's data as personalisation encrypted them. */
export const TAG_ENCRYPTED_DATA = 0xdf02;

export const CARD_ID_BYTES = 8;
export const ENCRYPTED_DATA_BYTES_MAX = 200;
/** Characters; together they let every command fit one APDU. */
export const TXN_ID_MAX = 32;
export const PAYEE_ACCOUNT_MAX = 48;
export const TERMINAL_ID_MAX = 64;
const CURRENCY_CHARACTERS = 3;
const AMOUNT_BYTES = 8;
/** Nonce, secret, an id with its length, amount and tag. */
const CIPHER_CHALLENGE_BYTES_MAX = 12 + 16 + 1 + TXN_ID_MAX + AMOUNT_BYTES + 16;

/** What a VERIFY CHALLENGE is refused with (ISO/IEC 7816-4, table 6). */
export const VERIFICATION_STATUS = {
  /** The challenge was answered or refused before. */
  alreadyUsed: 0x6984,
  /** What was shown is not what the challenge was made for. */
  otherTransaction: 0x6985,
  /** The challenge was not made by this card's hub for this card. */
  notFromHub: 0x6988,
} as const;

/** What the terminal showed to the person at it, and says to the card. */
export interface ShownTransaction {
  readonly txnId: string;
  readonly amountMinor: bigint;
  readonly currency: string;
  readonly payeeAccount: string;
  readonly terminalId: string;
}

/** One byte of length, then UTF-8. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(text, "utf8");
  assert(bytes.length <= 0xff, "a text of at most 255 bytes");
  return concat(Uint8Array.of(bytes.length), bytes);
}

export function encodeAmount(minor: bigint): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.alloc(AMOUNT_BYTES);
  bytes.writeBigUInt64BE(minor);
  return new Uint8Array(bytes);
}

export const getDataCommand = (tag: number): CommandApdu => ({
  cla: CLA,
  ins: 0xca,
  p1: tag >> 8,
  p2: tag & 0xff,
  le: RESPONSE_DATA_BYTES_MAX,
});

export const encodeGetDataAnswer = (tag: number, value: Uint8Array): Uint8Array<ArrayBuffer> =>
  encodeTlv([{ tag, value }]);

/** The value of the one object asked for. Throws Fault `codec.invalid` or what the TLV decoder does. */
export function decodeGetDataAnswer(tag: number, data: Uint8Array): Uint8Array {
  const [object, ...more] = decodeTlv(data);
  if (object?.tag !== tag || !("value" in object) || more.length > 0)
    throw new Fault(
      "codec.invalid",
      `GET DATA answered with something else than tag ${tag.toString(16).toUpperCase()}`,
    );
  return object.value;
}

export interface VerifyChallenge {
  readonly cipherChallenge: Uint8Array;
  readonly shown: ShownTransaction;
}

/** Throws Fault `codec.too-long` for a challenge longer than the longest that a hub makes. */
export function verifyChallengeCommand({ cipherChallenge, shown }: VerifyChallenge): CommandApdu {
  if (cipherChallenge.length > CIPHER_CHALLENGE_BYTES_MAX)
    throw new Fault("codec.too-long", `a cipher challenge of ${cipherChallenge.length} bytes fits no card command`);
  const data = concat(
    Uint8Array.of(cipherChallenge.length),
    cipherChallenge,
    encodeText(limited("txnId", shown.txnId, TXN_ID_MAX)),
    encodeAmount(shown.amountMinor),
    encodeText(limited("currency", shown.currency, CURRENCY_CHARACTERS)),
    encodeText(limited("payeeAccount", shown.payeeAccount, PAYEE_ACCOUNT_MAX)),
    encodeText(limited("terminalId", shown.terminalId, TERMINAL_ID_MAX)),
  );
  return { cla: CLA, ins: INS_VERIFY_CHALLENGE, p1: 0, p2: 0, data, le: RESPONSE_DATA_BYTES_MAX };
}

function limited(name: string, text: string, max: number): string {
  if (text.length > max || /[^\x21-\x7e]/.test(text))
    throw new Fault("codec.invalid", `${name} must be at most ${max} printable ASCII characters without spaces`);
  return text;
}

/** Reads what `verifyChallengeCommand` wrote. Throws Fault `codec.truncated` or `codec.invalid`. */
export function decodeVerifyChallenge(data: Uint8Array): VerifyChallenge {
  const reader = new ByteReader(data);
  const cipherChallenge = reader.take(reader.u8());
  const text = () => Buffer.from(reader.take(reader.u8())).toString("latin1");
  const txnId = limited("txnId", text(), TXN_ID_MAX);
  const amountMinor = Buffer.from(reader.take(AMOUNT_BYTES)).readBigUInt64BE();
  const currency = limited("currency", text(), CURRENCY_CHARACTERS);
  const payeeAccount = limited("payeeAccount", text(), PAYEE_ACCOUNT_MAX);
  const terminalId = limited("terminalId", text(), TERMINAL_ID_MAX);
  if (reader.remaining > 0) throw new Fault("codec.too-long", `${reader.remaining} bytes after the command's data`);
  return { cipherChallenge, shown: { txnId, amountMinor, currency, payeeAccount, terminalId } };
}
