/** The commands of a contact EMV transaction and their answers (Book 1, 11.3; Book 3, 6.5). */
import { ByteReader, concat } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import { type AflEntry, decodeAfl } from "./afl.ts";
import { type CommandApdu, RESPONSE_DATA_BYTES_MAX } from "./apdu.ts";
import { decodeTlv, encodeTlv, findValue, type Tlv } from "./ber-tlv.ts";

export const INS = {
  select: 0xa4,
  getProcessingOptions: 0xa8,
  readRecord: 0xb2,
  generateAc: 0xae,
  getData: 0xca,
  externalAuthenticate: 0x82,
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

export const generateAcCommand = (type: CryptogramType, cdolData: Uint8Array): CommandApdu => ({
  cla: 0x80,
  ins: INS.generateAc,
  p1: CRYPTOGRAM_BITS[type],
  p2: 0x00,
  data: cdolData,
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

export const cryptogramBits = (type: CryptogramType): number => CRYPTOGRAM_BITS[type];

export interface ProcessingOptions {
  /** Application Interchange Profile, two bytes. */
  readonly aip: Uint8Array;
  readonly afl: readonly AflEntry[];
}

const AIP_BYTES = 2;

/** Format 1 (tag 80) or format 2 (tag 77); Book 3, 6.5.8.4. */
export function decodeProcessingOptions(data: Uint8Array): ProcessingOptions {
  const template = onlyObject(data);
  if (template.tag === 0x80 && "value" in template) {
    const { value } = template;
    return { aip: exactly(value.subarray(0, AIP_BYTES), AIP_BYTES), afl: decodeAfl(value.subarray(AIP_BYTES)) };
  }
  if (template.tag === 0x77 && "children" in template) {
    return {
      aip: exactly(required(template.children, 0x82), AIP_BYTES),
      afl: decodeAfl(required(template.children, 0x94)),
    };
  }
  throw new Fault("codec.invalid", "the answer to GET PROCESSING OPTIONS is in neither format");
}

/** The data objects of one record of the application (SFI 1 to 10): a single template 70. */
export function decodeRecord(data: Uint8Array): readonly Tlv[] {
  const template = onlyObject(data);
  if (template.tag !== 0x70 || !("children" in template))
    throw new Fault("codec.invalid", "a record without template 70");
  return template.children;
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

/** Format 1 or format 2; Book 3, 6.5.5.4. */
export function decodeCryptogram(data: Uint8Array): Cryptogram {
  const template = onlyObject(data);
  const objects = "children" in template && template.tag === 0x77 ? template.children : formatOne(template);
  const cid = exactly(required(objects, 0x9f27), 1)[0] ?? 0;
  const type = cryptogramType(cid);
  if (!type) throw new Fault("codec.invalid", "a cryptogram of the reserved type");
  const cryptogram = findValue(objects, 0x9f26);
  const signedDynamicData = findValue(objects, 0x9f4b);
  if (!cryptogram && !signedDynamicData) throw new Fault("codec.invalid", "GENERATE AC answered without a cryptogram");
  const issuerApplicationData = findValue(objects, 0x9f10) ?? new Uint8Array(0);
  if (issuerApplicationData.length > ISSUER_APPLICATION_DATA_BYTES_MAX) {
    throw new Fault("codec.too-long", "Issuer Application Data of more than 32 bytes");
  }
  return {
    type,
    cid,
    atc: exactly(required(objects, 0x9f36), ATC_BYTES),
    issuerApplicationData,
    ...(cryptogram && { cryptogram: exactly(cryptogram, CRYPTOGRAM_BYTES) }),
    ...(signedDynamicData && { signedDynamicData }),
  };
}

function formatOne(template: Tlv): readonly Tlv[] {
  if (template.tag !== 0x80 || !("value" in template)) {
    throw new Fault("codec.invalid", "the answer to GENERATE AC is in neither format");
  }
  const reader = new ByteReader(template.value);
  return [
    { tag: 0x9f27, value: reader.take(1) },
    { tag: 0x9f36, value: reader.take(ATC_BYTES) },
    { tag: 0x9f26, value: reader.take(CRYPTOGRAM_BYTES) },
    { tag: 0x9f10, value: reader.take(reader.remaining) },
  ];
}

/** Exactly one template, with nothing behind it: data after it are refused, not ignored. */
function onlyObject(data: Uint8Array): Tlv {
  const [object, ...more] = decodeTlv(data);
  if (!object || more.length > 0) throw new Fault("codec.invalid", "an answer that is not one template");
  return object;
}

function required(objects: readonly Tlv[], tag: number): Uint8Array {
  const value = findValue(objects, tag);
  if (!value) throw new Fault("codec.invalid", `the card's answer lacks tag ${tag.toString(16).toUpperCase()}`);
  return value;
}

function exactly(value: Uint8Array, bytes: number): Uint8Array {
  if (value.length !== bytes)
    throw new Fault("codec.invalid", `a value of ${value.length} bytes where ${bytes} belong`);
  return value;
}

/** Format 1 of the answer to GENERATE AC, and of GET PROCESSING OPTIONS: values one after another in tag 80. */
export const encodeFormatOne = (...values: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  encodeTlv([{ tag: 0x80, value: concat(...values) }]);
