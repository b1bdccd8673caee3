/** What issuer and ICC public key certificates have in common: the public key in two parts, dates and account numbers (Book 2, 5.3 and 6.4). */
import { concat, toHex } from "../../../base/bytes.ts";
import { ok, type Result } from "../../../base/result.ts";
import type { Tag } from "../ber-tlv.ts";
import type { OdaFailure, OdaInput } from "./authentication.ts";
import type { Day, RsaPublicKey } from "./keys.ts";
import {
  checkHash,
  exponentAllowed,
  failure,
  HASH_BYTES,
  KEY_ALGORITHM_RSA,
  MODULUS_BYTES_MAX,
  open,
  PADDING,
  type SignedForm,
} from "./rsa.ts";

/** Where a certificate keeps what, counted from the header. */
export interface CertificateForm extends SignedForm {
  readonly expiryAt: number;
  readonly serialAt: number;
  /** Public Key Algorithm Indicator; then come the lengths of modulus and exponent, then the modulus or its leftmost part. */
  readonly keyAlgorithmAt: number;
}

/** Book 2, Table 6. */
export const ISSUER_CERTIFICATE: CertificateForm = {
  name: "Issuer Public Key Certificate",
  format: 0x02,
  overhead: 36,
  expiryAt: 6,
  serialAt: 8,
  hashAlgorithmAt: 11,
  keyAlgorithmAt: 12,
};

/** Book 2, Table 14. */
export const ICC_CERTIFICATE: CertificateForm = {
  name: "ICC Public Key Certificate",
  format: 0x04,
  overhead: 42,
  expiryAt: 12,
  serialAt: 14,
  hashAlgorithmAt: 17,
  keyAlgorithmAt: 18,
};

export interface CertificateParts {
  readonly certificate: Uint8Array;
  readonly exponent: Uint8Array;
  readonly remainder: Uint8Array;
  /** What the hash covers beside the certificate's own fields and the key. */
  readonly hashed: Uint8Array;
}

const EXPIRY_BYTES = 2;
const SERIAL_BYTES = 3;

export interface OpenedCertificate {
  /** Recovered, from header to trailer. */
  readonly block: Uint8Array;
  /** MMYY. */
  readonly expiry: Uint8Array;
  readonly serialNumber: Uint8Array;
}

/** Recovery to the comparison of the hashes: steps 1 to 7 of 5.3 and 6.4. */
export function openCertificate(
  form: CertificateForm,
  signer: RsaPublicKey,
  { certificate, exponent, remainder, hashed }: CertificateParts,
): Result<OpenedCertificate, OdaFailure> {
  const opened = open(form, signer, certificate);
  if (!opened.ok) return opened;
  const block = opened.value;
  // Without its remainder the hash cannot hold; the true reason is that data are missing (Book 3, 7.5).
  const modulusLength = block[form.keyAlgorithmAt + 1] ?? 0;
  if (remainder.length === 0 && modulusLength > block.length - form.overhead) {
    return failure(
      "missing",
      `${form.name}: its key of ${modulusLength} bytes wants a remainder, and the card has none`,
    );
  }
  const hash = checkHash(form, block, [remainder, exponent, hashed]);
  if (!hash.ok) return hash;
  return ok({
    block,
    expiry: block.subarray(form.expiryAt, form.expiryAt + EXPIRY_BYTES),
    serialNumber: block.slice(form.serialAt, form.serialAt + SERIAL_BYTES),
  });
}

/** The public key out of its leftmost digits and the remainder: the last steps of 5.3 and 6.4. */
export function assembleKey(
  form: CertificateForm,
  block: Uint8Array,
  { exponent, remainder }: CertificateParts,
): Result<RsaPublicKey, OdaFailure> {
  const { name, keyAlgorithmAt } = form;
  const [algorithm, modulusLength = 0, exponentLength = 0] = block.subarray(keyAlgorithmAt);
  if (algorithm !== KEY_ALGORITHM_RSA) {
    return failure("algorithm", `${name}: a Public Key Algorithm Indicator other than 01 (RSA)`);
  }
  if (modulusLength === 0 || modulusLength > MODULUS_BYTES_MAX) {
    return failure("format", `${name}: it certifies a key of ${modulusLength} bytes, and 1 to 248 are allowed`);
  }
  if (exponentLength !== exponent.length || !exponentAllowed(exponent)) {
    return failure("format", `${name}: the exponent of its key is not 3 or 65537 in the length that it names`);
  }
  const field = block.subarray(keyAlgorithmAt + 3, block.length - 1 - HASH_BYTES);
  const remainderLength = Math.max(modulusLength - field.length, 0);
  if (remainder.length !== remainderLength) {
    return failure(
      "format",
      `${name}: its key wants a remainder of ${remainderLength} bytes, and has ${remainder.length}`,
    );
  }
  if (field.subarray(modulusLength).some((byte) => byte !== PADDING)) {
    return failure("format", `${name}: its key is not padded with BB`);
  }
  return ok({ modulus: concat(field.subarray(0, modulusLength), remainder), exponent });
}

const CENTURY_TURN = 50;

/** Valid to the last day of the month MMYY; years from 50 on are of the last century (Book 4, 6.7.3). */
export function checkExpiry(name: string, expiry: Uint8Array, today: Day): Result<undefined, OdaFailure> {
  const match = /^(0[1-9]|1[0-2])(\d\d)$/.exec(toHex(expiry));
  if (!match) return failure("format", `${name}: its expiration date is not MMYY`);
  const [month, year] = [Number(match[1]), Number(match[2])];
  const fullYear = year < CENTURY_TURN ? 2000 + year : 1900 + year;
  if (fullYear * 12 + month < today.year * 12 + today.month) {
    return failure("expired", `${name}: expired at the end of ${match[1]}/${fullYear}`);
  }
  return ok(undefined);
}

/** A mandatory data object of the card (Book 3, 7.5). */
export function need(values: OdaInput["values"], tag: Tag, name: string): Result<Uint8Array, OdaFailure> {
  const value = values.get(tag);
  if (value && value.length > 0) return ok(value);
  return failure("missing", `${name} (${tag.toString(16).toUpperCase()}): the card does not have it`);
}

/** The digits of an account number in format cn: left-justified, F behind. */
export function panDigits(value: Uint8Array): string | undefined {
  return /^(\d{1,19})f*$/.exec(toHex(value))?.[1];
}
