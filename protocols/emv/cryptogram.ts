/**
 * The symmetric half of EMV, both sides of it: keys of a card from its issuer's key, application cryptograms and their
 * answers, and what protects issuer scripts (EMV 4.4 Book 2, sections 8 and 9, Annex A1). Triple DES with double-length keys.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from "node:crypto";
import { concat, fromHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

/** Of Triple DES, in bytes. */
const BLOCK = 8;
const KEY_BYTES = 16;
const ATC_MAX = 0xffff;
const PAN_DIGITS_OPTION_A_MAX = 16;
const NO_BYTES = new Uint8Array(0);
const ZERO_BLOCK = new Uint8Array(BLOCK);

/** `A` for any PAN (A1.4.1); `B` for PANs of more than 16 digits, and the same as A for others (A1.4.2). */
export type DerivationOption = "A" | "B";

export interface MasterKeyInput {
  /** Double length, 16 bytes, for one use: cryptograms, script integrity or script confidentiality. */
  readonly issuerMasterKey: Uint8Array;
  /** Digits. */
  readonly pan: string;
  /** Two digits; `00` when the card has none. */
  readonly sequenceNumber: string;
  readonly option: DerivationOption;
}

/** ICC master key with odd parity (A1.4). */
export function deriveMasterKey({ issuerMasterKey, pan, sequenceNumber, option }: MasterKeyInput): Uint8Array {
  if (!/^\d{1,19}$/.test(pan)) throw new Fault("codec.invalid", "a PAN has 1 to 19 digits");
  if (!/^\d{2}$/.test(sequenceNumber)) throw new Fault("codec.invalid", "a PAN sequence number has two digits");
  const digits = `${pan}${sequenceNumber}`;
  const hashed = option === "B" && pan.length > PAN_DIGITS_OPTION_A_MAX;
  const y = fromHex(hashed ? decimalisedHash(digits) : digits.slice(-BLOCK * 2).padStart(BLOCK * 2, "0"));
  return oddParity(tripleDes(issuerMasterKey, concat(y, inverted(y))));
}

/** The first 16 decimal digits of the SHA-1 of PAN and sequence number; what lacks is made of its letters, A as 0 to F as 5. */
function decimalisedHash(digits: string): string {
  const packed = fromHex(digits.length % 2 === 0 ? digits : `0${digits}`);
  const hash = createHash("sha1").update(packed).digest("hex");
  const decimals = hash.replace(/[a-f]/g, "");
  const letters = hash.replace(/\d/g, "").replace(/[a-f]/g, (letter) => `${letter.charCodeAt(0) - "a".charCodeAt(0)}`);
  return `${decimals}${letters}`.slice(0, BLOCK * 2);
}

/** Key of one transaction's cryptograms: common session key derivation from the ATC (A1.3.1). */
export function commonSessionKey(masterKey: Uint8Array, atc: number): Uint8Array {
  if (!Number.isInteger(atc) || atc < 0 || atc > ATC_MAX) throw new Fault("codec.invalid", `not an ATC: ${atc}`);
  return sessionKeyFrom(masterKey, Uint8Array.of(atc >> 8, atc & 0xff, 0, 0, 0, 0, 0, 0));
}

/** Key of one transaction's scripts: the same derivation from the application cryptogram (A1.3, 9.2.2 and 9.3.2). */
export function scriptSessionKey(masterKey: Uint8Array, cryptogram: Uint8Array): Uint8Array {
  requireLength(cryptogram, BLOCK, "application cryptogram");
  return sessionKeyFrom(masterKey, cryptogram);
}

function sessionKeyFrom(masterKey: Uint8Array, diversifier: Uint8Array): Uint8Array {
  const marked = (mark: number): Uint8Array => diversifier.with(2, mark);
  return oddParity(tripleDes(masterKey, concat(marked(0xf0), marked(0x0f))));
}

/**
 * Padding of ISO/IEC 9797-1: `method2` is one byte 80 and then zeros (A1.2.1), `method1` zeros and none to whole blocks, as
 * cryptogram version 10 has it.
 */
