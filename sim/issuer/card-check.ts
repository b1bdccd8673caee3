/** The issuer's EMV checks: whether a cryptogram is the card's and of this sale, and the answer by which the card knows him. */
import { concat, fromHex, sameBytes, toHex } from "../../base/bytes.ts";
import { flattenTlv, type Tag, type Tlv } from "../../protocols/emv/ber-tlv.ts";
import { arpcMethod1, arpcMethod2, deriveMasterKey } from "../../protocols/emv/cryptogram.ts";
import { type CheckedCryptogram, checkCryptogram, versionOf } from "../../protocols/emv/cryptogram-versions.ts";
import { encodeNumeric } from "../../protocols/emv/numeric.ts";
import { CARD_PROFILES, TEST_ISSUER_MASTER_KEY } from "../card/profiles.ts";

export interface CardClaim {
  readonly pan: string;
  /** DE 23, up to three digits. */
  readonly sequenceNumber: string;
  readonly minor: bigint;
  readonly cashbackMinor?: bigint;
  /** DE 49. */
  readonly currency: string;
  /** DE 55. */
  readonly objects: readonly Tlv[];
}

/** `absent`: the message had no cryptogram, as with a means that is no chip. */
export type CardVerdict = "absent" | "wrong" | CheckedCryptogram;

const CRYPTOGRAM = 0x9f26;
const ISSUER_DATA = 0x9f10;
const AMOUNT = 0x9f02;
const OTHER_AMOUNT = 0x9f03;
const NO_AMOUNT = new Uint8Array(6);
const CURRENCY = 0x5f2a;

export function checkCard({
  pan,
  sequenceNumber,
  minor,
  cashbackMinor = 0n,
  currency,
  objects,
}: CardClaim): CardVerdict {
  const values = new Map<Tag, Uint8Array>(flattenTlv(objects).map(({ tag, value }) => [tag, value]));
  if (!values.has(CRYPTOGRAM)) return "absent";
  const version = versionOf(values.get(ISSUER_DATA) ?? new Uint8Array(0));
  if (version === undefined) return "wrong";
  const masterKey = deriveMasterKey({
    issuerMasterKey: TEST_ISSUER_MASTER_KEY,
    pan,
    sequenceNumber: sequenceNumber.padStart(2, "0").slice(-2),
    option: "B",
  });
  const checked = checkCryptogram(version, masterKey, values);
  const ofThisSale =
    holds(values.get(AMOUNT), encodeNumeric(minor, 6)) &&
    holds(values.get(OTHER_AMOUNT) ?? NO_AMOUNT, encodeNumeric(cashbackMinor, 6)) &&
    holds(values.get(CURRENCY), encodeNumeric(BigInt(currency), 2));
  return checked.ok && ofThisSale ? checked.value : "wrong";
}

const holds = (value: Uint8Array | undefined, expected: Uint8Array): boolean =>
  value !== undefined && sameBytes(value, expected);

/** Card Status Update (EMV Book 3, C10): "Issuer approves online transaction", or nothing. */
const CARD_STATUS = { approved: fromHex("00800000"), declined: fromHex("00000000") } as const;

export interface CardAnswer {
  readonly pan: string;
  readonly checked: CheckedCryptogram;
  /** Two characters. */
  readonly responseCode: string;
}

/** Tag 91 in hex, by the method that this card was made for. */
export function issuerAuthentication({ pan, checked: { key, cryptogram }, responseCode }: CardAnswer): string {
  if (methodOf(pan) === 1) {
    const code = new Uint8Array(Buffer.from(responseCode, "ascii"));
    return toHex(concat(arpcMethod1(key, cryptogram, code), code));
  }
  const cardStatusUpdate = responseCode === "00" ? CARD_STATUS.approved : CARD_STATUS.declined;
  return toHex(concat(arpcMethod2({ key, arqc: cryptogram, cardStatusUpdate }), cardStatusUpdate));
}

/** Cards that the profiles do not have are of the ordinary kind. */
function methodOf(pan: string): 1 | 2 {
  const applications = CARD_PROFILES.flatMap((card) => [card, ...(card.further ?? [])]);
  const { cryptogramVersion, issuerAuthentication } = applications.find((one) => one.pan === pan) ?? {};
  return issuerAuthentication?.method ?? (cryptogramVersion === "common-core" ? 2 : 1);
}
