/** A minted card's data objects of one finished transaction, for tools that check offline data authentication without a reader. */
import { createHash } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import { concat, fromHex } from "../../../base/bytes.ts";
import { encodeTlv, type Tlv } from "../../../protocols/emv/ber-tlv.ts";
import { encodeCompressed } from "../../../protocols/emv/numeric.ts";
import { mintCard, signDynamic } from "./mint.ts";
import type { MintedCard, MintOptions, TestRsaKey } from "./minted.ts";
import { TEST_RID } from "./test-keys.ts";

export type CardOptions = Omit<MintOptions, "staticData">;

/** The test application of the simulated cards: the test RID and "WAY". */
const AID = concat(TEST_RID, fromHex("574159"));

/** Offline data authentication as in the name; cardholder verification, terminal risk management and issuer authentication. */
const AIP = { sda: "5C00", dda: "3C00", cda: "3D00" } as const;

/** SFI 1, record 1 is signed; SFI 2 holds the certificates, which are not. */
const AFL = fromHex("08010101 10010400");

const UNPREDICTABLE_NUMBER = fromHex("A1B2C3D4");
const ICC_DYNAMIC_NUMBER = fromHex("08 0102030405060708");
const CRYPTOGRAM = fromHex("1122334455667788");
const TRANSACTION_CERTIFICATE = 0x40;
/** What the terminal sent for the CDOL1 of the card, in its order. */
const CDOL1_VALUES: readonly (readonly [tag: number, value: string])[] = [
  [0x9f02, "000000001500"],
  [0x9f03, "000000000000"],
  [0x9f1a, "0276"],
  [0x95, "0000000000"],
  [0x5f2a, "0978"],
  [0x9a, "260105"],
  [0x9c, "00"],
];
const CDOL1 = fromHex("9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704");
const CDOL2 = fromHex("8A02 9F3704");
const DDOL = fromHex("9F3704");

/**
 * The objects in the order of the transaction, each to be written on a line of its own: AID, GET PROCESSING OPTIONS answer,
 * records in the order of the AFL, and for DDA and CDA what the terminal sent and what the card answered.
 */
export function cardObjects(options: CardOptions): readonly Uint8Array[] {
  assert(options.oda !== "cda" || options.chain !== "longest", "a CDA answer has room for the signature");
  const signed = [
    primitive(0x5a, encodeCompressed(options.pan)),
    primitive(0x5f24, lastDay(options.expiry)),
    primitive(0x5f34, fromHex("01")),
    primitive(0x8c, CDOL1),
    primitive(0x8d, CDOL2),
    primitive(0x9f4a, fromHex("82")),
    ...(options.oda === "sda" ? [] : [primitive(0x9f49, DDOL)]),
  ];
  const aip = fromHex(AIP[options.oda]);
  const card = mintCard({ ...options, staticData: concat(encodeTlv(signed), aip) });
  const transaction: readonly Tlv[] = [
    primitive(0x4f, AID),
    { tag: 0x77, children: [primitive(0x82, aip), primitive(0x94, AFL)] },
    { tag: 0x70, children: signed },
    ...certificateRecords(card),
    ...dynamicObjects(options, card),
  ];
  return transaction.map((object) => encodeTlv([object]));
}

const primitive = (tag: number, value: Uint8Array): Tlv => ({ tag, value });
const optional = (tag: number, value: Uint8Array | undefined): readonly Tlv[] => (value ? [primitive(tag, value)] : []);

/** A long certificate fills a record by itself. */
function certificateRecords({ icc, ...card }: MintedCard): readonly Tlv[] {
  return [
    [
      primitive(0x8f, Uint8Array.of(card.caIndex)),
      primitive(0x9f32, card.issuerExponent),
      ...optional(0x92, card.issuerRemainder),
    ],
    [primitive(0x90, card.issuerCertificate)],
    [...optional(0x93, card.signedStaticData), ...optional(0x9f46, icc?.certificate)],
    [...optional(0x9f47, icc?.exponent), ...optional(0x9f48, icc?.remainder)],
  ].map((children) => ({ tag: 0x70, children }));
}

function dynamicObjects({ oda }: CardOptions, { icc }: MintedCard): readonly Tlv[] {
  if (!icc) return [];
  const number = primitive(0x9f37, UNPREDICTABLE_NUMBER);
  if (oda === "cda") {
    const sent = CDOL1_VALUES.map(([tag, value]) => primitive(tag, fromHex(value)));
    return [...sent, number, combinedAnswer(icc.key)];
  }
  const signature = signDynamic(icc.key, { iccDynamicData: ICC_DYNAMIC_NUMBER, terminalData: UNPREDICTABLE_NUMBER });
  return [number, { tag: 0x77, children: [primitive(0x9f4b, signature)] }];
}

/** The answer to GENERATE AC; the signature covers CDOL1 values and the other objects of the answer (Book 2, 6.6.1). */
function combinedAnswer(key: TestRsaKey): Tlv {
  const cid = Uint8Array.of(TRANSACTION_CERTIFICATE);
  const head = [primitive(0x9f27, cid), primitive(0x9f36, fromHex("0001"))];
  const tail = [primitive(0x9f10, fromHex("06010A03A40000"))];
  const sent = concat(...CDOL1_VALUES.map(([, value]) => fromHex(value)), UNPREDICTABLE_NUMBER);
  const hash = createHash("sha1")
    .update(sent)
    .update(encodeTlv([...head, ...tail]))
    .digest();
  const iccDynamicData = concat(ICC_DYNAMIC_NUMBER, cid, CRYPTOGRAM, hash);
  const signature = signDynamic(key, { iccDynamicData, terminalData: UNPREDICTABLE_NUMBER });
  return { tag: 0x77, children: [...head, primitive(0x9f4b, signature), ...tail] };
}

/** YYMM as tag 5F24 has it, with the month's last day. */
function lastDay(expiry: string): Uint8Array {
  const day = new Date(Date.UTC(2000 + Number(expiry.slice(0, 2)), Number(expiry.slice(2)), 0)).getUTCDate();
  return fromHex(`${expiry}${day}`);
}
