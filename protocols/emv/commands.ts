/** The commands of a contact EMV transaction and their answers (Book 1, 11.3; Book 3, 6.5). */
import { concat } from "../../base/bytes.ts";
import { Fault, isFault } from "../../base/fault.ts";
import { type AflEntry, decodeAfl } from "./afl.ts";
import { type CommandApdu, RESPONSE_DATA_BYTES_MAX } from "./apdu.ts";
import { decodeTlv, encodeTlv, findValue, offsetWithin, type Tlv, tagName } from "./ber-tlv.ts";

export const INS = {
  select: 0xa4,
  getProcessingOptions: 0xa8,
  readRecord: 0xb2,
  generateAc: 0xae,
  getData: 0xca,
  externalAuthenticate: 0x82,
  internalAuthenticate: 0x88,
  getChallenge: 0x84,
  getResponse: 0xc0,
} as const;

/** Payment System Environment of contact cards (Book 1, 12.2.2) and of contactless ones (Book B, 3.3.1). */
export const PSE_NAME = new Uint8Array(Buffer.from("1PAY.SYS.DDF01", "ascii"));
export const PPSE_NAME = new Uint8Array(Buffer.from("2PAY.SYS.DDF01", "ascii"));

export type SelectOccurrence = "first" | "next";

export const selectCommand = (name: Uint8Array, occurrence: SelectOccurrence = "first"): CommandApdu => ({
  cla: 0x00,
  ins: INS.select,
  p1: 0x04,
  p2: occurrence === "first" ? 0x00 : 0x02,
  data: name,
  le: RESPONSE_DATA_BYTES_MAX,
});

/** `pdolData` as `buildDol` makes it; empty when the card has no PDOL. */
export const getProcessingOptionsCommand = (pdolData: Uint8Array): CommandApdu => ({
  cla: 0x80,
  ins: INS.getProcessingOptions,
  p1: 0x00,
  p2: 0x00,
  data: encodeTlv([{ tag: 0x83, value: pdolData }]),
  le: RESPONSE_DATA_BYTES_MAX,
});

export const readRecordCommand = (at: { readonly sfi: number; readonly record: number }): CommandApdu => ({
  cla: 0x00,
  ins: INS.readRecord,
  p1: at.record,
  p2: (at.sfi << 3) | 0b100,
  le: RESPONSE_DATA_BYTES_MAX,
});

/** Application cryptograms by the two upper bits of P1 and of the CID. AAC declines, ARQC asks the issuer, TC approves. */
export type CryptogramType = "AAC" | "TC" | "ARQC";
const CRYPTOGRAM_BITS = { AAC: 0x00, TC: 0x40, ARQC: 0x80 } as const;

/** What the card is asked to sign with its cryptogram: bits 5 and 4 of P1 (Book 3, table 12). */
export type RequestedSignature = "none" | "cda" | "xda";
const SIGNATURE_BITS = { none: 0x00, cda: 0x10, xda: 0x08 } as const;

export const generateAcCommand = (
  type: CryptogramType,
  cdolData: Uint8Array,
  signature: RequestedSignature = "none",
): CommandApdu => ({
  cla: 0x80,
  ins: INS.generateAc,
  p1: CRYPTOGRAM_BITS[type] | SIGNATURE_BITS[signature],
  p2: 0x00,
  ...(cdolData.length > 0 && { data: cdolData }),
  le: RESPONSE_DATA_BYTES_MAX,
});

/** `ddolData` as `buildDol` makes it from the DDOL; never empty, as it has the unpredictable number (Book 2, 6.5.1). */
export const internalAuthenticateCommand = (ddolData: Uint8Array): CommandApdu => ({
  cla: 0x00,
  ins: INS.internalAuthenticate,
  p1: 0x00,
  p2: 0x00,
  data: ddolData,
  le: RESPONSE_DATA_BYTES_MAX,
});

/** The value of tag 91, 8 to 16 bytes (Book 3, 6.5.4). */
export const externalAuthenticateCommand = (issuerAuthenticationData: Uint8Array): CommandApdu => ({
  cla: 0x00,
  ins: INS.externalAuthenticate,
  p1: 0x00,
  p2: 0x00,
  data: issuerAuthenticationData,
});

/** Tags of two bytes, such as 9F36, 9F13, 9F17 and 9F4F (Book 3, 6.5.7). */
export const getDataCommand = (tag: number): CommandApdu => ({
  cla: 0x80,
  ins: INS.getData,
  p1: (tag >> 8) & 0xff,
  p2: tag & 0xff,
  le: RESPONSE_DATA_BYTES_MAX,
});

