/** Offline data authentication by RSA: certificate chain, SDA, DDA and CDA (Book 2, 5 and 6). Any bytes at all give a Result. */
import { sameBytes, toHex } from "../../../base/bytes.ts";
import { ok, type Result } from "../../../base/result.ts";
import type { IssuerPublicKey, OdaFailure, OdaInput } from "./authentication.ts";
import { caKeyExpired, caKeyHashHolds, findCaKey, isRevoked } from "./capk.ts";
import {
  assembleKey,
  type CertificateParts,
  checkExpiry,
  ICC_CERTIFICATE,
  ISSUER_CERTIFICATE,
  need,
  openCertificate,
  panDigits,
} from "./certificates.ts";
import type { CaPublicKey, RsaPublicKey } from "./keys.ts";
import { checkHash, failure, HASH_BYTES, open, PADDING, type SignedForm, sha1 } from "./rsa.ts";

const EMPTY = new Uint8Array(0);

/** Retrieval of the Certification Authority Public Key (5.2), which must be whole and not expired. */
function caKeyOf({ values, rid, caKeys, today }: OdaInput): Result<CaPublicKey, OdaFailure> {
  const named = need(values, 0x8f, "Certification Authority Public Key Index");
  if (!named.ok) return named;
  const [index = 0, ...more] = named.value;
  if (more.length > 0) return failure("format", "Certification Authority Public Key Index (8F): not one byte");
  const key = findCaKey(caKeys, rid, index);
  const name = `CA key ${toHex(rid).toUpperCase()} ${toHex(named.value).toUpperCase()}`;
  if (!key) return failure("no-ca-key", `${name}: not in the list of CA keys`);
  if (!caKeyHashHolds(key)) return failure("no-ca-key", `${name}: its SHA-1 does not hold, so it is not used`);
  if (caKeyExpired(key, today)) return failure("ca-key-expired", `${name}: expired after ${key.expires}`);
  return ok(key);
}

const ISSUER_IDENTIFIER_AT = 2;
const ISSUER_IDENTIFIER_BYTES = 4;

/** Retrieval of the Issuer Public Key (5.3, and 6.3 for DDA and CDA). */
export function recoverIssuerKey(input: OdaInput): Result<IssuerPublicKey, OdaFailure> {
  const form = ISSUER_CERTIFICATE;
  const ca = caKeyOf(input);
  if (!ca.ok) return ca;
  const parts = certificateParts(input, { certificate: 0x90, exponent: 0x9f32, remainder: 0x92 }, EMPTY);
  if (!parts.ok) return parts;
  // Steps 1 to 7.
  const opened = openCertificate(form, ca.value, parts.value);
  if (!opened.ok) return opened;
  const { block, expiry, serialNumber } = opened.value;
  // Step 8: the leftmost 3 to 8 digits of the PAN, padded with F.
  const pan = cardPan(input);
  if (!pan.ok) return pan;
  const identifier = block.subarray(ISSUER_IDENTIFIER_AT, ISSUER_IDENTIFIER_AT + ISSUER_IDENTIFIER_BYTES);
  const digits = /^(\d{3,8})f*$/.exec(toHex(identifier))?.[1];
  if (digits === undefined || !pan.value.startsWith(digits)) {
    return failure("identifier", `${form.name}: its Issuer Identifier is not the beginning of the PAN`);
  }
  // Steps 9 and 10.
  const valid = checkExpiry(form.name, expiry, input.today);
  if (!valid.ok) return valid;
  if (isRevoked(input.revoked, { rid: ca.value.rid, index: ca.value.index, serialNumber })) {
    return failure("revoked", `${form.name}: number ${toHex(serialNumber).toUpperCase()} is on the revocation list`);
  }
  // Steps 11 and 12.
  const key = assembleKey(form, block, parts.value);
  return key.ok ? ok({ ...key.value, serialNumber }) : key;
}

const ICC_PAN_AT = 2;
const ICC_PAN_BYTES = 10;

/** Retrieval of the ICC Public Key (6.4); the hash covers the static data too. */
export function recoverIccKey(input: OdaInput, issuer: RsaPublicKey): Result<RsaPublicKey, OdaFailure> {
  const form = ICC_CERTIFICATE;
  const parts = certificateParts(input, { certificate: 0x9f46, exponent: 0x9f47, remainder: 0x9f48 }, input.staticData);
  if (!parts.ok) return parts;
  const list = checkTagList(input);
  if (!list.ok) return list;
  // Steps 1 to 7.
  const opened = openCertificate(form, issuer, parts.value);
  if (!opened.ok) return opened;
  const { block, expiry } = opened.value;
  // Step 8.
  const pan = cardPan(input);
  if (!pan.ok) return pan;
  if (panDigits(block.subarray(ICC_PAN_AT, ICC_PAN_AT + ICC_PAN_BYTES)) !== pan.value) {
    return failure("identifier", `${form.name}: its PAN is not the application's`);
  }
  // Steps 9 to 11.
  const valid = checkExpiry(form.name, expiry, input.today);
  if (!valid.ok) return valid;
  return assembleKey(form, block, parts.value);
}