export type Padding = "method1" | "method2";

/** ARQC, TC or AAC over data in the order of its cryptogram version (8.1.2). Eight bytes. */
export const applicationCryptogram = (key: Uint8Array, data: Uint8Array, padding: Padding = "method2"): Uint8Array =>
  retailMac(key, padded(data, padding));

/** In constant time for cryptograms and MACs of one length. */
export const sameCryptogram = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

/** Issuer Authentication Data is this and the response code after it (8.2.1). Eight bytes. */
export function arpcMethod1(key: Uint8Array, arqc: Uint8Array, responseCode: Uint8Array): Uint8Array {
  requireLength(arqc, BLOCK, "ARQC");
  requireLength(responseCode, RESPONSE_CODE_BYTES, "authorisation response code");
  return tripleDes(
    key,
    arqc.map((byte, index) => byte ^ (responseCode[index] ?? 0)),
  );
}

export interface ArpcMethod2Input {
  readonly key: Uint8Array;
  readonly arqc: Uint8Array;
  /** Four bytes (Book 3, Annex C10). */
  readonly cardStatusUpdate: Uint8Array;
  /** Proprietary Authentication Data, up to 8 bytes. */
  readonly proprietary?: Uint8Array;
}

/** Issuer Authentication Data is this, the Card Status Update and the proprietary data after it (8.2.2). Four bytes. */
export function arpcMethod2({ key, arqc, cardStatusUpdate, proprietary = NO_BYTES }: ArpcMethod2Input): Uint8Array {
  requireLength(arqc, BLOCK, "ARQC");
  requireLength(cardStatusUpdate, CARD_STATUS_UPDATE_BYTES, "Card Status Update");
  if (proprietary.length > BLOCK)
    throw new Fault("codec.invalid", `Proprietary Authentication Data has up to 8 bytes, not ${proprietary.length}`);
  const data = concat(arqc, cardStatusUpdate, proprietary);
  return retailMac(key, padded(data, "method2")).subarray(0, ARPC_METHOD_2_BYTES);
}

export interface ScriptMacInput {
  readonly key: Uint8Array;
  /**
   * Put before the message by an issuer who chains (9.2.3.1): the first GENERATE AC's cryptogram for the first command, for
   * each that follows all 8 bytes of the MAC before it.
   */
  readonly chaining?: Uint8Array;
  /** Format 2 (9.2.1.2): the command's header with its Lc and its data, as the issuer and the card agree. */
  readonly message: Uint8Array;
}

/** All eight bytes: the leftmost 4 to 8 of them go to the card, all of them into the next command's MAC. */
export const scriptMac = ({ key, chaining, message }: ScriptMacInput): Uint8Array =>
  retailMac(key, concat(chainingBlock(chaining), padded(message, "method2")));

export interface FormatOneMacInput extends Omit<ScriptMacInput, "message"> {
  /** CLA INS P1 P2, with `C` in the class byte's lower half. */
  readonly header: Uint8Array;
  /** The data objects before `8E`, tag 81 or 87; none for a command without data. */
  readonly dataObjects?: Uint8Array;
}

/** As `scriptMac`, where header and data objects are padded each by itself, as ISO/IEC 7816-4 has it (9.2.3). */
export function formatOneMac({ key, chaining, header, dataObjects = NO_BYTES }: FormatOneMacInput): Uint8Array {
  requireLength(header, HEADER_BYTES, "header");
  const data = dataObjects.length === 0 ? NO_BYTES : padded(dataObjects, "method2");
  return retailMac(key, concat(chainingBlock(chaining), padded(header, "method2"), data));
}

function chainingBlock(chaining: Uint8Array | undefined): Uint8Array {
  if (chaining) requireLength(chaining, BLOCK, "chaining block");
  return chaining ?? NO_BYTES;
}

export interface ScriptDataInput {
  readonly key: Uint8Array;
  /** A1.1; the initial block of CBC is zero. */
  readonly mode: "ecb" | "cbc";
  readonly data: Uint8Array;
}

