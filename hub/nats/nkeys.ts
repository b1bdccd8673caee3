/** Names of Ed25519 keys as NATS writes them (its "nkeys"): a kind, the public key and a checksum in base32. */
import type { KeyObject } from "node:crypto";

export type NkeyKind = "operator" | "account" | "user";

const PREFIX: Readonly<Record<NkeyKind, number>> = { operator: 14 << 3, account: 0, user: 20 << 3 };
/** RFC 4648, 6, without padding. */
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BITS_PER_DIGIT = 5;
/** CRC-16/XMODEM, which NATS appends with its low byte first. */
const CRC_POLYNOMIAL = 0x1021;

export const nkeyOf = (kind: NkeyKind, key: KeyObject): string =>
  nkeyText(kind, Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url"));

/** `bytes`: 32 of them; a public key, or for a name that nobody ever signs with any others. */
export function nkeyText(kind: NkeyKind, bytes: Uint8Array): string {
  const body = Buffer.concat([Buffer.of(PREFIX[kind]), bytes]);
  const checksum = crc16(body);
  return base32(Buffer.concat([body, Buffer.of(checksum & 0xff, checksum >> 8)]));
}

export function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= BITS_PER_DIGIT; bits -= BITS_PER_DIGIT)
      text += ALPHABET[(held >> (bits - BITS_PER_DIGIT)) & 0x1f];
    held &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + ALPHABET[(held << (BITS_PER_DIGIT - bits)) & 0x1f];
}

function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ (crc & 0x8000 ? CRC_POLYNOMIAL : 0)) & 0xffff;
  }
  return crc;
}
