/** The RSA recovery function of EMV and the frame that all signed data share: header 6A, a hash, trailer BC (Book 2, Annex A2.1 and B2.1). */
import { createHash } from "node:crypto";
import { sameBytes, toHex } from "../../../base/bytes.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { OdaFailure } from "./authentication.ts";
import type { RsaPublicKey } from "./keys.ts";

/** Book 2, Annex D1.1: no modulus of the scheme is longer. */
export const MODULUS_BYTES_MAX = 248;
export const HASH_BYTES = 20;
/** Hash Algorithm Indicator of SHA-1, the only one that goes with RSA (Book 2, Annex B3). */
const HASH_ALGORITHM_SHA1 = 0x01;
/** Public Key Algorithm Indicator of RSA with SHA-1 (Book 2, Annex B2.4). */
export const KEY_ALGORITHM_RSA = 0x01;
export const PADDING = 0xbb;
const HEADER = 0x6a;
const TRAILER = 0xbc;
/** Exponents 3 and 2^16 + 1, and no others (Book 2, Annex B2.1). */
const EXPONENTS: ReadonlySet<string> = new Set(["03", "010001"]);

export const failure = (why: OdaFailure["why"], detail: string) => fail<OdaFailure>({ why, detail });

export const exponentAllowed = (exponent: Uint8Array): boolean => EXPONENTS.has(toHex(exponent));

const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

/** base^exponent mod modulus: both exponents are a power of two and one more. */
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = base;
  for (let left = exponent; left > 1n; left >>= 1n) result = (result * result) % modulus;
  return (result * base) % modulus;
}

/**
 * signed^e mod n, as long as the modulus. Undefined when the key cannot be one, when `signed` has another length than the
 * modulus, or when it is not below it. Nothing here is secret, so its time may tell what it will; and it takes a third of the
 * time of the library's, which a sale runs a few times and so always finds cold.
 */
export function recover(key: RsaPublicKey, signed: Uint8Array): Uint8Array | undefined {
  const { modulus, exponent } = key;
  const { length } = modulus;
  if (signed.length !== length || length > MODULUS_BYTES_MAX || !exponentAllowed(exponent)) return undefined;
  // Neither nothing nor an even number is a product of two primes.
  if (((modulus.at(-1) ?? 0) & 1) === 0) return undefined;
  const [n, base] = [numberOf(modulus), numberOf(signed)];
  if (base >= n) return undefined;
  const digits = power(base, numberOf(exponent), n).toString(16);
  return new Uint8Array(Buffer.from(digits.padStart(2 * length, "0"), "hex"));
}

export const sha1 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash("sha1");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** What distinguishes one kind of signed data from another. */
export interface SignedForm {
  /** In words, for details: "Issuer Public Key Certificate". */
  readonly name: string;
  /** The byte after the header. */
  readonly format: number;
  /** Where the Hash Algorithm Indicator stands, counted from the header. */
  readonly hashAlgorithmAt: number;
  /** Bytes of everything but the field of variable length. */
  readonly overhead: number;
}

/** Recovery and the checks of length, trailer, header and format: steps 1 to 4 of each clause. */
export function open(form: SignedForm, key: RsaPublicKey, signed: Uint8Array): Result<Uint8Array, OdaFailure> {
  const { name } = form;
  if (signed.length !== key.modulus.length) {
    return failure("format", `${name}: ${signed.length} bytes, and the key that signed it has ${key.modulus.length}`);
  }
  if (signed.length < form.overhead) {
    return failure("format", `${name}: ${signed.length} bytes are too few, it has at least ${form.overhead}`);
  }
  const block = recover(key, signed);
  if (!block) return failure("format", `${name}: cannot be recovered with the key that should have signed it`);
  if (block.at(-1) !== TRAILER) return failure("format", `${name}: the recovered data trailer is not BC`);
  if (block[0] !== HEADER) return failure("format", `${name}: the recovered data header is not 6A`);
  if (block[1] !== form.format) return failure("format", `${name}: not of format 0${form.format}`);
  return ok(block);
}

/** Whether the block's hash is the one over its fields between header and hash, and then `rest`. */
export function checkHash(
  form: SignedForm,
  block: Uint8Array,
  rest: readonly Uint8Array[],
): Result<undefined, OdaFailure> {
  if (block[form.hashAlgorithmAt] !== HASH_ALGORITHM_SHA1) {
    return failure("algorithm", `${form.name}: a Hash Algorithm Indicator other than 01 (SHA-1)`);
  }
  const end = block.length - 1 - HASH_BYTES;
  const computed = sha1(block.subarray(1, end), ...rest);
  if (!sameBytes(computed, block.subarray(end, end + HASH_BYTES))) {
    return failure("hash", `${form.name}: the hash does not hold`);
  }
  return ok(undefined);
}
