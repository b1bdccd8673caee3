/** What a simulated card has in its files: selection answers, records and data object lists (Book 1, 10 to 12; Book 3, 10.2). */
import { concat, fromHex } from "../../base/bytes.ts";
import { type AflEntry, encodeAfl } from "../../protocols/emv/afl.ts";
import { encodeTlv, type Tlv } from "../../protocols/emv/ber-tlv.ts";
import { AIP, setBit } from "../../protocols/emv/bits.ts";
import { PPSE_NAME, PSE_NAME } from "../../protocols/emv/commands.ts";
import { type DolEntry, encodeDol } from "../../protocols/emv/dol.ts";
import { encodeCompressed, encodeTrack2 } from "../../protocols/emv/numeric.ts";
import { mintCard } from "./mint/mint.ts";
import type { MintedCard, TestRsaKey } from "./mint/minted.ts";
import { testKey } from "./mint/test-keys.ts";
import type { ApplicationProfile, CardProfile } from "./profile.ts";

const PDOL: readonly DolEntry[] = [
  { tag: 0x9f1a, length: 2 },
  { tag: 0x5f2a, length: 2 },
];
const CDOL1: readonly DolEntry[] = [
  { tag: 0x9f02, length: 6 },
  { tag: 0x9f03, length: 6 },
  { tag: 0x9f1a, length: 2 },
  { tag: 0x95, length: 5 },
  { tag: 0x5f2a, length: 2 },
  { tag: 0x9a, length: 3 },
  { tag: 0x9c, length: 1 },
  { tag: 0x9f37, length: 4 },
];
const DDOL: readonly DolEntry[] = [{ tag: 0x9f37, length: 4 }];
const TDOL: readonly DolEntry[] = [
  { tag: 0x9f02, length: 6 },
  { tag: 0x5f2a, length: 2 },
  { tag: 0x9a, length: 3 },
  { tag: 0x9f37, length: 4 },
];
const TC_HASH: DolEntry = { tag: 0x98, length: 20 };
const RESPONSE_CODE: DolEntry = { tag: 0x8a, length: 2 };
/** Issuer Authentication Data, by the method of the answer cryptogram. */
const ISSUER_AUTHENTICATION_BYTES = { 1: 10, 2: 8 } as const;

/** `sfi.record`, as the AFL and the payment system directory name them. */
export type RecordKey = `${number}.${number}`;
type Records = ReadonlyMap<RecordKey, Uint8Array>;

/** An application as it was personalised. */
export interface ApplicationFiles {
  readonly aip: Uint8Array;
  readonly afl: Uint8Array;
  readonly pdol: readonly DolEntry[];
  readonly cdol1: readonly DolEntry[];
  readonly cdol2: readonly DolEntry[];
  readonly records: Records;
  /** Signs dynamic data; absent without DDA. */
  readonly key?: TestRsaKey;
}

/** Issuer scripts may write this record: it takes no part in offline data authentication. */
export const LIMITS_RECORD: RecordKey = "4.1";

export const pdolOf = (profile: ApplicationProfile): readonly DolEntry[] => profile.pdol ?? PDOL;

export function personalise(profile: ApplicationProfile): ApplicationFiles {
  const cdol1 = profile.tcHash ? [...CDOL1, TC_HASH] : CDOL1;
  const cdol2 = [RESPONSE_CODE, ...CDOL1, ...issuerAnswer(profile)];
  const aip = interchangeProfile(profile);
  const signed = signedRecords(profile, { cdol1, cdol2 });
  const minted = profile.oda && mint(profile, concat(...signed.map(({ content }) => content), aip));
  const certificates = minted ? certificateRecords(profile, minted) : [];
  const limits = profile.velocity ? [limitsRecord(profile.velocity)] : [];
  const records = new Map<RecordKey, Uint8Array>([
    ...signed.map(({ key, content }) => [key, record(altered(profile, key, content))] as const),
    ...certificates.map((content, index) => [`3.${index + 1}` as RecordKey, record(content)] as const),
    ...limits.map((content) => [LIMITS_RECORD, record(content)] as const),
  ]);
  const authenticated = minted ? 1 : 0;
  const afl: AflEntry[] = [
    { sfi: 1, firstRecord: 1, lastRecord: 2, authenticatedRecords: 2 * authenticated },
    { sfi: 2, firstRecord: 1, lastRecord: 1, authenticatedRecords: authenticated },
  ];
  if (certificates.length > 0) {
    afl.push({ sfi: 3, firstRecord: 1, lastRecord: certificates.length, authenticatedRecords: 0 });
  }
  if (limits.length > 0) afl.push({ sfi: 4, firstRecord: 1, lastRecord: 1, authenticatedRecords: 0 });
  const key = profile.lie === "cloned" ? keyOfACloner() : minted?.icc?.key;
  return { aip, afl: encodeAfl(afl), pdol: pdolOf(profile), cdol1, cdol2, records, ...(key && { key }) };
}