interface PartTags {
  readonly certificate: number;
  readonly exponent: number;
  /** Absent, or empty, when the whole key fits the certificate. */
  readonly remainder: number;
}

function certificateParts(input: OdaInput, tags: PartTags, hashed: Uint8Array): Result<CertificateParts, OdaFailure> {
  const who = tags.certificate === 0x90 ? "Issuer" : "ICC";
  const certificate = need(input.values, tags.certificate, `${who} Public Key Certificate`);
  if (!certificate.ok) return certificate;
  const exponent = need(input.values, tags.exponent, `${who} Public Key Exponent`);
  if (!exponent.ok) return exponent;
  const remainder = input.values.get(tags.remainder) ?? EMPTY;
  return ok({ certificate: certificate.value, exponent: exponent.value, remainder, hashed });
}

function cardPan({ values }: OdaInput): Result<string, OdaFailure> {
  const value = need(values, 0x5a, "Application PAN");
  if (!value.ok) return value;
  const digits = panDigits(value.value);
  return digits === undefined ? failure("format", "Application PAN (5A): not digits and then F") : ok(digits);
}

/** The Static Data Authentication Tag List may name the AIP and nothing else (Book 3, 10.3). */
function checkTagList({ values }: OdaInput): Result<undefined, OdaFailure> {
  const list = values.get(0x9f4a);
  if (list === undefined || (list.length === 1 && list[0] === 0x82)) return ok(undefined);
  return failure("format", "Static Data Authentication Tag List (9F4A): it may name tag 82 only");
}

/** Book 2, Table 7. */
const SIGNED_STATIC_DATA: SignedForm = {
  name: "Signed Static Application Data",
  format: 0x03,
  hashAlgorithmAt: 2,
  overhead: 26,
};
const DATA_AUTHENTICATION_CODE_AT = 3;
const DATA_AUTHENTICATION_CODE_BYTES = 2;

/** SDA: verification of Signed Static Application Data (5.4). */
export function verifyStaticData(
  input: OdaInput,
  issuer: RsaPublicKey,
): Result<{ readonly dataAuthenticationCode: Uint8Array }, OdaFailure> {
  const form = SIGNED_STATIC_DATA;
  const signed = need(input.values, 0x93, form.name);
  if (!signed.ok) return signed;
  const list = checkTagList(input);
  if (!list.ok) return list;
  const opened = open(form, issuer, signed.value);
  if (!opened.ok) return opened;
  const block = opened.value;
  const hash = checkHash(form, block, [input.staticData]);
  if (!hash.ok) return hash;
  const padAt = DATA_AUTHENTICATION_CODE_AT + DATA_AUTHENTICATION_CODE_BYTES;
  if (!isPadding(block, padAt)) return failure("format", `${form.name}: not padded with BB`);
  return ok({ dataAuthenticationCode: block.slice(DATA_AUTHENTICATION_CODE_AT, padAt) });
}

/** From `from` up to the hash. */
const isPadding = (block: Uint8Array, from: number): boolean =>
  block.subarray(from, block.length - 1 - HASH_BYTES).every((byte) => byte === PADDING);

/** Book 2, Tables 17 and 22. */
const SIGNED_DYNAMIC_DATA: SignedForm = {
  name: "Signed Dynamic Application Data",
  format: 0x05,
  hashAlgorithmAt: 2,
  overhead: 25,
};
const DYNAMIC_LENGTH_AT = 3;
const DYNAMIC_DATA_AT = 4;
const DYNAMIC_NUMBER_BYTES_MIN = 2;
const DYNAMIC_NUMBER_BYTES_MAX = 8;

interface DynamicData {
  readonly iccDynamicNumber: Uint8Array;
  /** What follows the number in the ICC Dynamic Data. */
  readonly rest: Uint8Array;
}

