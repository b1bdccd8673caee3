/** What a simulated card has in its files: selection answers, records and data object lists (Book 1, 10 to 12; Book 3, 10.2). */
import { fromHex } from "../../base/bytes.ts";
import { type AflEntry, encodeAfl } from "../../protocols/emv/afl.ts";
import { encodeTlv, type Tlv } from "../../protocols/emv/ber-tlv.ts";
import { PPSE_NAME, PSE_NAME } from "../../protocols/emv/commands.ts";
import { type DolEntry, encodeDol } from "../../protocols/emv/dol.ts";
import { encodeCompressed, encodeTrack2 } from "../../protocols/emv/numeric.ts";
import type { CardProfile } from "./profiles.ts";

export const PDOL: readonly DolEntry[] = [
  { tag: 0x9f1a, length: 2 },
  { tag: 0x5f2a, length: 2 },
];
export const CDOL1: readonly DolEntry[] = [
  { tag: 0x9f02, length: 6 },
  { tag: 0x9f03, length: 6 },
  { tag: 0x9f1a, length: 2 },
  { tag: 0x95, length: 5 },
  { tag: 0x5f2a, length: 2 },
  { tag: 0x9a, length: 3 },
  { tag: 0x9c, length: 1 },
  { tag: 0x9f37, length: 4 },
];
export const CDOL2: readonly DolEntry[] = [{ tag: 0x8a, length: 2 }, ...CDOL1];

/** Cardholder verification is supported, terminal risk management is to be performed; no offline data authentication. */
export const AIP = fromHex("18 00");

const AFL: readonly AflEntry[] = [
  { sfi: 1, firstRecord: 1, lastRecord: 2, authenticatedRecords: 0 },
  { sfi: 2, firstRecord: 1, lastRecord: 1, authenticatedRecords: 0 },
];
export const AFL_BYTES = encodeAfl(AFL);

/** `sfi.record`, as the AFL and the payment system directory name them. */
export type RecordKey = `${number}.${number}`;

export function selectAnswer(profile: CardProfile, name: "pse" | "ppse" | "application"): Uint8Array {
  switch (name) {
    case "pse":
      return fci(PSE_NAME, [
        { tag: 0x88, value: Uint8Array.of(1) },
        { tag: 0x5f2d, value: ascii("en") },
      ]);
    case "ppse":
      return fci(PPSE_NAME, [{ tag: 0xbf0c, children: [directoryEntry(profile)] }]);
    case "application":
      return fci(profile.aid, [
        { tag: 0x50, value: ascii(profile.label) },
        { tag: 0x87, value: Uint8Array.of(1) },
        { tag: 0x9f38, value: encodeDol(PDOL) },
        { tag: 0x5f2d, value: ascii("en") },
      ]);
  }
}

const fci = (name: Uint8Array, proprietary: readonly Tlv[]): Uint8Array =>
  encodeTlv([
    {
      tag: 0x6f,
      children: [
        { tag: 0x84, value: name },
        { tag: 0xa5, children: proprietary },
      ],
    },
  ]);

const directoryEntry = (profile: CardProfile): Tlv => ({
  tag: 0x61,
  children: [
    { tag: 0x4f, value: profile.aid },
    { tag: 0x50, value: ascii(profile.label) },
    { tag: 0x87, value: Uint8Array.of(1) },
  ],
});

/** The directory file of the PSE, SFI 1. */
export const directoryRecords = (profile: CardProfile): ReadonlyMap<RecordKey, Uint8Array> =>
  new Map([["1.1", record([directoryEntry(profile)])]]);

const SERVICE_CODE = "201";

export function applicationRecords(profile: CardProfile): ReadonlyMap<RecordKey, Uint8Array> {
  const { pan, expiry } = profile;
  return new Map<RecordKey, Uint8Array>([
    [
      "1.1",
      record([
        { tag: 0x57, value: encodeTrack2({ pan, expiry, serviceCode: SERVICE_CODE, discretionary: "0000000000" }) },
        { tag: 0x5f20, value: ascii(profile.cardholder) },
        { tag: 0x5f30, value: fromHex(`0${SERVICE_CODE}`) },
      ]),
    ],
    [
      "1.2",
      record([
        { tag: 0x5a, value: encodeCompressed(pan) },
        { tag: 0x5f24, value: fromHex(`${expiry}31`) },
        { tag: 0x5f25, value: fromHex("200101") },
        { tag: 0x5f28, value: fromHex("0276") },
        { tag: 0x5f34, value: fromHex(profile.sequenceNumber) },
        // Valid everywhere for goods, services and cash (Book 3, C2).
        { tag: 0x9f07, value: fromHex("FF00") },
        { tag: 0x9f08, value: fromHex("0001") },
        { tag: 0x9f42, value: fromHex("0978") },
        // Always: no CVM required (Book 3, C3).
        { tag: 0x8e, value: fromHex("00000000 00000000 1F00") },
        // Denied when the service is not allowed; online above the floor limit, when chosen at random or forced.
        { tag: 0x9f0d, value: fromHex("0000000000") },
        { tag: 0x9f0e, value: fromHex("0010000000") },
        { tag: 0x9f0f, value: fromHex("0000009800") },
      ]),
    ],
    [
      "2.1",
      record([
        { tag: 0x8c, value: encodeDol(CDOL1) },
        { tag: 0x8d, value: encodeDol(CDOL2) },
      ]),
    ],
  ]);
}

const record = (objects: readonly Tlv[]): Uint8Array => encodeTlv([{ tag: 0x70, children: objects }]);
const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "ascii"));
