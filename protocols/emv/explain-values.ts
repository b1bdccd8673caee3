/** What the values of data elements say, in words: one explainer per tag, for `explain.ts`. */
import { ByteReader, toHex } from "../../base/bytes.ts";
import { type Currency, currencyOfNumericCode, exponentOf } from "../../base/money.ts";
import { decodeAfl } from "./afl.ts";
import { decodeCommand } from "./apdu.ts";
import { readTag, type Tag, tagName } from "./ber-tlv.ts";
import {
  ADDITIONAL_TERMINAL_CAPABILITIES,
  AIP,
  AUC,
  BIOMETRIC_TERMINAL_CAPABILITIES,
  type Bit,
  bitsOf,
  CONFIRMATION_REQUIRED,
  hasBit,
  reservedBitsOf,
  TERMINAL_CAPABILITIES,
  TSI,
  TTQ,
  TVR,
  terminalType,
} from "./bits.ts";
import { type CidReason, type CryptogramType, cryptogramType, decodeCid } from "./commands.ts";
import {
  CVM_RESULT_NAMES,
  type CvmRule,
  cvmConditionName,
  cvmMethodName,
  decodeCvmList,
  decodeCvmResults,
} from "./cvm-list.ts";
import { decodeDol, dolDataLength } from "./dol.ts";
import { decodeNumeric } from "./numeric.ts";
import { tagEntry } from "./tags.ts";

/** The other values of the same data: amounts need their currency. The first of each tag. */
export type ValueContext = ReadonlyMap<Tag, Uint8Array>;

/** Lines of words; throws a Fault when the value is malformed. */
type Explainer = (value: Uint8Array, context: ValueContext) => readonly string[];

/** The explainer of a tag; undefined when a value says all by itself. */
export const explainerOf = (tag: Tag): Explainer | undefined => EXPLAINERS.get(tag);

function bits(table: Readonly<Record<string, Bit>>): Explainer {
  return (value) => {
    const known = bitsOf(value, table).map(({ byte, bit, name }) => `byte ${byte} bit ${bit}: ${name}`);
    const reserved = reservedBitsOf(value, table).map(({ byte, bit }) => `byte ${byte} bit ${bit}: set, but reserved`);
    return known.length + reserved.length > 0 ? [...known, ...reserved] : ["no bit set"];
  };
}

const CRYPTOGRAM_NAMES: Readonly<Record<CryptogramType, string>> = {
  AAC: "AAC (declined)",
  TC: "TC (approved)",
  ARQC: "ARQC (online authorisation requested)",
};
const REASON_NAMES: Readonly<Record<CidReason, string>> = {
  none: "no information given",
  "service-not-allowed": "service not allowed",
  "pin-try-limit-exceeded": "PIN Try Limit exceeded",
  "issuer-authentication-failed": "issuer authentication failed",
  reserved: "reserved",
};

const explainCid: Explainer = ([cid = 0]) => {
  const { type, paymentSystemType, adviceRequired, reason } = decodeCid(cid);
  return [
    type ? CRYPTOGRAM_NAMES[type] : "a reserved type of cryptogram",
    ...(paymentSystemType === 0 ? [] : [`payment system-specific cryptogram ${paymentSystemType}`]),
    adviceRequired ? "advice required" : "no advice required",
    ...(reason === "none" ? [] : [`reason: ${REASON_NAMES[reason]}`]),
  ];
};

const explainDol: Explainer = (value) => {
  const entries = decodeDol(value);
  const names = entries.map(({ tag, length }) => `${named(tag)}, ${count(length, "byte")}`);
  return [...names, `${count(dolDataLength(entries), "byte")} in all`];
};

const explainTagList: Explainer = (value) => {
  const reader = new ByteReader(value);
  const names: string[] = [];
  while (reader.remaining > 0) names.push(named(readTag(reader)));
  return names;
};

const named = (tag: Tag): string => `${tagName(tag)} ${tagEntry(tag)?.name ?? "unknown"}`;
export const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;

const explainAfl: Explainer = (value) =>
  decodeAfl(value).map(({ sfi, firstRecord, lastRecord, authenticatedRecords }) => {
    const records = firstRecord === lastRecord ? `record ${firstRecord}` : `records ${firstRecord} to ${lastRecord}`;
    const signed =
      authenticatedRecords === 0 ? "" : `, the first ${authenticatedRecords} in offline data authentication`;
    return `SFI ${sfi} ${records}${signed}`;
  });