/** What DDA and CDA share: steps 1 to 7 of 6.5.2; `terminalData` is hashed behind the card's fields. */
function openDynamicData(
  icc: RsaPublicKey,
  signed: Uint8Array,
  terminalData: Uint8Array,
): Result<DynamicData, OdaFailure> {
  const form = SIGNED_DYNAMIC_DATA;
  const opened = open(form, icc, signed);
  if (!opened.ok) return opened;
  const block = opened.value;
  const hash = checkHash(form, block, [terminalData]);
  if (!hash.ok) return hash;
  const length = block[DYNAMIC_LENGTH_AT] ?? 0;
  if (length > block.length - form.overhead) {
    return failure("format", `${form.name}: ICC Dynamic Data of ${length} bytes do not fit`);
  }
  const padAt = DYNAMIC_DATA_AT + length;
  if (!isPadding(block, padAt)) return failure("format", `${form.name}: not padded with BB`);
  const data = block.slice(DYNAMIC_DATA_AT, padAt);
  const numberLength = data[0] ?? 0;
  const numberEnd = 1 + numberLength;
  if (numberLength < DYNAMIC_NUMBER_BYTES_MIN || numberLength > DYNAMIC_NUMBER_BYTES_MAX || numberEnd > data.length) {
    return failure("format", `${form.name}: its ICC Dynamic Number is not of 2 to 8 bytes`);
  }
  return ok({ iccDynamicNumber: data.slice(1, numberEnd), rest: data.slice(numberEnd) });
}

export interface DynamicDataInput {
  /** Tag 9F4B, from the answer to INTERNAL AUTHENTICATE. */
  readonly signed: Uint8Array;
  /** The values of the DDOL as they were sent; the caller sees to it that the DDOL asks for the Unpredictable Number (6.5.1). */
  readonly terminalData: Uint8Array;
}

/** DDA: verification of Signed Dynamic Application Data (6.5.2). */
export function verifyDynamicData(
  icc: RsaPublicKey,
  { signed, terminalData }: DynamicDataInput,
): Result<{ readonly iccDynamicNumber: Uint8Array }, OdaFailure> {
  const dynamic = openDynamicData(icc, signed, terminalData);
  return dynamic.ok ? ok({ iccDynamicNumber: dynamic.value.iccDynamicNumber }) : dynamic;
}

export interface CombinedDataInput {
  /** Tag 9F4B, from the answer to GENERATE AC. */
  readonly signed: Uint8Array;
  /** Cryptogram Information Data as the answer has them in clear, tag 9F27. */
  readonly cid: number;
  /** Tag 9F37 as the card was given it. */
  readonly unpredictableNumber: Uint8Array;
  /**
   * PDOL values, CDOL1 values, for the second GENERATE AC also CDOL2 values, then the answer's data objects in their order
   * with tag and length, without 9F4B (6.6.2, steps 10 and 11).
   */
  readonly transactionData: Uint8Array;
}

export interface CombinedData {
  readonly iccDynamicNumber: Uint8Array;
  /** Application Cryptogram, TC or ARQC, eight bytes. */
  readonly cryptogram: Uint8Array;
}

const UNPREDICTABLE_NUMBER_BYTES = 4;
const CRYPTOGRAM_BYTES = 8;
/** CID, cryptogram and Transaction Data Hash Code (Table 19). */
const COMBINED_BYTES = 1 + CRYPTOGRAM_BYTES + HASH_BYTES;

/** CDA: verification of the signature in the answer to GENERATE AC (6.6.2). */
export function verifyCombined(
  icc: RsaPublicKey,
  { signed, cid, unpredictableNumber, transactionData }: CombinedDataInput,
): Result<CombinedData, OdaFailure> {
  const { name } = SIGNED_DYNAMIC_DATA;
  if (unpredictableNumber.length !== UNPREDICTABLE_NUMBER_BYTES) {
    return failure("format", "Unpredictable Number (9F37): not four bytes");
  }
  const dynamic = openDynamicData(icc, signed, unpredictableNumber);
  if (!dynamic.ok) return dynamic;
  const { iccDynamicNumber, rest } = dynamic.value;
  if (rest.length < COMBINED_BYTES) {
    return failure(
      "format",
      `${name}: no CID, cryptogram and Transaction Data Hash Code behind the ICC Dynamic Number`,
    );
  }
  if (rest[0] !== cid) return failure("identifier", `${name}: its CID is not the one in the answer`);
  const cryptogram = rest.slice(1, 1 + CRYPTOGRAM_BYTES);
  if (!sameBytes(sha1(transactionData), rest.subarray(1 + CRYPTOGRAM_BYTES, COMBINED_BYTES))) {
    return failure("hash", `${name}: the Transaction Data Hash Code does not hold`);
  }
  return ok({ iccDynamicNumber, cryptogram });
}
