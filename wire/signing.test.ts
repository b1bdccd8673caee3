/** Signatures hold for exactly one text under exactly one purpose. */
import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  newSigningKeys,
  openSigned,
  parseJson,
  privateKeyText,
  publicKeyText,
  readPrivateKey,
  readPublicKey,
  signText,
} from "./signing.ts";

const keys = newSigningKeys();
const Thing = z.strictObject({ name: z.string() });
const text = '{"name":"a lease"}';

test("what was signed opens under its purpose and its key", () => {
  const signed = signText("lease", text, keys.privateKey);
  expect(openSigned("lease", signed, keys.publicKey, Thing)).toEqual({ name: "a lease" });
});

test("another purpose, key, text or signature is refused as signature.invalid", () => {
  const signed = signText("lease", text, keys.privateKey);
  const refused = expect.objectContaining({ code: "signature.invalid" });
  const [publicKey, other] = [keys.publicKey, newSigningKeys().publicKey];
  expect(() => openSigned("time", signed, publicKey, Thing)).toThrow(refused);
  expect(() => openSigned("lease", signed, other, Thing)).toThrow(refused);
  expect(() => openSigned("lease", { ...signed, text: text.replace("a", "b") }, publicKey, Thing)).toThrow(refused);
  const changed = Buffer.from(signed.signature, "base64");
  changed[0] = (changed[0] ?? 0) ^ 1;
  const forged = { ...signed, signature: changed.toString("base64") };
  expect(() => openSigned("lease", forged, publicKey, Thing)).toThrow(refused);
  expect(() => openSigned("lease", { ...signed, signature: "" }, publicKey, Thing)).toThrow(refused);
});

test("a purpose cannot be moved into the text of another", () => {
  const signed = signText("batch", text, keys.privateKey);
  expect(() => openSigned("deny-list", signed, keys.publicKey, Thing)).toThrow(
    expect.objectContaining({ code: "signature.invalid" }),
  );
});

test("a signed text of another form is message.invalid and names the field", () => {
  const wrong = signText("lease", '{"name":1}', keys.privateKey);
  expect(() => openSigned("lease", wrong, keys.publicKey, Thing)).toThrow(
    expect.objectContaining({ code: "message.invalid", message: expect.stringContaining("name") }),
  );
  const notJson = signText("lease", "{", keys.privateKey);
  expect(() => openSigned("lease", notJson, keys.publicKey, Thing)).toThrow(
    expect.objectContaining({ code: "message.invalid" }),
  );
});

test("keys survive as text", () => {
  const signed = signText("lease", text, readPrivateKey(privateKeyText(keys.privateKey)));
  expect(openSigned("lease", signed, readPublicKey(publicKeyText(keys.publicKey)), Thing)).toEqual(JSON.parse(text));
  const { publicKey } = generateKeyPairSync("x25519");
  expect(readPublicKey(publicKeyText(publicKey)).asymmetricKeyType).toBe("x25519");
});

test("a key is the same however many others were read since", () => {
  const texts = Array.from({ length: 1_100 }, () => publicKeyText(newSigningKeys().publicKey));
  const read = () => texts.map((each) => publicKeyText(readPublicKey(each)));
  expect(read()).toEqual(texts);
  expect(read()).toEqual(texts);
});

test("RM5 what is not JSON is refused without a quotation from it", () => {
  for (const text of ["9999990000000015x", '{"pan":9999990000000015x}', '{"pan":"9999990000000015']) {
    expect(() => parseJson(text)).toThrow(/^not JSON(?:: wrong at position \d+)?$/);
  }
});
