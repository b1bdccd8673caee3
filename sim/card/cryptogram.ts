/** The simulated card's cryptograms: real triple DES over real card data, under test keys. */
import { createCipheriv } from "node:crypto";
import { concat, fromHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

const BLOCK = 8;

/** A double-length key, 16 bytes. */
export interface CardKeyInput {
  readonly issuerMasterKey: Uint8Array;
  readonly pan: string;
  /** Two digits; `00` when the card has none. */
  readonly sequenceNumber: string;
}

/** ICC master key: EMV Book 2, A1.4.1, option A. */
export function cardMasterKey({ issuerMasterKey, pan, sequenceNumber }: CardKeyInput): Uint8Array {
  const digits = `${pan}${sequenceNumber}`.slice(-BLOCK * 2).padStart(BLOCK * 2, "0");
  const y = fromHex(digits);
  return concat(tripleDes(issuerMasterKey, y), tripleDes(issuerMasterKey, inverted(y)));
}

/** EMV common session key derivation: Book 2, A1.3.1. */
export function sessionKey(masterKey: Uint8Array, atc: number): Uint8Array {
  const half = (mark: number): Uint8Array =>
    tripleDes(masterKey, Uint8Array.of((atc >> 8) & 0xff, atc & 0xff, mark, 0, 0, 0, 0, 0));
  return concat(half(0xf0), half(0x0f));
}

/** Application cryptogram: Book 2, 8.1.2, with MAC algorithm 3 of ISO/IEC 9797-1 and padding method 2 (A1.2.1). */
export function applicationCryptogram(key: Uint8Array, data: Uint8Array): Uint8Array {
  return retailMac(key, padded(data));
}

/** MAC algorithm 3: single DES to the last block, which is finished with both halves. Input in whole blocks. */
export function retailMac(key: Uint8Array, blocks: Uint8Array): Uint8Array {
  if (blocks.length === 0 || blocks.length % BLOCK !== 0) throw new Fault("codec.invalid", "not whole blocks");
  const left = key.subarray(0, BLOCK);
  let chained: Uint8Array = new Uint8Array(BLOCK);
  for (let at = 0; at < blocks.length; at += BLOCK) {
    const block = blocks.subarray(at, at + BLOCK);
    const last = at + BLOCK === blocks.length;
    const input = chained.map((byte, index) => byte ^ (block[index] ?? 0));
    chained = last ? tripleDes(key, input) : singleDes(left, input);
  }
  return chained;
}

function padded(data: Uint8Array): Uint8Array {
  const length = Math.ceil((data.length + 1) / BLOCK) * BLOCK;
  const blocks = new Uint8Array(length);
  blocks.set(data);
  blocks[data.length] = 0x80;
  return blocks;
}

const inverted = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0xff);

function tripleDes(key: Uint8Array, block: Uint8Array): Uint8Array {
  const cipher = createCipheriv("des-ede3", concat(key, key.subarray(0, BLOCK)), null).setAutoPadding(false);
  return new Uint8Array(Buffer.concat([cipher.update(block), cipher.final()]));
}

/** OpenSSL keeps single DES in its legacy provider; triple DES with one key three times is the same function. */
const singleDes = (key: Uint8Array, block: Uint8Array): Uint8Array => tripleDes(concat(key, key), block);