function issuerAnswer({ issuerAuthentication }: ApplicationProfile): readonly DolEntry[] {
  if (issuerAuthentication?.by !== "cdol2") return [];
  return [{ tag: 0x91, length: ISSUER_AUTHENTICATION_BYTES[issuerAuthentication.method] }];
}

function interchangeProfile({ oda, issuerAuthentication }: ApplicationProfile): Uint8Array {
  const aip = new Uint8Array(2);
  setBit(aip, AIP.cardholderVerification);
  setBit(aip, AIP.terminalRiskManagement);
  if (oda === "sda") setBit(aip, AIP.sda);
  if (oda === "dda" || oda === "cda") setBit(aip, AIP.dda);
  if (oda === "cda") setBit(aip, AIP.cda);
  if (issuerAuthentication?.by === "external") setBit(aip, AIP.issuerAuthentication);
  return aip;
}

const SERVICE_CODE = "201";

interface SignedRecord {
  readonly key: RecordKey;
  readonly content: Uint8Array;
}

/** The records of SFI 1 and 2, without their template. */
function signedRecords(
  profile: ApplicationProfile,
  lists: { readonly cdol1: readonly DolEntry[]; readonly cdol2: readonly DolEntry[] },
): readonly SignedRecord[] {
  const { pan, expiry } = profile;
  const number: Tlv = { tag: 0x5a, value: encodeCompressed(pan) };
  const expires: Tlv = { tag: 0x5f24, value: fromHex(`${expiry}31`) };
  const holder: readonly Tlv[] = [
    { tag: 0x57, value: encodeTrack2({ pan, expiry, serviceCode: SERVICE_CODE, discretionary: "0000000000" }) },
    { tag: 0x5f20, value: ascii(profile.cardholder) },
    { tag: 0x5f30, value: fromHex(`0${SERVICE_CODE}`) },
    ...(profile.lie === "duplicate-object" ? [number] : []),
  ];
  const application: readonly Tlv[] = [
    number,
    ...(profile.lie === "no-expiry" ? [] : [expires]),
    { tag: 0x5f25, value: fromHex(profile.effective ?? "200101") },
    { tag: 0x5f28, value: fromHex("0276") },
    { tag: 0x5f34, value: fromHex(profile.sequenceNumber) },
    { tag: 0x9f07, value: profile.usage ?? fromHex("FF00") },
    { tag: 0x9f08, value: fromHex("0001") },
    { tag: 0x9f42, value: fromHex("0978") },
    // Always: no CVM required (Book 3, C3).
    { tag: 0x8e, value: profile.cvmList ?? fromHex("00000000 00000000 1F00") },
    // Denied when the service is not allowed; online above the floor limit, when chosen at random or forced.
    { tag: 0x9f0d, value: profile.actionCodes?.default ?? fromHex("0000000000") },
    { tag: 0x9f0e, value: profile.actionCodes?.denial ?? fromHex("0010000000") },
    { tag: 0x9f0f, value: profile.actionCodes?.online ?? fromHex("0000009800") },
  ];
  const dols: readonly Tlv[] = [
    { tag: 0x8c, value: encodeDol(lists.cdol1) },
    { tag: 0x8d, value: encodeDol(lists.cdol2) },
    ...(profile.tcHash === "own-list" ? [{ tag: 0x97, value: encodeDol(TDOL) }] : []),
  ];
  return [
    { key: "1.1", content: encodeTlv(holder) },
    { key: "1.2", content: encodeTlv(application) },
    { key: "2.1", content: encodeTlv(dols) },
  ];
}

/** As long as the terminals' clocks are sure to stay before; the certificates of an expired application still hold. */
const CERTIFICATES_EXPIRE = "4912";
/** A number that no certificate can hold gets the certificate of this one, which then is a wrong one. */
const FALLBACK_PAN = "4761739001019999";

const mint = (profile: ApplicationProfile, staticData: Uint8Array): MintedCard =>
  mintCard({
    pan: /^\d{12,19}$/.test(profile.pan) ? profile.pan : FALLBACK_PAN,
    expiry: CERTIFICATES_EXPIRE,
    staticData,
    oda: profile.oda ?? "sda",
    chain: chainOf(profile),
    ...(profile.mintFault && { fault: profile.mintFault }),
  });

/** The short chain has two keys of one length, which the clone needs. */
const chainOf = ({ lie, chain = "standard" }: ApplicationProfile) => (lie === "cloned" ? "short" : chain);
const keyOfACloner = (): TestRsaKey => testKey("issuer-1152");

