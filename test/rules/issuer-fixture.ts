/** The one range of cards that a test's hub issues, and the DE 55 of a sale with its card `TEST_PAN`. */
import { fromHex, toHex } from "../../base/bytes.ts";
import type { CardRange } from "../../hub/core/authorisation/index.ts";
import { encodeTlv } from "../../protocols/emv/ber-tlv.ts";
import { deriveMasterKey } from "../../protocols/emv/cryptogram.ts";
import { makeCryptogram } from "../../protocols/emv/cryptogram-versions.ts";
import type { CardFacts } from "../../wire/journal-entry.ts";
import { TEST_PAN } from "./hub-fixture.ts";

export const RANGE: CardRange = {
  bin: "999999",
  issuerMasterKey: fromHex("0123456789ABCDEFFEDCBA9876543210"),
  derivation: "A",
  cryptogramVersion: 18,
  arpcMethod: 1,
};
export const MASTER_KEY = deriveMasterKey({
  issuerMasterKey: RANGE.issuerMasterKey,
  pan: TEST_PAN,
  sequenceNumber: "00",
  option: "A",
});

export type Objects = Readonly<Record<string, string>>;
const mapOf = (objects: Objects) =>
  new Map(Object.entries(objects).map(([tag, value]) => [Number.parseInt(tag, 16), fromHex(value) as Uint8Array]));
export const iccDataOf = (objects: Objects): string =>
  toHex(encodeTlv([...mapOf(objects)].map(([tag, value]) => ({ tag, value }))));

export const SALE: Objects = {
  "9F02": "000000001000",
  "9F03": "000000000000",
  "9F1A": "0276",
  "95": "0000008000",
  "5F2A": "0978",
  "9A": "260105",
  "9C": "00",
  "9F37": "DEADBEEF",
  "82": "1C00",
};
const INFORMATION = { ARQC: "80", TC: "40", AAC: "00" } as const;

/** DE 55 as the card and the terminal make it, then altered. */
export const iccData = (atc: number, type: keyof typeof INFORMATION = "ARQC", altered: Objects = {}): string =>
  iccDataFor(atc, { type, altered });

interface Made {
  readonly type?: keyof typeof INFORMATION;
  /** What the card is told otherwise than of `SALE`. */
  readonly told?: Objects;
  readonly altered?: Objects;
}
export function iccDataFor(atc: number, { type = "ARQC", told, altered }: Made): string {
  const counter = atc.toString(16).padStart(4, "0");
  const objects = { ...SALE, ...told, "9F36": counter, "9F10": "06011203A00000" };
  const made = makeCryptogram(18, MASTER_KEY, mapOf(objects));
  if (!made.ok) throw new Error("incomplete");
  return iccDataOf({ ...objects, "9F27": INFORMATION[type], "9F26": toHex(made.value), ...altered });
}

/** Of the card that `iccData` is made with. */
export const cardFacts = (data: string, cryptogramType: CardFacts["cryptogramType"] = "TC"): CardFacts => ({
  entryMode: "chip",
  maskedPan: "999999******0015",
  cardToken: "0".repeat(64),
  aid: "f0",
  label: "TEST",
  cryptogramType,
  iccData: data,
});