/** The type in P1 or in Cryptogram Information Data; undefined for the reserved value. */
export function cryptogramType(byte: number): CryptogramType | undefined {
  switch (byte & 0xc0) {
    case 0x00:
      return "AAC";
    case 0x40:
      return "TC";
    case 0x80:
      return "ARQC";
    default:
      return undefined;
  }
}

export type CidReason =
  | "none"
  | "service-not-allowed"
  | "pin-try-limit-exceeded"
  | "issuer-authentication-failed"
  | "reserved";
const CID_REASONS: readonly CidReason[] = [
  "none",
  "service-not-allowed",
  "pin-try-limit-exceeded",
  "issuer-authentication-failed",
];
const PAYMENT_SYSTEM_BITS = 0x30;
const ADVICE_REQUIRED = 0x08;
const REASON_BITS = 0x07;

/** Cryptogram Information Data, tag 9F27 (Book 3, table 15). */
export interface CryptogramInformation {
  /** Undefined for the reserved value. */
  readonly type: CryptogramType | undefined;
  /** 0 to 3; 0 for a cryptogram that is not the payment system's own. */
  readonly paymentSystemType: number;
  readonly adviceRequired: boolean;
  readonly reason: CidReason;
}

export const decodeCid = (byte: number): CryptogramInformation => ({
  type: cryptogramType(byte),
  paymentSystemType: (byte & PAYMENT_SYSTEM_BITS) >> 4,
  adviceRequired: (byte & ADVICE_REQUIRED) !== 0,
  reason: CID_REASONS[byte & REASON_BITS] ?? "reserved",
});

export const cryptogramBits = (type: CryptogramType): number => CRYPTOGRAM_BITS[type];

export interface ProcessingOptions {
  /** Application Interchange Profile, two bytes. */
  readonly aip: Uint8Array;
  readonly afl: readonly AflEntry[];
}

const AIP_BYTES = 2;

/** Format 1 (tag 80) or format 2 (tag 77); Book 3, 6.5.8.4. Faults carry `details.offset` within `data`. */
export function decodeProcessingOptions(data: Uint8Array): ProcessingOptions {
  const template = onlyObject(data);
  if (template.tag === 0x80 && "value" in template) {
    const { value } = template;
    const aip = exactly(value.subarray(0, AIP_BYTES), AIP_BYTES, data);
    return { aip, afl: decodeAflWithin(data, value.subarray(AIP_BYTES)) };
  }
  if (template.tag === 0x77 && "children" in template) {
    const aip = exactly(required(template.children, 0x82), AIP_BYTES, data);
    return { aip, afl: decodeAflWithin(data, required(template.children, 0x94)) };
  }
  throw atStart("the answer to GET PROCESSING OPTIONS is in neither format");
}

/** An AFL's own faults count from its first byte; the answer's from the answer's. */
function decodeAflWithin(data: Uint8Array, afl: Uint8Array): readonly AflEntry[] {
  try {
    return decodeAfl(afl);
  } catch (error) {
    if (!isFault(error)) throw error;
    const offset = offsetWithin(data, afl) + Number(error.details["offset"] ?? 0);
    throw new Fault(error.code, error.message, { details: { ...error.details, offset }, cause: error });
  }
}

/** The data objects of one record of the application (SFI 1 to 10): a single template 70. */
export function decodeRecord(data: Uint8Array): readonly Tlv[] {
  const template = onlyObject(data);
  if (template.tag !== 0x70 || !("children" in template)) throw atStart("a record without template 70");
  return template.children;
}

/** Signed Dynamic Application Data, tag 9F4B, in format 1 or format 2; Book 3, 6.5.9.4. */
export function decodeInternalAuthenticate(data: Uint8Array): Uint8Array {
  const template = onlyObject(data);
  if (template.tag === 0x80 && "value" in template) return template.value;
  if (template.tag === 0x77 && "children" in template) return required(template.children, 0x9f4b);
  throw atStart("the answer to INTERNAL AUTHENTICATE is in neither format");
}

/** The value of the data object that was asked for; Book 3, 6.5.7.4. */
export function decodeGetData(data: Uint8Array, tag: number): Uint8Array {
  const object = onlyObject(data);
  if (object.tag !== tag || !("value" in object)) {
    throw atStart(`the answer to GET DATA has tag ${tagName(object.tag)} and not ${tagName(tag)}`);
  }
  return object.value;
}