/** The records of SFI 3, as full as records may be. */
function certificateRecords(profile: ApplicationProfile, minted: MintedCard): readonly Uint8Array[] {
  const objects: Tlv[] = [
    { tag: 0x8f, value: Uint8Array.of(minted.caIndex) },
    { tag: 0x9f32, value: minted.issuerExponent },
    // The AIP is signed together with the records (Book 3, 10.3).
    { tag: 0x9f4a, value: Uint8Array.of(0x82) },
  ];
  const { icc, issuerRemainder, issuerCertificate, signedStaticData } = minted;
  if (issuerRemainder) objects.push({ tag: 0x92, value: issuerRemainder });
  if (icc) {
    objects.push({ tag: 0x9f47, value: icc.exponent });
    if (icc.remainder) objects.push({ tag: 0x9f48, value: icc.remainder });
    if (profile.ddol !== "none") objects.push({ tag: 0x9f49, value: encodeDol(DDOL) });
  }
  const short = profile.lie === "certificate-length" ? 1 : 0;
  objects.push({ tag: 0x90, value: issuerCertificate.subarray(short) });
  if (signedStaticData) objects.push({ tag: 0x93, value: signedStaticData });
  if (icc) objects.push({ tag: 0x9f46, value: iccCertificate(profile, icc.certificate) });
  return packed(objects);
}

/** The signature over static data is as long as the certificate and by the same key, but of another format. */
function iccCertificate(profile: ApplicationProfile, certificate: Uint8Array): Uint8Array {
  if (profile.lie !== "certificate-format") return certificate;
  return mint({ ...profile, oda: "sda" }, new Uint8Array()).signedStaticData ?? certificate;
}

/** Data of a response less the template's tag and length. */
const RECORD_BYTES_MAX = 256 - 3;

function packed(objects: readonly Tlv[]): readonly Uint8Array[] {
  const records: Uint8Array[] = [];
  for (const object of objects) {
    const bytes = encodeTlv([object]);
    const last = records.at(-1);
    if (last && last.length + bytes.length <= RECORD_BYTES_MAX) records[records.length - 1] = concat(last, bytes);
    else records.push(bytes);
  }
  return records;
}

const limitsRecord = (velocity: NonNullable<ApplicationProfile["velocity"]>): Uint8Array =>
  encodeTlv([
    { tag: 0x9f14, value: Uint8Array.of(velocity.lower) },
    { tag: 0x9f23, value: Uint8Array.of(velocity.upper) },
  ]);

/** What a lying card shows in place of what the issuer signed. */
function altered({ lie }: ApplicationProfile, key: RecordKey, content: Uint8Array): Uint8Array {
  if (key !== "1.1") return content;
  const bytes = Uint8Array.from(content);
  const last = bytes.length - 1;
  // The record ends with the service code: two bytes after tag 5F30 and its length.
  if (lie === "altered-record") bytes[last] = (bytes[last] ?? 0) ^ 0x01;
  if (lie === "record-length") bytes[last - 2] = 0x03;
  return bytes;
}

const RECORD_TEMPLATE = 0x70;
const LONG_FORM = 0x80;

/** Written by hand, because a lying record's content need not be TLV. */
const record = (content: Uint8Array): Uint8Array =>
  concat(
    Uint8Array.of(RECORD_TEMPLATE),
    content.length < LONG_FORM ? Uint8Array.of(content.length) : Uint8Array.of(LONG_FORM + 1, content.length),
    content,
  );

/** File control information of one of the directories, or of an application (Book 1, 11.3.4). */
export const pseAnswer = (): Uint8Array =>
  fci(PSE_NAME, [
    { tag: 0x88, value: Uint8Array.of(1) },
    { tag: 0x5f2d, value: ascii("en") },
  ]);

export const ppseAnswer = (profile: CardProfile): Uint8Array =>
  fci(PPSE_NAME, [{ tag: 0xbf0c, children: applicationsOf(profile).map(directoryEntry) }]);

export const applicationAnswer = (profile: ApplicationProfile): Uint8Array =>
  fci(profile.aid, [
    { tag: 0x50, value: ascii(profile.label) },
    { tag: 0x87, value: priorityIndicator(profile) },
    { tag: 0x9f38, value: encodeDol(pdolOf(profile)) },
    { tag: 0x5f2d, value: ascii("en") },
  ]);

export const applicationsOf = (profile: CardProfile): readonly ApplicationProfile[] => [
  profile,
  ...(profile.further ?? []),
];

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

const directoryEntry = (profile: ApplicationProfile): Tlv => ({
  tag: 0x61,
  children: [
    { tag: 0x4f, value: profile.aid },
    { tag: 0x50, value: ascii(profile.label) },
    { tag: 0x87, value: priorityIndicator(profile) },
  ],
});

/** Bit 8 asks for the cardholder's confirmation (Book 1, 12.2.3). */
const priorityIndicator = ({ priority, confirm }: ApplicationProfile): Uint8Array =>
  Uint8Array.of((confirm ? 0x80 : 0x00) | priority);

/** The directory file of the PSE, SFI 1: one application in each record. */
export const directoryRecords = (profile: CardProfile): Records =>
  new Map(
    applicationsOf(profile).map((application, index) => [
      `1.${index + 1}` as RecordKey,
      record(encodeTlv([directoryEntry(application)])),
    ]),
  );

const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "ascii"));
