/** What values mean, in a few words for people: response codes, processing codes, amounts. Nothing decides by these. */
import { currencyOfNumericCode, toDecimal } from "../../base/money.ts";
import { DE, type Iso8583Message } from "./message.ts";
import { decodeOriginalDataElements } from "./original-data-elements.ts";

type Words = Readonly<Record<string, string>>;

/** DE 39 of ISO 8583:1987, table A.18, those in wide use. */
const RESPONSE_CODES: Words = {
  "00": "approved",
  "01": "refer to card issuer",
  "03": "invalid merchant",
  "04": "pick up card",
  "05": "do not honour",
  "06": "error",
  "08": "honour with identification",
  "10": "approved for a part of the amount",
  "12": "invalid transaction",
  "13": "invalid amount",
  "14": "invalid card number",
  "15": "no such issuer",
  "19": "enter the transaction again",
  "21": "no action taken",
  "25": "record not found",
  "30": "format error",
  "41": "lost card",
  "43": "stolen card",
  "51": "not sufficient funds",
  "54": "expired card",
  "55": "incorrect PIN",
  "57": "transaction not permitted to cardholder",
  "58": "transaction not permitted to terminal",
  "61": "exceeds amount limit",
  "62": "restricted card",
  "63": "security violation",
  "65": "exceeds frequency limit",
  "68": "response received too late",
  "75": "PIN tries exceeded",
  "91": "issuer or switch is inoperative",
  "92": "no route to the institution",
  "94": "duplicate transmission",
  "95": "reconciliation error",
  "96": "system malfunction",
};

/** DE 39 of ISO 8583:1993, annex A. */
const ACTION_CODES: Words = {
  "000": "approved",
  "001": "honour with identification",
  "002": "approved for a part of the amount",
  "100": "do not honour",
  "101": "expired card",
  "106": "PIN tries exceeded",
  "107": "refer to card issuer",
  "109": "invalid merchant",
  "110": "invalid amount",
  "111": "invalid card number",
  "116": "not sufficient funds",
  "117": "incorrect PIN",
  "119": "transaction not permitted to cardholder",
  "120": "transaction not permitted to terminal",
  "121": "exceeds amount limit",
  "123": "exceeds frequency limit",
  "200": "do not honour, pick up card",
  "208": "lost card, pick up",
  "209": "stolen card, pick up",
  "300": "successful",
  "400": "reversal accepted",
  "500": "reconciled, in balance",
  "501": "reconciled, out of balance",
  "800": "network management accepted",
  "902": "invalid transaction",
  "904": "format error",
  "907": "issuer or switch is inoperative",
  "909": "system malfunction",
  "911": "issuer timed out",
  "913": "duplicate transmission",
};

const TRANSACTIONS: Words = {
  "00": "goods and services",
  "01": "cash",
  "02": "debit adjustment",
  "09": "goods and services with cashback",
  "20": "refund",
  "21": "deposit",
  "22": "credit adjustment",
  "30": "available funds inquiry",
  "31": "balance inquiry",
  "40": "transfer between accounts",
};

const ACCOUNTS: Words = { "00": "default", "10": "savings", "20": "cheque", "30": "credit", "40": "universal" };

const PAN_ENTRY: Words = {
  "00": "unspecified",
  "01": "keyed",
  "02": "magnetic stripe",
  "03": "bar code",
  "05": "chip",
  "07": "contactless chip",
  "80": "magnetic stripe after a chip that failed",
  "81": "electronic commerce",
  "90": "magnetic stripe, unaltered",
  "91": "contactless magnetic stripe",
};
const PIN_ENTRY: Words = { "0": "unspecified", "1": "PIN can be entered", "2": "no PIN can be entered" };

const NETWORK_MANAGEMENT: Words = {
  "001": "sign-on",
  "002": "sign-off",
  "101": "key change",
  "161": "key change",
  "201": "cutover",
  "301": "echo test",
};

const FUNCTION_CODES: Words = {
  "100": "original authorisation, amount accurate",
  "101": "original authorisation, amount estimated",
  "200": "original financial request",
  "201": "approved authorisation, amount same",
  "202": "approved authorisation, amount differs",
  "400": "full reversal",
  "401": "partial reversal",
  "500": "final reconciliation",
  "801": "sign-on",
  "802": "sign-off",
  "821": "cutover",
  "831": "echo test",
};

type Meaning = (value: string, message: Iso8583Message) => string | undefined;

const code =
  (words: Words): Meaning =>
  (value) =>
    Object.hasOwn(words, value) ? words[value] : undefined;

/** By the field's name, which the tables share. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ResponseCode: code(RESPONSE_CODES),
  ActionCode: code(ACTION_CODES),
  FunctionCode: code(FUNCTION_CODES),
  NetworkManagementCode: code(NETWORK_MANAGEMENT),
  ProcessingCode: processingCode,
  PosEntryMode: posEntryMode,
  AmountTransaction: (value, message) => amount(value, message.fields[DE.currencyTransaction]),
  CurrencyTransaction: currency,
  CurrencySettlement: currency,
  CurrencyReconciliation: currency,
  CurrencyCardholderBilling: currency,
  OriginalDataElements: originalDataElements,
};

export const meaningOf = (name: string, value: string, message: Iso8583Message): string | undefined =>
  Object.hasOwn(MEANINGS, name) ? MEANINGS[name]?.(value, message) : undefined;

function processingCode(value: string): string | undefined {
  const transaction = TRANSACTIONS[value.slice(0, 2)];
  const [from, to] = [ACCOUNTS[value.slice(2, 4)], ACCOUNTS[value.slice(4, 6)]];
  return transaction && from && to ? `${transaction}, from ${from} to ${to} account` : transaction;
}

function posEntryMode(value: string): string | undefined {
  const parts = [PAN_ENTRY[value.slice(0, 2)], PIN_ENTRY[value.slice(2)]].filter((part) => part !== undefined);
  return parts.length > 0 ? parts.join(", ") : undefined;
}

function currency(value: string): string | undefined {
  return /^\d{3}$/.test(value) ? currencyOfNumericCode(Number(value)) : undefined;
}

function amount(value: string, numericCode: unknown): string | undefined {
  const code = typeof numericCode === "string" ? currency(numericCode) : undefined;
  const known = code === undefined ? undefined : currencyOfNumericCode(Number(numericCode));
  return known && /^\d{1,12}$/.test(value)
    ? `${toDecimal({ minor: BigInt(value), currency: known })} ${known}`
    : undefined;
}

/** 1993 has fewer digits in a field of the same name, and no more words are needed for them. */
function originalDataElements(value: string): string | undefined {
  if (!/^\d{42}$/.test(value)) return undefined;
  const { mti, stan, transmissionDateTime, acquirer } = decodeOriginalDataElements(value);
  return `${mti}, STAN ${stan}, sent ${transmissionDateTime}, acquirer ${acquirer || "none"}`;
}
