/** HPKE against the published vector, and against everything that is not what was sealed. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../base/bytes.ts";
import { Fault } from "../base/fault.ts";
import { systemRandom } from "../base/ids.ts";
import { type Sealed, seal, unseal } from "./hpke.ts";

interface Vector {
  readonly info: string;
  readonly skEm: string;
  readonly skRm: string;
  readonly pkRm: string;
  readonly enc: string;
  readonly plaintext: string;
  readonly aad: string;
  readonly ciphertext: string;
}
const file = new URL("../test/vectors/hpke/rfc9180-a1.json", import.meta.url);
const vector: Vector = JSON.parse(readFileSync(file, "utf8"));

const privateKeyOf = (raw: string): KeyObject =>
  createPrivateKey({
    key: Buffer.from(`302e020100300506032b656e04220420${raw}`, "hex"),
    format: "der",
    type: "pkcs8",
  });
const publicKeyOf = (raw: string): KeyObject =>
  createPublicKey({ key: Buffer.from(`302a300506032b656e032100${raw}`, "hex"), format: "der", type: "spki" });

const info = fromHex(vector.info);
const aad = fromHex(vector.aad);
const sealed: Sealed = { enc: fromHex(vector.enc), ciphertext: fromHex(vector.ciphertext) };
const recipient = privateKeyOf(vector.skRm);

test("seals as RFC 9180 A.1.1 does, given its ephemeral key", () => {
  const made = seal({
    recipient: publicKeyOf(vector.pkRm),
    info,
    aad,
    plaintext: fromHex(vector.plaintext),
    random: () => fromHex(vector.skEm),
  });
  expect(toHex(made.enc)).toBe(vector.enc);
  expect(toHex(made.ciphertext)).toBe(vector.ciphertext);
});

test("opens what RFC 9180 A.1.1 sealed", () => {
  expect(toHex(unseal({ recipient, info, aad, sealed }))).toBe(vector.plaintext);
});

const refusal = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error instanceof Fault ? error.code : error;
  }
  return "accepted";
};

test("refuses another key, another use, other additional data and cut or changed bytes", () => {
  const other = generateKeyPairSync("x25519").privateKey;
  const { enc, ciphertext } = sealed;
  expect(refusal(() => unseal({ recipient: other, info, aad, sealed }))).toBe("seal.invalid");
  expect(refusal(() => unseal({ recipient, info: aad, aad, sealed }))).toBe("seal.invalid");
  expect(refusal(() => unseal({ recipient, info, aad: info, sealed }))).toBe("seal.invalid");
  for (const cut of [0, 1, 15, 16, ciphertext.length - 1]) {
    const short = { enc, ciphertext: ciphertext.subarray(0, cut) };
    expect(refusal(() => unseal({ recipient, info, aad, sealed: short }))).toBe("seal.invalid");
  }
  for (const bad of [new Uint8Array(0), enc.subarray(1), concat(enc, enc), new Uint8Array(32)]) {
    expect(refusal(() => unseal({ recipient, info, aad, sealed: { enc: bad, ciphertext } }))).toBe("seal.invalid");
  }
});

test("whatever bytes come, opening gives a Fault seal.invalid and nothing else", () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  const anyEnc = fc.oneof(bytes, fc.uint8Array({ minLength: 32, maxLength: 32 }));
  fc.assert(
    fc.property(anyEnc, bytes, (enc, ciphertext) => {
      expect(refusal(() => unseal({ recipient, info, aad, sealed: { enc, ciphertext } }))).toBe("seal.invalid");
    }),
  );
});

test("opens what it sealed, whatever it was, and no one bit of it may differ", () => {
  const keys = generateKeyPairSync("x25519");
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, bytes, bytes, fc.nat(), (plaintext, use, data, flip) => {
      const made = seal({ recipient: keys.publicKey, info: use, aad: data, plaintext, random: systemRandom });
      const opened = unseal({ recipient: keys.privateKey, info: use, aad: data, sealed: made });
      expect(toHex(opened)).toBe(toHex(plaintext));
      const changed = Uint8Array.from(made.ciphertext);
      changed[flip % changed.length] = (changed[flip % changed.length] ?? 0) ^ (1 << (flip % 8));
      const forged = { enc: made.enc, ciphertext: changed };
      expect(refusal(() => unseal({ recipient: keys.privateKey, info: use, aad: data, sealed: forged }))).toBe(
        "seal.invalid",
      );
    }),
  );
});
