/** Lists of certification authorities' public keys and of revoked certificates as JSON, and the look-ups in them (Book 2, 11.2; Book 4, 10.2). */
import { z } from "zod";
import { fromHex, sameBytes } from "../../../base/bytes.ts";
import { Fault } from "../../../base/fault.ts";
import type { CaPublicKey, Day, RevokedCertificate } from "./keys.ts";
import { HASH_BYTES, MODULUS_BYTES_MAX, sha1 } from "./rsa.ts";

const RID_BYTES = 5;
const SERIAL_BYTES = 3;
const INDEX_MAX = 0xff;
const INDEX_EXPECTED = "is neither a whole number up to 255 nor a byte in hex";
/** More keys or revocations than all schemes together have. */
export const CA_KEYS_MAX = 1_000;
export const REVOKED_MAX = 10_000;

interface Bounds {
  readonly min: number;
  readonly max: number;
}

const hexBytes = ({ min, max }: Bounds) =>
  z
    .string()
    .regex(/^([0-9a-fA-F]{2})*$/, "is not a string of whole bytes in hex")
    .refine((text) => text.length >= min * 2 && text.length <= max * 2, {
      message: min === max ? `is not ${min} bytes long` : `is not ${min} to ${max} bytes long`,
    })
    .transform((text) => fromHex(text));

const exactly = (bytes: number) => hexBytes({ min: bytes, max: bytes });

/** As the books and vendors' lists write it: a number, or a byte in hex. */
const index = z
  .unknown()
  .transform((value) =>
    typeof value === "string" && /^[0-9a-fA-F]{1,2}$/.test(value) ? Number.parseInt(value, 16) : value,
  )
  .pipe(z.int(INDEX_EXPECTED).min(0, INDEX_EXPECTED).max(INDEX_MAX, INDEX_EXPECTED));

const CaKeyEntry = z.strictObject({
  rid: exactly(RID_BYTES),
  index,
  modulus: hexBytes({ min: 1, max: MODULUS_BYTES_MAX }),
  exponent: z
    .string()
    .regex(/^(03|010001)$/, "is neither 03 nor 010001")
    .transform((text) => fromHex(text)),
  sha1: exactly(HASH_BYTES),
  expires: z.iso.date("is not a day as YYYY-MM-DD"),
});
const CaKeyList = z.array(CaKeyEntry).max(CA_KEYS_MAX, `has more than ${CA_KEYS_MAX} keys`);

const RevokedEntry = z.strictObject({ rid: exactly(RID_BYTES), index, serialNumber: exactly(SERIAL_BYTES) });
const RevokedList = z.array(RevokedEntry).max(REVOKED_MAX, `has more than ${REVOKED_MAX} entries`);

/** Throws Fault "config.invalid", which names entry and field. The hashes are not looked at; `caKeyHashHolds` does. */
export function parseCaKeys(json: unknown): readonly CaPublicKey[] {
  const keys: readonly CaPublicKey[] = parseList(CaKeyList, json, "list of CA keys");
  for (const [at, key] of keys.entries()) {
    const first = keys.findIndex((other) => other.index === key.index && sameBytes(other.rid, key.rid));
    if (first < at)
      throw new Fault(
        "config.invalid",
        `list of CA keys: entry ${at + 1} has the RID and index of entry ${first + 1}; keep one`,
      );
  }
  return keys;
}

/** Throws Fault "config.invalid", which names entry and field. */
export function parseRevoked(json: unknown): readonly RevokedCertificate[] {
  return parseList(RevokedList, json, "revocation list");
}

function parseList<T>(schema: z.ZodType<T>, json: unknown, name: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const [entry, field] = issue?.path ?? [];
  const place =
    entry === undefined ? "" : ` entry ${Number(entry) + 1}${field === undefined ? "" : `, ${String(field)}`}`;
  throw new Fault("config.invalid", `${name}:${place} ${issue?.message ?? "is not valid"}`);
}

/** SHA-1 over RID, index, modulus and exponent (Book 2, 11.2.2). */
export function caKeyHashHolds(key: CaPublicKey): boolean {
  return sameBytes(sha1(key.rid, Uint8Array.of(key.index), key.modulus, key.exponent), key.sha1);
}

/** Whether `today` is after the key's last day. */
export function caKeyExpired(key: CaPublicKey, today: Day): boolean {
  return dayText(today) > key.expires;
}

const dayText = ({ year, month, day }: Day): string =>
  `${String(year).padStart(4, "0")}-${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}`;

export function findCaKey(keys: readonly CaPublicKey[], rid: Uint8Array, index: number): CaPublicKey | undefined {
  return keys.find((key) => key.index === index && sameBytes(key.rid, rid));
}

export function isRevoked(list: readonly RevokedCertificate[], certificate: RevokedCertificate): boolean {
  return list.some(
    ({ rid, index, serialNumber }) =>
      index === certificate.index &&
      sameBytes(serialNumber, certificate.serialNumber) &&
      sameBytes(rid, certificate.rid),
  );
}