/** Enciphers a script command's data, padded always, as the common core definitions have it (9.3, A1.1). */
export const encryptScriptData = ({ key, mode, data }: ScriptDataInput): Uint8Array =>
  cipher({ key, mode, data: padded(data, "method2") });

/** What the card does with it. A Fault `codec.invalid` when no padding is found. */
export function decryptScriptData({ key, mode, data }: ScriptDataInput): Uint8Array {
  requireWholeBlocks(data);
  const decipher = createDecipheriv(algorithm(mode), tripleKey(key), ivOf(mode)).setAutoPadding(false);
  const plain = new Uint8Array(Buffer.concat([decipher.update(data), decipher.final()]));
  const end = plain.findLastIndex((byte) => byte !== 0);
  if (plain[end] !== 0x80 || plain.length - end > BLOCK)
    throw new Fault("codec.invalid", "deciphered script data without padding: another key, or altered on the way");
  return plain.subarray(0, end);
}

const RESPONSE_CODE_BYTES = 2;
const CARD_STATUS_UPDATE_BYTES = 4;
const ARPC_METHOD_2_BYTES = 4;
const HEADER_BYTES = 4;

/** MAC algorithm 3 of ISO/IEC 9797-1: single DES up to the last block, which both halves finish (A1.2.1). Whole blocks only. */
export function retailMac(key: Uint8Array, blocks: Uint8Array): Uint8Array {
  requireWholeBlocks(blocks);
  const last = blocks.length - BLOCK;
  const left = key.subarray(0, BLOCK);
  // OpenSSL keeps single DES in its legacy provider; Triple DES with one key three times is the same function.
  const chained =
    last === 0 ? ZERO_BLOCK : cipher({ key: concat(left, left), mode: "cbc", data: blocks.subarray(0, last) });
  const before = chained.subarray(-BLOCK);
  return tripleDes(
    key,
    blocks.subarray(last).map((byte, index) => byte ^ (before[index] ?? 0)),
  );
}

function padded(data: Uint8Array, padding: Padding): Uint8Array {
  const mark = padding === "method2" ? Uint8Array.of(0x80) : NO_BYTES;
  const marked = concat(data, mark);
  return concat(marked, new Uint8Array((BLOCK - (marked.length % BLOCK)) % BLOCK));
}

/** DES leaves the lowest bit of each key byte to make the number of its ones odd. */
const oddParity = (key: Uint8Array): Uint8Array =>
  key.map((byte) => {
    let folded = byte >> 1;
    folded ^= folded >> 4;
    folded ^= folded >> 2;
    folded ^= folded >> 1;
    return (byte & 0xfe) | (~folded & 1);
  });

const inverted = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0xff);

const tripleDes = (key: Uint8Array, blocks: Uint8Array): Uint8Array => cipher({ key, mode: "ecb", data: blocks });

function cipher({ key, mode, data }: ScriptDataInput): Uint8Array {
  const made = createCipheriv(algorithm(mode), tripleKey(key), ivOf(mode)).setAutoPadding(false);
  return new Uint8Array(Buffer.concat([made.update(data), made.final()]));
}

const algorithm = (mode: ScriptDataInput["mode"]): string => (mode === "ecb" ? "des-ede3" : "des-ede3-cbc");
const ivOf = (mode: ScriptDataInput["mode"]): Uint8Array | null => (mode === "ecb" ? null : ZERO_BLOCK);

/** As a key object, because Node tries bytes as each other kind of key first, at three times the cost of all the rest. */
function tripleKey(key: Uint8Array): KeyObject {
  requireLength(key, KEY_BYTES, "key");
  return createSecretKey(concat(key, key.subarray(0, BLOCK)));
}

function requireLength(bytes: Uint8Array, length: number, name: string): void {
  if (bytes.length !== length) throw new Fault("codec.invalid", `${name}: ${bytes.length} bytes, must be ${length}`);
}

function requireWholeBlocks(bytes: Uint8Array): void {
  if (bytes.length === 0 || bytes.length % BLOCK !== 0)
    throw new Fault("codec.invalid", `not whole blocks of ${BLOCK} bytes: ${bytes.length}`);
}
