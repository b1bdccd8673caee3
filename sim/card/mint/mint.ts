/** Makes the certificates of a simulated card, as an issuer's personalisation would: CA -> issuer -> card (Book 2, 5 and 6). */
import { createHash } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import { concat, fromHex } from "../../../base/bytes.ts";
import type { KeyChain, MintedCard, MintOptions, TestRsaKey } from "./minted.ts";
import { type KeyName, REVOKED_SERIAL, testCaKey, testKey } from "./test-keys.ts";

/** Whose keys the chains are of; `otherCa` is as long as `ca`. */
const CHAIN_KEYS = {
  standard: { ca: 1, otherCa: 3, issuer: "issuer-1976", icc: "icc-1408" },
  short: { ca: 2, otherCa: 4, issuer: "issuer-1152", icc: "icc-1152" },
  mixed: { ca: 3, otherCa: 1, issuer: "issuer-1152", icc: "icc-1152" },
  "longest-cda": { ca: 1, otherCa: 3, issuer: "issuer-1976", icc: "icc-1640" },
  longest: { ca: 3, otherCa: 1, issuer: "issuer-1976", icc: "icc-1976" },
} as const satisfies Record<KeyChain, { ca: number; otherCa: number; issuer: KeyName; icc: KeyName }>;

const HEADER = 0x6a;
const TRAILER = 0xbc;
const PAD = 0xbb;
const SHA_1 = 0x01;
const RSA = 0x01;
const FORMAT = { issuer: 0x02, staticData: 0x03, icc: 0x04, dynamicData: 0x05 } as const;
/** What a signed block holds besides its content: header, hash and trailer. */
const FRAME_BYTES = 22;

const ISSUER_SERIAL = fromHex("000101");
const ICC_SERIAL = fromHex("000202");
const DATA_AUTHENTICATION_CODE = fromHex("DAC1");

export function mintCard(options: MintOptions): MintedCard {
  assert(/^\d{12,19}$/.test(options.pan), "a card number has 12 to 19 digits");
  assert(/^\d\d(0[1-9]|1[0-2])$/.test(options.expiry), "an expiry is YYMM");
  const chain = CHAIN_KEYS[options.chain ?? "standard"];
  const issuer = testKey(chain.issuer);
  const certified = certifyIssuer(options, issuer);
  const card = {
    caIndex: chain.ca,
    issuerCertificate: certified.certificate,
    ...(certified.remainder && { issuerRemainder: certified.remainder }),
    issuerExponent: issuer.exponent,
  };
  if (options.oda === "sda") return { ...card, signedStaticData: signStaticData(issuer, options.staticData) };
  const key = testKey(chain.icc);
  return { ...card, icc: { ...certifyIcc(options, issuer, key), exponent: key.exponent, key } };
}

/** Tags 90 and 92 (Book 2, 5.1). */
function certifyIssuer(options: MintOptions, issuer: TestRsaKey): Certified {
  const chain = CHAIN_KEYS[options.chain ?? "standard"];
  const head = concat(
    Uint8Array.of(FORMAT.issuer),
    fromHex(options.pan.slice(0, 8)),
    monthAndYear(options.expiry),
    options.fault === "revoked-issuer" ? REVOKED_SERIAL : ISSUER_SERIAL,
  );
  const ca = testCaKey(options.fault === "wrong-ca" ? chain.otherCa : chain.ca);
  return certify(ca, { head, subject: issuer, appended: new Uint8Array() });
}

/** Tags 9F46 and 9F48 (Book 2, 6.1). */
function certifyIcc(options: MintOptions, issuer: TestRsaKey, icc: TestRsaKey): Certified {
  const head = concat(
    Uint8Array.of(FORMAT.icc),
    fromHex(options.pan.padEnd(20, "F")),
    monthAndYear(options.expiry),
    ICC_SERIAL,
  );
  return certify(issuer, { head, subject: icc, appended: options.staticData });
}

interface Certified {
  readonly certificate: Uint8Array;
  readonly remainder?: Uint8Array;
}

interface Certification {
  /** Format, identifier, expiry and serial number. */
  readonly head: Uint8Array;
  readonly subject: TestRsaKey;
  /** What the hash covers beyond the key. */
  readonly appended: Uint8Array;
}

function certify(signer: TestRsaKey, { head, subject, appended }: Certification): Certified {
  const { modulus, exponent } = subject;
  assert(modulus.length <= signer.modulus.length, "a certified key is at most as long as the key that certifies it");
  const fields = concat(head, Uint8Array.of(SHA_1, RSA, modulus.length, exponent.length));
  const room = signer.modulus.length - FRAME_BYTES - fields.length;
  const inside = new Uint8Array(room).fill(PAD);
  inside.set(modulus.subarray(0, room));
  const remainder = modulus.subarray(room);
  const content = concat(fields, inside);
  const certificate = signBlock(signer, { content, appended: concat(remainder, exponent, appended) });
  return remainder.length > 0 ? { certificate, remainder } : { certificate };
}

/** Tag 93 (Book 2, 5.1). */
function signStaticData(issuer: TestRsaKey, staticData: Uint8Array): Uint8Array {
  const head = concat(Uint8Array.of(FORMAT.staticData, SHA_1), DATA_AUTHENTICATION_CODE);
  return signBlock(issuer, { content: padded(head, issuer), appended: staticData });
}

export interface DynamicData {
  /** Its length goes before it: for DDA the ICC dynamic number, for CDA also CID, cryptogram and Transaction Data Hash Code. */
  readonly iccDynamicData: Uint8Array;
  /** What the hash covers beyond the card's data: the DDOL's values for DDA, the unpredictable number for CDA. */
  readonly terminalData: Uint8Array;
}

/** Tag 9F4B, the answer to INTERNAL AUTHENTICATE and in a CDA answer to GENERATE AC (Book 2, 6.5.1 and 6.6.1). */
export function signDynamic(key: TestRsaKey, { iccDynamicData, terminalData }: DynamicData): Uint8Array {
  const head = concat(Uint8Array.of(FORMAT.dynamicData, SHA_1, iccDynamicData.length), iccDynamicData);
  return signBlock(key, { content: padded(head, key), appended: terminalData });
}

function padded(head: Uint8Array, signer: TestRsaKey): Uint8Array {
  const content = new Uint8Array(signer.modulus.length - FRAME_BYTES).fill(PAD);
  assert(head.length <= content.length, "signed data fits the key");
  content.set(head);
  return content;
}

/** Message recovery: the content, the hash over it and over what is appended, in one block (Book 2, A2.1). */
function signBlock(
  signer: TestRsaKey,
  { content, appended }: { readonly content: Uint8Array; readonly appended: Uint8Array },
): Uint8Array {
  const hash = createHash("sha1").update(content).update(appended).digest();
  return signer.sign(concat(Uint8Array.of(HEADER), content, hash, Uint8Array.of(TRAILER)));
}

/** YYMM as the certificates have it, MMYY. */
function monthAndYear(expiry: string): Uint8Array {
  return fromHex(expiry.slice(2) + expiry.slice(0, 2));
}
