/** Codes that a merchant shows: EMV QRCPS Merchant-Presented Mode 1.1. Identifiers and lengths of two digits, then the value. */
import { ok, type Result } from "../../base/result.ts";
import { crc16Of } from "./crc.ts";
import { type Refused, refuse } from "./refusal.ts";

export const MERCHANT_CODE_PREFIX = "000201";
/** The specification's limit is 512 of its alphanumeric characters (3.1); national schemes exceed it a little. */
export const MERCHANT_CODE_CHARACTERS_MAX = 1_024;

export interface MerchantField {
  /** Two digits. */
  readonly id: string;
  readonly value: string;
}

export interface MerchantCode {
  /** Static ones are printed and serve many payments (id 01). */
  readonly use: "static" | "dynamic" | "unstated";
  /** Ids 02 to 51: one for each scheme that can pay here. */
  readonly accounts: readonly MerchantField[];
  readonly categoryCode: string;
  /** ISO 4217, numeric. */
  readonly currency: string;
  /** As written, with a point; absent where the payer enters it. */
  readonly amount?: string;
  readonly countryCode: string;
  readonly merchantName: string;
  readonly merchantCity: string;
  readonly postalCode?: string;
  /** All fields in their order, those above included. */
  readonly fields: readonly MerchantField[];
}

const ID = { use: "01", category: "52", currency: "53", amount: "54", country: "58", name: "59", city: "60" } as const;
const POSTAL_CODE = "61";
const CRC_ID = "63";
const CRC_CHARACTERS = 8;
const MANDATORY = [ID.category, ID.currency, ID.country, ID.name, ID.city];
const FIRST_ACCOUNT = 2;
const LAST_ACCOUNT = 51;
const AMOUNT = /^(?=.{1,13}$)[0-9]+(?:\.[0-9]*)?$/;

/** The checksum first: behind a misread one nothing is worth telling. */
export function parseMerchantCode(text: string): Result<MerchantCode, Refused> {
  if (text.length > MERCHANT_CODE_CHARACTERS_MAX) {
    return refuse("too-long", `it has ${text.length} characters, ${MERCHANT_CODE_CHARACTERS_MAX} at most`);
  }
  const checked = text.slice(0, -4);
  if (!checked.endsWith(`${CRC_ID}04`)) {
    return refuse("wrong-checksum", "its last field is not a checksum of four digits (id 63)");
  }
  if (crc16Of(checked) !== text.slice(-4).toUpperCase()) {
    return refuse("wrong-checksum", "its checksum (id 63) is not that of the text before it");
  }
  const split = splitFields(text.slice(0, -CRC_CHARACTERS));
  return split.ok ? merchantOf(split.value) : split;
}

/** Lengths count characters, not bytes (4.2). */
function splitFields(text: string): Result<readonly MerchantField[], Refused> {
  const characters = [...text];
  const fields: MerchantField[] = [];
  let at = 0;
  while (at < characters.length) {
    const head = characters.slice(at, at + 4).join("");
    if (!/^[0-9]{4}$/.test(head))
      return refuse("wrong-shape", `no id and length of two digits each at character ${at}`);
    const id = head.slice(0, 2);
    const length = Number(head.slice(2));
    const value = characters.slice(at + 4, at + 4 + length);
    if (length === 0 || value.length < length) {
      return refuse("wrong-length", `field ${id} says ${length} characters and has ${value.length}`);
    }
    if (fields.some((field) => field.id === id)) return refuse("repeated-field", `field ${id} is there twice`);
    fields.push({ id, value: value.join("") });
    at += 4 + length;
  }
  return ok(fields);
}

function merchantOf(fields: readonly MerchantField[]): Result<MerchantCode, Refused> {
  const value = (id: string): string | undefined => fields.find((field) => field.id === id)?.value;
  const missing = MANDATORY.find((id) => value(id) === undefined);
  if (missing !== undefined) return refuse("missing-field", `field ${missing} is missing`);
  const accounts = fields.filter(({ id }) => Number(id) >= FIRST_ACCOUNT && Number(id) <= LAST_ACCOUNT);
  if (accounts.length === 0) return refuse("missing-field", "no account of the merchant (ids 02 to 51)");
  const text = (id: string): string => value(id) ?? "";
  if (!/^[0-9]{4}$/.test(text(ID.category))) return refuse("wrong-characters", "field 52 is not four digits");
  if (!/^[0-9]{3}$/.test(text(ID.currency))) return refuse("wrong-characters", "field 53 is not three digits");
  if (!/^[A-Za-z]{2}$/.test(text(ID.country))) return refuse("wrong-characters", "field 58 is not two letters");
  const amount = value(ID.amount);
  if (amount !== undefined && !AMOUNT.test(amount)) return refuse("wrong-characters", "field 54 is no amount");
  const use = value(ID.use);
  const postalCode = value(POSTAL_CODE);
  return ok({
    use: use === "11" ? "static" : use === "12" ? "dynamic" : "unstated",
    accounts,
    categoryCode: text(ID.category),
    currency: text(ID.currency),
    ...(amount !== undefined && { amount }),
    countryCode: text(ID.country),
    merchantName: text(ID.name),
    merchantCity: text(ID.city),
    ...(postalCode !== undefined && { postalCode }),
    fields,
  });
}