export interface Cryptogram {
  readonly type: CryptogramType;
  /** Cryptogram Information Data, tag 9F27. */
  readonly cid: number;
  /** Application Transaction Counter, tag 9F36. */
  readonly atc: Uint8Array;
  /** Eight bytes, tag 9F26; absent when the card signs instead (CDA). */
  readonly cryptogram?: Uint8Array;
  /** Issuer Application Data, tag 9F10. */
  readonly issuerApplicationData: Uint8Array;
  /** Tag 9F4B, of a card that signs. */
  readonly signedDynamicData?: Uint8Array;
}

const ATC_BYTES = 2;
const CRYPTOGRAM_BYTES = 8;
const ISSUER_APPLICATION_DATA_BYTES_MAX = 32;

/** Format 1 or format 2; Book 3, 6.5.5.4. Faults carry `details.offset` within `data`. */
export function decodeCryptogram(data: Uint8Array): Cryptogram {
  const template = onlyObject(data);
  const objects = "children" in template && template.tag === 0x77 ? template.children : formatOne(template, data);
  const information = exactly(required(objects, 0x9f27), 1, data);
  const cid = information[0] ?? 0;
  const type = cryptogramType(cid);
  if (!type) throw within(data, information, "a cryptogram of the reserved type");
  const cryptogram = present(objects, 0x9f26);
  const signedDynamicData = present(objects, 0x9f4b);
  if (!cryptogram && !signedDynamicData) throw atStart("GENERATE AC answered without a cryptogram");
  const issuerApplicationData = findValue(objects, 0x9f10) ?? new Uint8Array(0);
  if (issuerApplicationData.length > ISSUER_APPLICATION_DATA_BYTES_MAX) {
    throw within(data, issuerApplicationData, "Issuer Application Data of more than 32 bytes");
  }
  return {
    type,
    cid,
    atc: exactly(required(objects, 0x9f36), ATC_BYTES, data),
    issuerApplicationData,
    ...(cryptogram && { cryptogram: exactly(cryptogram, CRYPTOGRAM_BYTES, data) }),
    ...(signedDynamicData && { signedDynamicData }),
  };
}

function formatOne(template: Tlv, data: Uint8Array): readonly Tlv[] {
  if (template.tag !== 0x80 || !("value" in template)) {
    throw atStart("the answer to GENERATE AC is in neither format");
  }
  const { value } = template;
  const atc = 1;
  const cryptogram = atc + ATC_BYTES;
  const rest = cryptogram + CRYPTOGRAM_BYTES;
  if (value.length < rest) throw within(data, value, `an answer in format 1 has at least ${rest} bytes`);
  return [
    { tag: 0x9f27, value: value.subarray(0, atc) },
    { tag: 0x9f36, value: value.subarray(atc, cryptogram) },
    { tag: 0x9f26, value: value.subarray(cryptogram, rest) },
    { tag: 0x9f10, value: value.subarray(rest) },
  ];
}

/** Exactly one template, with nothing behind it: data after it are refused, not ignored. */
function onlyObject(data: Uint8Array): Tlv {
  const [object, ...more] = decodeTlv(data);
  if (!object || more.length > 0) throw atStart("an answer that is not one template");
  return object;
}

/** An object of length zero counts as absent (Book 3, 5.2). */
function present(objects: readonly Tlv[], tag: number): Uint8Array | undefined {
  const value = findValue(objects, tag);
  return value && value.length > 0 ? value : undefined;
}

function required(objects: readonly Tlv[], tag: number): Uint8Array {
  const value = present(objects, tag);
  if (!value) throw atStart(`the card's answer lacks tag ${tagName(tag)}`);
  return value;
}

function exactly(value: Uint8Array, bytes: number, data: Uint8Array): Uint8Array {
  if (value.length !== bytes) throw within(data, value, `a value of ${value.length} bytes where ${bytes} belong`);
  return value;
}

function within(data: Uint8Array, value: Uint8Array, reason: string): Fault {
  const offset = offsetWithin(data, value);
  return new Fault("codec.invalid", `${reason}, at byte ${offset}`, { details: { offset } });
}

/** For what concerns the answer as a whole. */
const atStart = (reason: string): Fault => new Fault("codec.invalid", reason, { details: { offset: 0 } });

/** Format 1 of the answer to GENERATE AC, and of GET PROCESSING OPTIONS: values one after another in tag 80. */
export const encodeFormatOne = (...values: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  encodeTlv([{ tag: 0x80, value: concat(...values) }]);
