/** Card data open only at the hub, only for the payment and terminal that they were sealed for. */
import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { systemRandom, type TerminalId } from "../base/ids.ts";
import {
  type CardData,
  digestOfSealed,
  openCardData,
  readSealedText,
  type SealedCardData,
  sealCardData,
  sealedText,
} from "./card-data.ts";

const keys = generateKeyPairSync("x25519");
const terminalId = "shop-1" as TerminalId;
const data: CardData = { pan: "5413330000000014", expiry: "2912" };
const sealIt = (): SealedCardData =>
  sealCardData({
    data,
    terminalId,
    paymentId: "pay-1",
    key: { keyId: "hub-1", publicKey: keys.publicKey },
    random: systemRandom,
  });
const place = { terminalId, paymentId: "pay-1", privateKey: keys.privateKey };

test("the hub reads what the terminal sealed, and nothing of it is legible on the way", () => {
  const sealed = sealIt();
  expect(openCardData({ sealed, ...place })).toEqual(data);
  expect(JSON.stringify(sealed)).not.toContain(data.pan);
  expect(Buffer.from(sealed.ciphertext, "base64").toString("latin1")).not.toContain(data.pan);
});

test("the same card sealed twice shows nothing in common", () => {
  const [first, second] = [sealIt(), sealIt()];
  expect(first.enc).not.toBe(second.enc);
  expect(first.ciphertext).not.toBe(second.ciphertext);
});

test("another payment, terminal or key cannot use it", () => {
  const sealed = sealIt();
  const refused = expect.objectContaining({ code: "seal.invalid" });
  const other = generateKeyPairSync("x25519").privateKey;
  expect(() => openCardData({ sealed, ...place, paymentId: "pay-2" })).toThrow(refused);
  expect(() => openCardData({ sealed, ...place, terminalId: "shop-2" as TerminalId })).toThrow(refused);
  expect(() => openCardData({ sealed, ...place, privateKey: other })).toThrow(refused);
});

test("the stored text of sealed data reads back as it was, and its digest tells any change", () => {
  const sealed = sealIt();
  expect(readSealedText(sealedText(sealed))).toEqual(sealed);
  const odd = { ...sealed, keyId: "two\nlines" };
  expect(readSealedText(sealedText(odd))).toEqual(odd);
  expect(digestOfSealed({ keyId: "hub-1", enc: "AAAA", ciphertext: "BBBB" })).toBe(
    "4869bc801d722911360fba4a94df1836517fd6018ff3725e205e611ed93b82b8",
  );
  expect(digestOfSealed({ ...sealed, keyId: "hub-2" })).not.toBe(digestOfSealed(sealed));
});

test.each(["", "one", "one\ntwo"])("text that no sealed data have is refused: %j", (text) => {
  expect(() => readSealedText(text)).toThrow(expect.objectContaining({ code: "seal.invalid" }));
});
