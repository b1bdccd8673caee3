/**
 * The issuer's side of this hub's own card ranges: whether a cryptogram holds for what the terminal says of the sale, and
 * the answer by which the card knows its issuer (EMV 4.4 Book 2, section 8).
 */
import { concat, fromHex, toHex } from "../../../base/bytes.ts";
import { isFault } from "../../../base/fault.ts";
import { numericCodeOf } from "../../../base/money.ts";
import { fail, type Result } from "../../../base/result.ts";
import { decodeTlv, type Tag, tagName } from "../../../protocols/emv/ber-tlv.ts";
import { arpcMethod1, arpcMethod2, type DerivationOption, deriveMasterKey } from "../../../protocols/emv/cryptogram.ts";
import {
  type CheckedCryptogram,
  type CryptogramVersion,
  checkCryptogram,
} from "../../../protocols/emv/cryptogram-versions.ts";
import { encodeNumeric } from "../../../protocols/emv/numeric.ts";
import { RESPONSE_CODES } from "../../../wire/authorisation.ts";
import type { CardData } from "../../../wire/card-data.ts";
import type { WireMoney } from "../../../wire/common.ts";

export interface CardRange {
  /** The leading digits of its numbers. */
  readonly bin: string;
  /** For application cryptograms, 16 bytes. */
  readonly issuerMasterKey: Uint8Array;
  readonly derivation: DerivationOption;
  readonly cryptogramVersion: CryptogramVersion;
  readonly arpcMethod: 1 | 2;
}

/** A card of one of this hub's ranges, without its number. */
export interface IssuedCard {
  /** The card's own key for application cryptograms. */
  readonly masterKey: Uint8Array;
  /** Two digits: cards of one number count their transactions each for itself. */
  readonly sequenceNumber: string;
  readonly cryptogramVersion: CryptogramVersion;
  readonly arpcMethod: 1 | 2;
}

/** Of several ranges that fit, the narrowest. Undefined: another's card, whose cryptogram is not this hub's to check. */
export function issuedCard(ranges: readonly CardRange[], card: CardData): IssuedCard | undefined {
  const fitting = ranges.filter(({ bin }) => card.pan.startsWith(bin));
  const [range] = fitting.sort((a, b) => b.bin.length - a.bin.length);
  if (!range) return undefined;
  const { issuerMasterKey, derivation: option, cryptogramVersion, arpcMethod } = range;
  const sequenceNumber = (card.sequenceNumber ?? "").padStart(2, "0").slice(-2);
  const masterKey = deriveMasterKey({ issuerMasterKey, pan: card.pan, sequenceNumber, option });
  return { masterKey, sequenceNumber, cryptogramVersion, arpcMethod };
}

export interface CryptogramClaim {
  readonly card: IssuedCard;
  /** What the card must have given: the type is checked against tag 9F27. */
  readonly type: "ARQC" | "TC";
  readonly amount: WireMoney;
  /** The part of it that is given in cash. */
  readonly cashback?: WireMoney | undefined;
  /** DE 55 in hex. */
  readonly iccData: string | undefined;
}

/** `incomplete`: there is nothing to check. `wrong`: another key, another sale, or data that were altered. */
export interface CryptogramFailure {
  readonly why: "incomplete" | "wrong";
  /** For people; never the expected value. */
  readonly detail: string;
}

const TYPE_MASK = 0xc0;
const TYPE_BITS = { TC: 0x40, ARQC: 0x80 } as const;
const INFORMATION_TAG = 0x9f27;
const AMOUNT_BYTES = 6;
const CODE_BYTES = 2;

/** Whether this card made this cryptogram for this amount. */
export function checkClaim({
  card,
  type,
  amount,
  cashback,
  iccData,
}: CryptogramClaim): Result<CheckedCryptogram, CryptogramFailure> {
  const incomplete = (detail: string) => fail({ why: "incomplete" as const, detail: `iccData: ${detail}` });
  const wrong = (detail: string) => fail({ why: "wrong" as const, detail });
  const values = readObjects(iccData ?? "");
  if (!values) return incomplete("not BER-TLV");
  const information = values.get(INFORMATION_TAG)?.[0];
  if (information === undefined) return incomplete(`${tagName(INFORMATION_TAG)} is missing`);
  const checked = checkCryptogram(card.cryptogramVersion, card.masterKey, values);
  if (!checked.ok) {
    if (checked.error === "other-version") return wrong("the cryptogram is not of the version of its card's range");
    if (checked.error === "wrong") return wrong("the cryptogram is not this card's for these data");
    return incomplete(`${tagName(checked.error.missing)} is missing or of another length`);
  }
  if ((information & TYPE_MASK) !== TYPE_BITS[type]) return wrong(`the card's cryptogram is no ${type}`);
  if (!holds(values, 0x9f02, encodeNumeric(BigInt(amount.minor), AMOUNT_BYTES)))
    return wrong("the cryptogram is for another amount");
  if (!ofCash(values, cashback)) return wrong("the cryptogram is for another amount in cash");
  if (!holds(values, 0x5f2a, encodeNumeric(BigInt(numericCodeOf(amount.currency)), CODE_BYTES)))
    return wrong("the cryptogram is for another currency");
  return checked;
}

const holds = (values: ReadonlyMap<Tag, Uint8Array>, tag: Tag, expected: Uint8Array): boolean =>
  toHex(values.get(tag) ?? new Uint8Array(0)) === toHex(expected);

/** Tag 9F03; a card that was told of no cash may have been told nothing at all of it. */
const ofCash = (values: ReadonlyMap<Tag, Uint8Array>, cashback: WireMoney | undefined): boolean =>
  (!cashback && !values.has(0x9f03)) ||
  holds(values, 0x9f03, encodeNumeric(BigInt(cashback?.minor ?? 0), AMOUNT_BYTES));

function readObjects(iccData: string): ReadonlyMap<Tag, Uint8Array> | undefined {
  try {
    const objects = decodeTlv(fromHex(iccData));
    return new Map(objects.flatMap((object) => ("value" in object ? [[object.tag, object.value] as const] : [])));
  } catch (error) {
    if (isFault(error)) return undefined;
    throw error;
  }
}

/** Card Status Update (Book 3, C10): byte 2, bit 8 is "Issuer approves online transaction". */
const STATUS_UPDATE_APPROVED = Uint8Array.of(0x00, 0x80, 0x00, 0x00);
const STATUS_UPDATE_DECLINED = new Uint8Array(STATUS_UPDATE_APPROVED.length);

/** Tag 91 in hex: the answer that proves the issuer to the card. Only for a cryptogram that held (Book 2, 8.2). */
export function issuerAuthenticationData(
  { arpcMethod }: IssuedCard,
  { key, cryptogram }: CheckedCryptogram,
  responseCode: string,
): string {
  if (arpcMethod === 1) {
    const code = new Uint8Array(Buffer.from(responseCode, "ascii"));
    return toHex(concat(arpcMethod1(key, cryptogram, code), code));
  }
  const cardStatusUpdate = responseCode === RESPONSE_CODES.approved ? STATUS_UPDATE_APPROVED : STATUS_UPDATE_DECLINED;
  return toHex(concat(arpcMethod2({ key, arqc: cryptogram, cardStatusUpdate }), cardStatusUpdate));
}

/** What became of a cryptogram, for the hub's metrics. `replayed`: right, and given before for another payment. */
export type CryptogramResult = "held" | "replayed" | CryptogramFailure["why"];
export type CountCryptogram = (type: CryptogramClaim["type"], result: CryptogramResult) => void;
