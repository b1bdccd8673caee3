import { execFileSync } from "node:child_process";
import { createHash, createPublicKey } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { present } from "../../../base/assert.ts";
import { concat, fromHex, toHex } from "../../../base/bytes.ts";
import type { RsaPublicKey } from "../../../protocols/emv/oda/keys.ts";
import { mintCard, signDynamic } from "./mint.ts";
import { KEY_CHAINS, type KeyChain, type MintedCard, type MintOptions } from "./minted.ts";
import { TEST_RID, testCaKeys, testRevoked } from "./test-keys.ts";

/**
 * What the mint makes, opened by the openssl command and read here by the byte numbers of Book 2, 5.1, 6.1 and 6.5, without
 * the code that the terminal uses.
 */
const folder = mkdtempSync(join(tmpdir(), "tillway-mint-"));
afterAll(() => rmSync(folder, { recursive: true }));

const PAN = "4761739001010010";
const STATIC_DATA = fromHex("5A0847617390010100105F24033112315F3401018202 7C00");
const OPTIONS: MintOptions = { pan: PAN, expiry: "3109", staticData: STATIC_DATA, oda: "cda" };

/** signature^e mod n by openssl. */
function openssl(key: RsaPublicKey, signature: Uint8Array): Uint8Array {
  const base64Url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const jwk = { kty: "RSA", n: base64Url(key.modulus), e: base64Url(key.exponent) };
  const file = join(folder, "key.pem");
  writeFileSync(file, createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" }));
  const command = ["pkeyutl", "-verifyrecover", "-pubin", "-inkey", file, "-pkeyopt", "rsa_padding_mode:none"];
  return new Uint8Array(execFileSync("openssl", command, { input: signature, stdio: ["pipe", "pipe", "ignore"] }));
}

const sha1 = (...parts: readonly Uint8Array[]) =>
  toHex(
    createHash("sha1")
      .update(concat(...parts))
      .digest(),
  );
const hex = (block: Uint8Array, start: number, length: number) => toHex(block.subarray(start, start + length));

/** The parts of a recovered block: header, what is signed, hash and trailer. */
function partsOf(block: Uint8Array): { header: number; content: Uint8Array; hash: string; trailer: number } {
  return {
    header: present(block[0], "header"),
    content: block.subarray(1, -21),
    hash: toHex(block.subarray(-21, -1)),
    trailer: present(block.at(-1), "trailer"),
  };
}

function caKeyOf(card: MintedCard): RsaPublicKey {
  return present(
    testCaKeys().find(({ index }) => index === card.caIndex),
    "the CA key",
  );
}

/** The key inside a certificate: what the certificate has room for, less its padding, and the remainder. */
function keyInside(
  content: Uint8Array,
  at: number,
  rest: { remainder?: Uint8Array | undefined; exponent: Uint8Array },
) {
  const length = present(content[at - 2], "length of the key");
  const remainder = rest.remainder ?? new Uint8Array();
  const inside = content.subarray(at);
  const digits = inside.subarray(0, length - remainder.length);
  expect(inside.subarray(digits.length).every((byte) => byte === 0xbb)).toBe(true);
  expect(remainder.length === 0 || digits.length === inside.length).toBe(true);
  return { modulus: concat(digits, remainder), exponent: rest.exponent };
}

function openIssuerCertificate(card: MintedCard): RsaPublicKey {
  const block = openssl(caKeyOf(card), card.issuerCertificate);
  const { header, content, hash, trailer } = partsOf(block);
  expect([header, trailer]).toEqual([0x6a, 0xbc]);
  expect(hash).toBe(sha1(content, card.issuerRemainder ?? new Uint8Array(), card.issuerExponent));
  expect(hex(content, 0, 1)).toBe("02");
  expect(hex(content, 1, 4)).toBe("47617390");
  expect(hex(content, 5, 2)).toBe("0931");
  expect(hex(content, 10, 2)).toBe("0101");
  expect(content[13]).toBe(card.issuerExponent.length);
  return keyInside(content, 14, { remainder: card.issuerRemainder, exponent: card.issuerExponent });
}

function openIccCertificate(card: MintedCard, issuer: RsaPublicKey): RsaPublicKey {
  const icc = present(card.icc, "the card's own certificate");
  const { header, content, hash, trailer } = partsOf(openssl(issuer, icc.certificate));
  expect([header, trailer]).toEqual([0x6a, 0xbc]);
  expect(hash).toBe(sha1(content, icc.remainder ?? new Uint8Array(), icc.exponent, STATIC_DATA));
  expect(hex(content, 0, 1)).toBe("04");
  expect(hex(content, 1, 10)).toBe("4761739001010010ffff");
  expect(hex(content, 11, 2)).toBe("0931");
  expect(hex(content, 16, 2)).toBe("0101");
  expect(content[19]).toBe(icc.exponent.length);
  return keyInside(content, 20, { remainder: icc.remainder, exponent: icc.exponent });
}

/** Bytes of tags 90, 92, 9F46 and 9F48 of each chain. */
const LENGTHS: Readonly<Record<KeyChain, readonly [number, number, number, number]>> = {
  standard: [248, 35, 247, 0],
  short: [176, 4, 144, 42],
  mixed: [248, 0, 144, 42],
  "longest-cda": [248, 35, 247, 0],
  longest: [248, 35, 247, 42],
};

describe.each(KEY_CHAINS)("the key chain %s, opened by openssl", (chain) => {
  test("leads from the CA key over the issuer's to the card's, which signs dynamic data", () => {
    const card = mintCard({ ...OPTIONS, chain });
    const key = openIccCertificate(card, openIssuerCertificate(card));
    const iccDynamicData = fromHex("04 01020304");
    const terminalData = fromHex("CAFEF00D");
    const signed = signDynamic(present(card.icc, "the card's key").key, { iccDynamicData, terminalData });
    const { header, content, hash, trailer } = partsOf(openssl(key, signed));
    expect([header, trailer]).toEqual([0x6a, 0xbc]);
    expect(toHex(content)).toBe(`0501050401020304${"bb".repeat(key.modulus.length - 30)}`);
    expect(hash).toBe(sha1(content, terminalData));
  });

  test("signs static data", () => {
    const card = mintCard({ ...OPTIONS, chain, oda: "sda" });
    const issuer = openIssuerCertificate(card);
    const signed = present(card.signedStaticData, "signed static data");
    const { header, content, hash, trailer } = partsOf(openssl(issuer, signed));
    expect([header, trailer]).toEqual([0x6a, 0xbc]);
    expect(toHex(content)).toBe(`0301dac1${"bb".repeat(issuer.modulus.length - 26)}`);
    expect(hash).toBe(sha1(content, STATIC_DATA));
    expect(card.icc).toBeUndefined();
  });

  test("covers the remainders that a card may have or lack", () => {
    const { issuerCertificate, issuerRemainder, icc } = mintCard({ ...OPTIONS, chain });
    const parts = [issuerCertificate, issuerRemainder, icc?.certificate, icc?.remainder];
    expect(parts.map((part) => part?.length ?? 0)).toEqual(LENGTHS[chain]);
  });
});

test("a card number of odd length is padded in the card's certificate", () => {
  const card = mintCard({ ...OPTIONS, pan: "5413330089020011123", chain: "short" });
  const block = openssl(openIssuerKeyOnly(card), present(card.icc, "icc").certificate);
  expect(hex(block, 2, 10)).toBe("5413330089020011123f");
});

function openIssuerKeyOnly(card: MintedCard): RsaPublicKey {
  const { content } = partsOf(openssl(caKeyOf(card), card.issuerCertificate));
  return keyInside(content, 14, { remainder: card.issuerRemainder, exponent: card.issuerExponent });
}

test.each(KEY_CHAINS)("a card of the wrong CA is signed by a published CA key that it does not name: %s", (chain) => {
  const card = mintCard({ ...OPTIONS, chain, fault: "wrong-ca" });
  expect(card.caIndex).toBe(mintCard({ ...OPTIONS, chain }).caIndex);
  const openers = testCaKeys().filter((ca) => {
    if (ca.modulus.length !== card.issuerCertificate.length) return false;
    // A number beyond the modulus is no signature of this key; openssl says so.
    if (Buffer.compare(card.issuerCertificate, ca.modulus) >= 0) return false;
    const { header, trailer } = partsOf(openssl(ca, card.issuerCertificate));
    return header === 0x6a && trailer === 0xbc;
  });
  expect(openers).toHaveLength(1);
  expect(openers.map(({ index }) => index)).not.toContain(card.caIndex);
});

test("the serial number of a revoked issuer certificate is on the list, an ordinary one is not", () => {
  const serial = (card: MintedCard) => hex(openssl(caKeyOf(card), card.issuerCertificate), 8, 3);
  const revoked = testRevoked().map((entry) => `${toHex(entry.rid)} ${entry.index} ${toHex(entry.serialNumber)}`);
  const entryOf = (card: MintedCard) => `${toHex(TEST_RID)} ${card.caIndex} ${serial(card)}`;
  expect(revoked).toContain(entryOf(mintCard({ ...OPTIONS, fault: "revoked-issuer" })));
  expect(revoked).not.toContain(entryOf(mintCard(OPTIONS)));
});

test("the check value of a CA key covers RID, index, modulus and exponent", () => {
  for (const { rid, index, modulus, exponent, sha1: checkValue } of testCaKeys()) {
    const file = join(folder, "ca-key");
    writeFileSync(file, concat(rid, Uint8Array.of(index), modulus, exponent));
    const printed = execFileSync("openssl", ["dgst", "-sha1", "-r", file], { encoding: "utf8" });
    expect(printed.slice(0, 40)).toBe(toHex(checkValue));
  }
});

test.each([{ pan: "123" }, { pan: "47617390010100A0" }, { expiry: "3113" }, { expiry: "0931 " }])(
  "a mistake in the caller's values is found at once: %j",
  (change) => {
    expect(() => mintCard({ ...OPTIONS, ...change })).toThrow("broken invariant");
  },
);