const ruleText = ({ method, condition }: CvmRule): string => `${cvmMethodName(method)}, ${cvmConditionName(condition)}`;

const explainCvmList: Explainer = (value, context) => {
  const { amountX, amountY, rules } = decodeCvmList(value);
  const inCurrency = (amount: bigint) => amountText(amount, { context, currency: 0x9f42, exponent: 0x9f44 });
  return [
    `X: ${inCurrency(amountX)}`,
    `Y: ${inCurrency(amountY)}`,
    ...rules.map((rule, index) => {
      const otherwise = rule.failIfUnsuccessful ? "fail cardholder verification" : "apply the next rule";
      return `rule ${index + 1}: ${ruleText(rule)}; if unsuccessful ${otherwise}`;
    }),
    ...(rules.length === 0 ? ["no rules: as if the card had no list"] : []),
  ];
};

const explainCvmResults: Explainer = (value) => {
  const { method, condition, result } = decodeCvmResults(value);
  return [
    `performed: ${cvmMethodName(method)}`,
    `condition: ${cvmConditionName(condition)}`,
    `result: ${CVM_RESULT_NAMES.get(result) ?? `reserved (${result})`}`,
  ];
};

interface AmountTags {
  readonly context: ValueContext;
  /** The tags that hold the currency and its exponent. */
  readonly currency: Tag;
  readonly exponent: Tag;
}

function amountText(amount: bigint, { context, currency, exponent }: AmountTags): string {
  const code = context.get(currency);
  const known = code && currencyOfCode(code);
  const given = context.get(exponent)?.[0];
  if (!known) return `${amount} minor units${code ? ` of currency ${toHex(code)}` : ""}`;
  return `${withPlaces(amount, given ?? exponentOf(known))} ${known}`;
}

