/** An ISO 8583 message as a value, for those who build and read them. */
import { Fault } from "../../base/fault.ts";
import type { Tlv } from "../emv/ber-tlv.ts";

/**
 * Texts of every format but `b`; bytes of `b`; a list of data objects where the table says BER-TLV; sub-fields by number or tag
 * where it says so.
 */
export type FieldValue = string | Uint8Array | readonly Tlv[] | SubFields;

export interface SubFields {
  readonly [id: string]: FieldValue;
}

export interface Iso8583Message {
  /** Four digits: version, class, function, origin. */
  readonly mti: string;
  /** By number. Bitmaps (1, and 65 where there is a third) are the codec's affair. */
  readonly fields: Readonly<Record<number, FieldValue>>;
}

export interface Iso8583Codec {
  /** Faults `codec.invalid` and `codec.too-long` carry `details.path`. */
  pack(message: Iso8583Message): Uint8Array<ArrayBuffer>;
  /**
   * The whole of `bytes` is one message: what follows is refused. Values of `b` are views of it. Faults: `codec.truncated`,
   * `codec.invalid`, `codec.too-long`, with `details.path`, such as `55.9F26` or `48.3`, and no card data in them.
   */
  unpack(bytes: Uint8Array): Iso8583Message;
}

/** Data elements by the glossary's names, of those that 1987 and 1993 number alike. */
export const DE = {
  pan: 2,
  processingCode: 3,
  amountTransaction: 4,
  transmissionDateTime: 7,
  stan: 11,
  localTime: 12,
  localDate: 13,
  expiry: 14,
  settlementDate: 15,
  merchantType: 18,
  posEntryMode: 22,
  panSequenceNumber: 23,
  functionCode: 24,
  posConditionCode: 25,
  acquirer: 32,
  forwarder: 33,
  track2: 35,
  rrn: 37,
  approvalCode: 38,
  responseCode: 39,
  terminal: 41,
  merchant: 42,
  merchantNameLocation: 43,
  privateData: 48,
  currencyTransaction: 49,
  pinData: 52,
  additionalAmounts: 54,
  iccData: 55,
  originalDataElements1993: 56,
  networkManagementCode: 70,
  originalDataElements: 90,
  mac: 64,
  mac2: 128,
} as const;

/** A field that is a text; undefined when it is absent. */
export function textOf(message: Iso8583Message, de: number): string | undefined {
  const value = message.fields[de];
  if (value === undefined || typeof value === "string") return value;
  throw wrongKind(de, "a text");
}

/** A field of format `b`. */
export function bytesOf(message: Iso8583Message, de: number): Uint8Array | undefined {
  const value = message.fields[de];
  if (value === undefined || value instanceof Uint8Array) return value;
  throw wrongKind(de, "bytes");
}

/** A field of data objects, such as DE 55. */
export function tlvOf(message: Iso8583Message, de: number): readonly Tlv[] | undefined {
  const value = message.fields[de];
  if (value === undefined || isTlvList(value)) return value;
  throw wrongKind(de, "a list of data objects");
}

/** A field with sub-fields by number or tag. */
export function subFieldsOf(message: Iso8583Message, de: number): SubFields | undefined {
  const value = message.fields[de];
  if (value === undefined || isSubFields(value)) return value;
  throw wrongKind(de, "sub-fields");
}

export const isTlvList = (value: FieldValue): value is readonly Tlv[] => Array.isArray(value);

export const isSubFields = (value: FieldValue): value is SubFields =>
  typeof value === "object" && !(value instanceof Uint8Array) && !Array.isArray(value);

const wrongKind = (de: number, wanted: string): Fault =>
  new Fault("codec.invalid", `DE ${de} is not ${wanted}`, { details: { path: String(de) } });
