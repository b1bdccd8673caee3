/** The RSA keys behind simulated cards: test values in the repository, so everybody can make such a card and nobody may trust one. */
import { constants, createHash, createPrivateKey, privateEncrypt } from "node:crypto";
import { assert } from "../../../base/assert.ts";
import { concat, fromHex, toHex } from "../../../base/bytes.ts";
import type { CaPublicKey, RevokedCertificate } from "../../../protocols/emv/oda/keys.ts";
import type { TestRsaKey } from "./minted.ts";
import keyFile from "./test-keys.json" with { type: "json" };

export type KeyName = keyof typeof keyFile.keys;

/** The category byte of proprietary identifiers F0 and "TILL": no scheme's cards have it. */
export const TEST_RID = fromHex(keyFile.rid);

/** Behind the expiry of every test card; the years to 49 are those after 2000 (Book 4, 6.7.3). */
const CA_KEYS_EXPIRE = "2049-12-31";

/** Two of each length, so that a certificate under a wrong key has the right length. */
const CA_KEY_NAMES: Readonly<Record<number, KeyName>> = { 1: "ca-01", 2: "ca-02", 3: "ca-03", 4: "ca-04" };

const loaded = new Map<KeyName, TestRsaKey>();

/** Parsed at first use: a simulator needs three of the keys. */
export function testKey(name: KeyName): TestRsaKey {
  const known = loaded.get(name);
  if (known) return known;
  const jwk = keyFile.keys[name];
  const privateKey = createPrivateKey({ key: jwk, format: "jwk" });
  const modulus = fromBase64Url(jwk.n);
  const key: TestRsaKey = {
    modulus,
    exponent: fromBase64Url(jwk.e),
    sign(block) {
      assert(block.length === modulus.length, "a block is as long as the modulus that signs it");
      return new Uint8Array(privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block));
    },
  };
  loaded.set(name, key);
  return key;
}

export function testCaKey(index: number): TestRsaKey {
  const name = CA_KEY_NAMES[index];
  assert(name !== undefined, `there is a test CA key ${index}`);
  return testKey(name);
}

/** What a terminal must know to accept the simulated cards, as it would get from a scheme. */
export function testCaKeys(): readonly CaPublicKey[] {
  return Object.keys(CA_KEY_NAMES).map((name) => {
    const index = Number(name);
    const { modulus, exponent } = testCaKey(index);
    const sha1 = createHash("sha1")
      .update(concat(TEST_RID, Uint8Array.of(index), modulus, exponent))
      .digest();
    return { rid: TEST_RID, index, modulus, exponent, sha1: new Uint8Array(sha1), expires: CA_KEYS_EXPIRE };
  });
}

/** The serial number that the fault `revoked-issuer` puts into an issuer certificate. */
export const REVOKED_SERIAL = fromHex("0BAD01");

export function testRevoked(): readonly RevokedCertificate[] {
  return Object.keys(CA_KEY_NAMES).map((index) => ({
    rid: TEST_RID,
    index: Number(index),
    serialNumber: REVOKED_SERIAL,
  }));
}

function fromBase64Url(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64url"));
}

/** As `tillway emv capk` and the agent's configuration read them. */
export const testCaKeyList = () =>
  testCaKeys().map(({ rid, index, modulus, exponent, sha1, expires }) => ({
    rid: toHex(rid),
    index,
    modulus: toHex(modulus),
    exponent: toHex(exponent),
    sha1: toHex(sha1),
    expires,
  }));

export const testRevokedList = () =>
  testRevoked().map(({ rid, index, serialNumber }) => ({
    rid: toHex(rid),
    index,
    serialNumber: toHex(serialNumber),
  }));