function withPlaces(amount: bigint, places: number): string {
  const digits = amount.toString().padStart(places + 1, "0");
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

const currencyOfCode = (code: Uint8Array): Currency | undefined => currencyOfNumericCode(Number(toHex(code)));

const explainCurrency: Explainer = (value) => [currencyOfCode(value) ?? `currency ${toHex(value)} of ISO 4217`];
const amount =
  (decode: (value: Uint8Array) => bigint, currency: Tag, exponent: Tag): Explainer =>
  (value, context) => [amountText(decode(value), { context, currency, exponent })];

const binary = (value: Uint8Array): bigint => BigInt(`0x0${toHex(value)}`);
const decimal: Explainer = (value) => [binary(value).toString()];
const digits: Explainer = (value) => [decodeNumeric(value).toString()];

/** Book 4, 6.7.3: two digits of a year from 50 on are of the last century. */
const CENTURY_TURNS_AT = 50;

const explainDate: Explainer = (value) => {
  const text = toHex(value);
  const [, year = "", month = "", day = ""] = /^(\d\d)(\d\d)(\d\d)$/.exec(text) ?? [];
  const date = `${Number(year) < CENTURY_TURNS_AT ? "20" : "19"}${year}-${month}-${day}`;
  const time = Date.parse(`${date}T00:00:00Z`);
  const exists = !Number.isNaN(time) && new Date(time).toISOString().startsWith(date);
  return [exists ? date : "no date of the calendar"];
};

const explainTime: Explainer = (value) => {
  const [, hour = "", minute = "", second = ""] = /^(\d\d)(\d\d)(\d\d)$/.exec(toHex(value)) ?? [];
  const exists = hour !== "" && Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60;
  return [exists ? `${hour}:${minute}:${second}` : "no time of day"];
};

const RID_BYTES = 5;
const explainAid: Explainer = (value) => {
  if (value.length < RID_BYTES) return [];
  const pix = toHex(value.subarray(RID_BYTES)).toUpperCase();
  return [`RID ${toHex(value.subarray(0, RID_BYTES)).toUpperCase()}${pix ? `, PIX ${pix}` : ""}`];
};

const explainDfName: Explainer = (value) =>
  /^[12]PAY\.SYS\.DDF01$/.test(Buffer.from(value).toString("latin1"))
    ? [`"${Buffer.from(value).toString("latin1")}"`]
    : explainAid(value, new Map());

/** Tags whose one byte is a code, and what the codes mean. */
const one =
  (names: Readonly<Record<string, string>>): Explainer =>
  (value) => [names[toHex(value)] ?? "a value without a meaning here"];

/** ISO 8583:1987, 4.3.8: the first two digits of the processing code. */
const TRANSACTION_TYPES = {
  "00": "goods and services",
  "01": "cash",
  "09": "goods and services with cashback",
  "20": "refund",
  "30": "inquiry",
  "31": "balance inquiry",
};
/** ISO 8583:1987, 4.3.14: the first two digits. */
const POS_ENTRY_MODES = {
  "00": "unknown",
  "01": "manual",
  "02": "magnetic stripe",
  "03": "optical code",
  "04": "OCR",
  "05": "integrated circuit card",
  "07": "contactless EMV",
  "10": "credentials on file",
  "80": "fallback from integrated circuit card to magnetic stripe",
  "90": "magnetic stripe, whole track",
  "91": "contactless magnetic stripe",
  "95": "integrated circuit card, CVV may be unreliable",
};
/** Book 3, Annex G. */
const ACCOUNT_TYPES = { "00": "default", "10": "savings", "20": "cheque or debit", "30": "credit" };
/** Book 4, A6. */
const RESPONSE_CODES = {
  [asciiHex("Y1")]: "offline approved",
  [asciiHex("Z1")]: "offline declined",
  [asciiHex("Y3")]: "unable to go online, offline approved",
  [asciiHex("Z3")]: "unable to go online, offline declined",
};
const responseCodes: Explainer = (value) => {
  const meaning = RESPONSE_CODES[toHex(value)];
  return meaning === undefined ? [] : [meaning];
};

function asciiHex(text: string): string {
  return Buffer.from(text, "ascii").toString("hex");
}

const explainTerminalType: Explainer = ([value = 0]) => {
  const type = terminalType(value);
  if (!type) return ["a value without a meaning here"];
  return [`${type.attended ? "attended" : "unattended"}, ${type.communication}, operated by ${type.operator}`];
};

const PRIORITY_BITS = 0x0f;
const explainPriority: Explainer = (value) => {
  const priority = (value[0] ?? 0) & PRIORITY_BITS;
  return [
    priority === 0 ? "no priority assigned" : `priority ${priority}`,
    ...(hasBit(value, CONFIRMATION_REQUIRED) ? [CONFIRMATION_REQUIRED.name] : []),
  ];
};

const explainLogEntry: Explainer = ([sfi = 0, records = 0]) => [
  `transaction log in SFI ${sfi}, at most ${count(records, "record")}`,
];

/** Commands that an issuer sends by script (Book 3, 6.5), by their INS. */
const SCRIPT_COMMANDS = new Map([
  [0x1e, "APPLICATION BLOCK"],
  [0x18, "APPLICATION UNBLOCK"],
  [0x16, "CARD BLOCK"],
  [0x24, "PIN CHANGE/UNBLOCK"],
  [0xda, "PUT DATA"],
  [0xdc, "UPDATE RECORD"],
]);
const explainScriptCommand: Explainer = (value) => {
  const { ins, data } = decodeCommand(value);
  return [`${SCRIPT_COMMANDS.get(ins) ?? "a command of the issuer"}, ${count(data?.length ?? 0, "byte")} of data`];
};

const SCRIPT_OUTCOMES = ["not performed", "failed", "successful"];
const SCRIPT_RESULT_BYTES = 5;
const explainScriptResults: Explainer = (value) =>
  Array.from({ length: Math.floor(value.length / SCRIPT_RESULT_BYTES) }, (_, index) => {
    const [first = 0, ...identifier] = value.subarray(index * SCRIPT_RESULT_BYTES, (index + 1) * SCRIPT_RESULT_BYTES);
    const outcome = SCRIPT_OUTCOMES[first >> 4] ?? "reserved";
    const command = first & 0x0f;
    const at = command === 0 ? "" : `, command ${command === 0x0f ? "15 or later" : command}`;
    return `script ${toHex(Uint8Array.from(identifier)).toUpperCase()}: ${outcome}${at}`;
  });

const AIP_BYTES = 2;
const FORMAT_1_CRYPTOGRAM = { min: 11, max: 43 };

/** Format 1 has no tags, so that only the command says what it is: here it is told by its form. */
const explainFormatOne: Explainer = (value, context) => {
  const { length } = value;
  const [cid = 0] = value;
  if (length > AIP_BYTES && (length - AIP_BYTES) % 4 === 0) {
    try {
      const afl = explainAfl(value.subarray(AIP_BYTES), context);
      const aip = value.subarray(0, AIP_BYTES);
      return [
        "as the answer to GET PROCESSING OPTIONS:",
        `  82 AIP ${toHex(aip).toUpperCase()}`,
        ...bits(AIP)(aip, context).map((line) => `    ${line}`),
        `  94 AFL ${toHex(value.subarray(AIP_BYTES)).toUpperCase()}`,
        ...afl.map((line) => `    ${line}`),
      ];
    } catch {
      // Not an AFL, so another answer.
    }
  }
  if (length < FORMAT_1_CRYPTOGRAM.min || length > FORMAT_1_CRYPTOGRAM.max || !cryptogramType(cid)) return [];
  const part = (from: number, to?: number) => value.subarray(from, to);
  const text = (bytes: Uint8Array) => toHex(bytes).toUpperCase();
  return [
    "as the answer to GENERATE AC:",
    `  9F27 CID ${text(part(0, 1))}`,
    ...explainCid(part(0, 1), context).map((line) => `    ${line}`),
    `  9F36 ATC ${text(part(1, 3))}`,
    `    ${binary(part(1, 3))}`,
    `  9F26 Application Cryptogram ${text(part(3, 11))}`,
    ...(length > FORMAT_1_CRYPTOGRAM.min ? [`  9F10 Issuer Application Data ${text(part(11))}`] : []),
  ];
};

const EXPLAINERS: ReadonlyMap<Tag, Explainer> = new Map<Tag, Explainer>([
  [0x4f, explainAid],
  [0x80, explainFormatOne],
  [0x81, amount(binary, 0x5f2a, 0x5f36)],
  [0x82, bits(AIP)],
  [0x84, explainDfName],
  [0x86, explainScriptCommand],
  [0x87, explainPriority],
  [0x88, ([sfi = 0]) => [`SFI ${sfi}`]],
  [0x8a, responseCodes],
  [0x8c, explainDol],
  [0x8d, explainDol],
  [0x8e, explainCvmList],
  [0x94, explainAfl],
  [0x95, bits(TVR)],
  [0x97, explainDol],
  [0x9a, explainDate],
  [0x9b, bits(TSI)],
  [0x9c, one(TRANSACTION_TYPES)],
  [0x9d, explainAid],
  [0x5f24, explainDate],
  [0x5f25, explainDate],
  [0x5f2a, explainCurrency],
  [0x5f57, one(ACCOUNT_TYPES)],
  [0x9f02, amount(decodeNumeric, 0x5f2a, 0x5f36)],
  [0x9f03, amount(decodeNumeric, 0x5f2a, 0x5f36)],
  [0x9f04, amount(binary, 0x5f2a, 0x5f36)],
  [0x9f06, explainAid],
  [0x9f07, bits(AUC)],
  [0x9f0d, bits(TVR)],
  [0x9f0e, bits(TVR)],
  [0x9f0f, bits(TVR)],
  [0x9f11, (value) => [`part ${decodeNumeric(value)} of ISO/IEC 8859`]],
  [0x9f13, decimal],
  [0x9f14, decimal],
  [0x9f17, decimal],
  [0x9f1b, amount(binary, 0x5f2a, 0x5f36)],
  [0x9f21, explainTime],
  [0x9f23, decimal],
  [0x9f27, explainCid],
  [0x9f30, bits(BIOMETRIC_TERMINAL_CAPABILITIES)],
  [0x9f33, bits(TERMINAL_CAPABILITIES)],
  [0x9f34, explainCvmResults],
  [0x9f35, explainTerminalType],
  [0x9f36, decimal],
  [0x9f38, explainDol],
  [0x9f39, one(POS_ENTRY_MODES)],
  [0x9f3a, amount(binary, 0x9f3c, 0x9f3d)],
  [0x9f3c, explainCurrency],
  [0x9f40, bits(ADDITIONAL_TERMINAL_CAPABILITIES)],
  [0x9f41, digits],
  [0x9f42, explainCurrency],
  [0x9f49, explainDol],
  [0x9f4a, explainTagList],
  [0x9f4d, explainLogEntry],
  [0x9f4f, explainDol],
  [0x9f5b, explainScriptResults],
  [0x9f66, bits(TTQ)],
]);
