/**
 * What a cryptogram version fixes: the key, the data in their order and the padding. Versions 10 and 18 are those of VIS
 * 1.5, `common-core` is cryptogram version 5 of EMV's Common Core Definitions (Book 2, Part IV, 8.1; Book 3, C9).
 */
import { concat } from "../../base/bytes.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { Tag } from "./ber-tlv.ts";
import { applicationCryptogram, commonSessionKey, type Padding, sameCryptogram } from "./cryptogram.ts";

export const CRYPTOGRAM_VERSIONS = [10, 18, "common-core"] as const;
export type CryptogramVersion = (typeof CRYPTOGRAM_VERSIONS)[number];

const CRYPTOGRAM_TAG = 0x9f26;
const ISSUER_DATA_TAG = 0x9f10;
const ATC_TAG = 0x9f36;

/**
 * Table CCD 3 without the Issuer Application Data, and the same order in VIS. The lengths are checked: bytes that one field
 * lends to its neighbour would leave the cryptogram right and the amount wrong.
 */
const INPUT: readonly { readonly tag: Tag; readonly length: number }[] = [
  { tag: 0x9f02, length: 6 },
  { tag: 0x9f03, length: 6 },
  { tag: 0x9f1a, length: 2 },
  { tag: 0x95, length: 5 },
  { tag: 0x5f2a, length: 2 },
  { tag: 0x9a, length: 3 },
  { tag: 0x9c, length: 1 },
  { tag: 0x9f37, length: 4 },
  { tag: 0x82, length: 2 },
  { tag: ATC_TAG, length: 2 },
];

interface Scheme {
  readonly padding: Padding;
  key(masterKey: Uint8Array, atc: number): Uint8Array;
  /** What of the Issuer Application Data is covered. */
  covered(issuerData: Uint8Array): Uint8Array;
}

/** Length, derivation key index and version come before the card verification results, which begin with their length, 03. */
const VIS_RESULTS_AT = 3;
const VIS_RESULTS_BYTES = 4;
const WITH_SESSION_KEY: Scheme = { padding: "method2", key: commonSessionKey, covered: (issuerData) => issuerData };
const SCHEMES: Readonly<Record<CryptogramVersion, Scheme>> = {
  10: {
    padding: "method1",
    key: (masterKey) => masterKey,
    covered: (issuerData) => issuerData.subarray(VIS_RESULTS_AT, VIS_RESULTS_AT + VIS_RESULTS_BYTES),
  },
  18: WITH_SESSION_KEY,
  "common-core": WITH_SESSION_KEY,
};

/** The key of a transaction's cryptograms and their answers. */
export const cryptogramKey = (version: CryptogramVersion, masterKey: Uint8Array, atc: number): Uint8Array =>
  SCHEMES[version].key(masterKey, atc);

const COMMON_CORE_BYTES = 32;
const COMMON_CORE_LENGTH = 0x0f;
/** Format code A, cryptogram version 5 (Book 3, C7.1 and C9). */
const COMMON_CORE_TRIPLE_DES = 0xa5;
const VIS_BYTES_MIN = VIS_RESULTS_AT + VIS_RESULTS_BYTES;

/** The version that the card says it used; undefined for one that is not known here. */
export function versionOf(issuerData: Uint8Array): CryptogramVersion | undefined {
  const [length = 0, second, third] = issuerData;
  if (issuerData.length === COMMON_CORE_BYTES && length === COMMON_CORE_LENGTH)
    return second === COMMON_CORE_TRIPLE_DES ? "common-core" : undefined;
  if (issuerData.length < VIS_BYTES_MIN || length < VIS_BYTES_MIN - 1) return undefined;
  return CRYPTOGRAM_VERSIONS.find((version) => version === third);
}

/** `missing`: not there, or not of its length. */
export type InputFailure = { readonly missing: Tag };

/** The data under a cryptogram of this version, from the transaction's data objects by tag. */
export function cryptogramInput(
  version: CryptogramVersion,
  values: ReadonlyMap<Tag, Uint8Array>,
): Result<Uint8Array, InputFailure> {
  const parts: Uint8Array[] = [];
  for (const { tag, length } of INPUT) {
    const value = values.get(tag);
    if (value?.length !== length) return fail({ missing: tag });
    parts.push(value);
  }
  const issuerData = values.get(ISSUER_DATA_TAG);
  if (!issuerData) return fail({ missing: ISSUER_DATA_TAG });
  return ok(concat(...parts, SCHEMES[version].covered(issuerData)));
}

/** ARQC, TC or AAC as the card makes it, from its transaction's data objects by tag. */
export function makeCryptogram(
  version: CryptogramVersion,
  masterKey: Uint8Array,
  values: ReadonlyMap<Tag, Uint8Array>,
): Result<Uint8Array, InputFailure> {
  const input = cryptogramInput(version, values);
  if (!input.ok) return input;
  const key = cryptogramKey(version, masterKey, atcOf(values));
  return ok(applicationCryptogram(key, input.value, SCHEMES[version].padding));
}

export type CheckFailure = InputFailure | "wrong" | "other-version";
export interface CheckedCryptogram {
  /** 9F26. */
  readonly cryptogram: Uint8Array;
  readonly atc: number;
  /** For the answer to it. */
  readonly key: Uint8Array;
}

/** Whether tag 9F26 is what this card makes of the other data objects; compared in constant time. */
export function checkCryptogram(
  version: CryptogramVersion,
  masterKey: Uint8Array,
  values: ReadonlyMap<Tag, Uint8Array>,
): Result<CheckedCryptogram, CheckFailure> {
  const issuerData = values.get(ISSUER_DATA_TAG);
  if (issuerData && versionOf(issuerData) !== version) return fail("other-version");
  const expected = makeCryptogram(version, masterKey, values);
  if (!expected.ok) return expected;
  const cryptogram = values.get(CRYPTOGRAM_TAG);
  if (!cryptogram) return fail({ missing: CRYPTOGRAM_TAG });
  if (!sameCryptogram(cryptogram, expected.value)) return fail("wrong");
  const atc = atcOf(values);
  return ok({ cryptogram, atc, key: cryptogramKey(version, masterKey, atc) });
}

const atcOf = (values: ReadonlyMap<Tag, Uint8Array>): number => {
  const [high = 0, low = 0] = values.get(ATC_TAG) ?? [];
  return high * 0x100 + low;
};
