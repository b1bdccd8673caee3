import { createCipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import {
  applicationCryptogram,
  arpcMethod1,
  arpcMethod2,
  commonSessionKey,
  type DerivationOption,
  decryptScriptData,
  deriveMasterKey,
  encryptScriptData,
  formatOneMac,
  retailMac,
  sameCryptogram,
  scriptMac,
  scriptSessionKey,
} from "./cryptogram.ts";

interface Vectors {
  issuerMasterKey: string;
  masterKeys: { option: DerivationOption; pan: string; sequenceNumber: string; key: string }[];
  checkValues: { option: DerivationOption; pan: string; sequenceNumber: string; check: string }[];
  sessionKey: { masterKey: string; atc: number; key: string };
  scriptSessionKey: { masterKey: string; cryptogram: string; key: string };
  arpcMethod2: Record<
    "pan" | "sequenceNumber" | "data" | "arqc" | "cardStatusUpdate" | "proprietary" | "arpc",
    string
  > & {
    atc: number;
    option: DerivationOption;
  };
  padding: Record<"pan" | "sequenceNumber" | "diversifier", string> &
    Record<"method1" | "method2", { data: string; cryptogram: string }[]>;
  script: Record<"pan" | "sequenceNumber" | "cryptogram" | "confidentialityMasterKey", string> & {
    pinUnblock: { message: string; mac: string };
    pinChange: Record<"plain" | "header" | "cryptogram" | "mac", string>;
  };
  transactionDataInMac: Record<"key" | "message" | "mac", string>;
}
interface Made {
  masterKey: string;
  commonCore: { arqc: string };
  formatOne: {
    applicationBlock: { header: string; mac: string };
    putData: { header: string; dataObjects: string; mac: string };
  };
  confidentiality: Record<"plain" | "ecb" | "cbc", string>;
}

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../test/vectors/emv/${name}.json`, import.meta.url), "utf8")) as T;
const vectors = read<Vectors>("cryptogram");
const made = read<Made>("cryptogram-made");
const issuerMasterKey = fromHex(vectors.issuerMasterKey);
const hex = (bytes: Uint8Array) => toHex(bytes).toUpperCase();

/** The first bytes of a block of zeros under the key: how hardware security modules name keys. */
function checkValue(key: Uint8Array): string {
  const cipher = createCipheriv("des-ede3", concat(key, key.subarray(0, 8)), null).setAutoPadding(false);
  return hex(cipher.update(new Uint8Array(8)).subarray(0, 2));
}

test("card keys are those of published vectors, by option A and B and with too few decimal digits in the hash", () => {
  for (const { key, ...card } of vectors.masterKeys)
    expect(hex(deriveMasterKey({ issuerMasterKey, ...card }))).toBe(key);
  for (const { check, ...card } of vectors.checkValues)
    expect(checkValue(deriveMasterKey({ issuerMasterKey, ...card }))).toBe(check);
});

test("session keys of cryptograms and of scripts are those of published vectors", () => {
  const { sessionKey, scriptSessionKey: script } = vectors;
  expect(hex(commonSessionKey(fromHex(sessionKey.masterKey), sessionKey.atc))).toBe(sessionKey.key);
  expect(hex(scriptSessionKey(fromHex(script.masterKey), fromHex(script.cryptogram)))).toBe(script.key);
});

test("the MAC is that of ISO/IEC 9797-1 Annex B, algorithm 3", () => {
  const annex = read<{ key: string; text: string; method1: string; method2: string }>("retail-mac");
  const [key, text] = [fromHex(annex.key), fromHex(annex.text)];
  expect(hex(retailMac(key, text))).toBe(annex.method1);
  expect(hex(applicationCryptogram(key, text, "method1"))).toBe(annex.method1);
  expect(hex(applicationCryptogram(key, text))).toBe(annex.method2);
});

test("application cryptograms with both paddings are those of published vectors", () => {
  const { pan, sequenceNumber, diversifier } = vectors.padding;
  const key = scriptSessionKey(
    deriveMasterKey({ issuerMasterKey, pan, sequenceNumber, option: "A" }),
    fromHex(diversifier),
  );
  for (const padding of ["method1", "method2"] as const)
    for (const { data, cryptogram } of vectors.padding[padding])
      expect(hex(applicationCryptogram(key, fromHex(data), padding))).toBe(cryptogram);
});

test("the answer by method 2 with proprietary data is that of a published vector", () => {
  const { arqc, cardStatusUpdate, proprietary, arpc, data, atc, ...card } = vectors.arpcMethod2;
  const key = commonSessionKey(deriveMasterKey({ issuerMasterKey, ...card }), atc);
  expect(hex(applicationCryptogram(key, fromHex(data)))).toBe(arqc);
  const input = { key, arqc: fromHex(arqc), cardStatusUpdate: fromHex(cardStatusUpdate) };
  expect(hex(arpcMethod2({ ...input, proprietary: fromHex(proprietary) }))).toBe(arpc);
});

test("a script's MAC and its enciphered PIN are those of published vectors", () => {
  const { pan, sequenceNumber, cryptogram, confidentialityMasterKey, pinUnblock, pinChange } = vectors.script;
  const keyFrom = (master: Uint8Array) =>
    scriptSessionKey(
      deriveMasterKey({ issuerMasterKey: master, pan, sequenceNumber, option: "A" }),
      fromHex(cryptogram),
    );
  const key = keyFrom(issuerMasterKey);
  expect(hex(scriptMac({ key, message: fromHex(pinUnblock.message) }))).toBe(pinUnblock.mac);
  const data = encryptScriptData({
    key: keyFrom(fromHex(confidentialityMasterKey)),
    mode: "cbc",
    data: fromHex(pinChange.plain),
  });
  expect(hex(data)).toBe(pinChange.cryptogram);
  expect(hex(scriptMac({ key, message: concat(fromHex(pinChange.header), data) }))).toBe(pinChange.mac);
  const bound = vectors.transactionDataInMac;
  expect(hex(scriptMac({ key: fromHex(bound.key), message: fromHex(bound.message) }))).toBe(bound.mac);
});

test("MACs of format 1 chain from the cryptogram over each command, as an independent implementation has it", () => {
  const arqc = fromHex(made.commonCore.arqc);
  const key = scriptSessionKey(fromHex(made.masterKey), arqc);
  const { applicationBlock, putData } = made.formatOne;
  const first = formatOneMac({ key, chaining: arqc, header: fromHex(applicationBlock.header) });
  expect(hex(first)).toBe(applicationBlock.mac);
  const second = { key, header: fromHex(putData.header), dataObjects: fromHex(putData.dataObjects) };
  expect(hex(formatOneMac({ ...second, chaining: first }))).toBe(putData.mac);
  expect(hex(formatOneMac({ ...second, chaining: arqc }))).not.toBe(putData.mac);
});

test("a chaining block comes before the message of format 2 and is not the same as none", () => {
  const chaining = fromHex("0102030405060708");
  const message = fromHex("8424000008");
  const key = issuerMasterKey;
  expect(scriptMac({ key, chaining, message })).toEqual(scriptMac({ key, message: concat(chaining, message) }));
  expect(scriptMac({ key, chaining, message })).not.toEqual(scriptMac({ key, message }));
});

test("enciphered script data are those of an independent implementation, and come back", () => {
  const key = scriptSessionKey(fromHex(made.masterKey), fromHex(made.commonCore.arqc));
  const { plain, ...enciphered } = made.confidentiality;
  for (const mode of ["ecb", "cbc"] as const) {
    expect(hex(encryptScriptData({ key, mode, data: fromHex(plain) }))).toBe(enciphered[mode]);
    expect(hex(decryptScriptData({ key, mode, data: fromHex(enciphered[mode]) }))).toBe(plain);
  }
});

test("script data of any length come back, and under another key they are refused or other data", () => {
  const other = fromHex("FEDCBA98765432100123456789ABCDEF");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom("ecb" as const, "cbc" as const), (data, mode) => {
      const enciphered = encryptScriptData({ key: issuerMasterKey, mode, data });
      expect(decryptScriptData({ key: issuerMasterKey, mode, data: enciphered })).toEqual(new Uint8Array(data));
      try {
        expect(decryptScriptData({ key: other, mode, data: enciphered })).not.toEqual(new Uint8Array(data));
      } catch (error) {
        expect(error).toBeInstanceOf(Fault);
      }
    }),
  );
});

test("deciphered data without padding are a fault", () => {
  const data = fromHex("00112233445566778899AABBCCDDEEFF");
  expect(() => decryptScriptData({ key: issuerMasterKey, mode: "cbc", data })).toThrow(/without padding/);
  expect(() => decryptScriptData({ key: issuerMasterKey, mode: "cbc", data: data.subarray(1) })).toThrow(
    /whole blocks/,
  );
});

test("one bit of the cryptogram or the response code changes the answer by method 1", () => {
  const arqc = fromHex("1234567890ABCDEF");
  const answer = arpcMethod1(issuerMasterKey, arqc, fromHex("3030"));
  for (let bit = 0; bit < 64; bit += 1)
    expect(arpcMethod1(issuerMasterKey, flipped(arqc, bit), fromHex("3030"))).not.toEqual(answer);
  for (let bit = 0; bit < 16; bit += 1)
    expect(arpcMethod1(issuerMasterKey, arqc, flipped(fromHex("3030"), bit))).not.toEqual(answer);
});

test("cryptograms are the same only whole: no prefix, no flipped bit", () => {
  const cryptogram = fromHex("1234567890ABCDEF");
  expect(sameCryptogram(cryptogram, cryptogram.slice())).toBe(true);
  expect(sameCryptogram(cryptogram, cryptogram.subarray(0, 7))).toBe(false);
  for (let bit = 0; bit < 64; bit += 1) expect(sameCryptogram(cryptogram, flipped(cryptogram, bit))).toBe(false);
});

test("inputs of a wrong size are faults that name them", () => {
  const card = { issuerMasterKey, pan: "4761739001010010", sequenceNumber: "01", option: "A" as const };
  expect(() => deriveMasterKey({ ...card, pan: "47617390010100x0" })).toThrow(/PAN/);
  expect(() => deriveMasterKey({ ...card, sequenceNumber: "1" })).toThrow(/two digits/);
  expect(() => deriveMasterKey({ ...card, issuerMasterKey: issuerMasterKey.subarray(1) })).toThrow(/key: 15 bytes/);
  expect(() => commonSessionKey(issuerMasterKey, 0x1_0000)).toThrow(/ATC/);
  expect(() => scriptSessionKey(issuerMasterKey, fromHex("00"))).toThrow(/cryptogram/);
  expect(() => arpcMethod1(issuerMasterKey, fromHex("00"), fromHex("3030"))).toThrow(/ARQC/);
  const input = { key: issuerMasterKey, arqc: new Uint8Array(8), cardStatusUpdate: new Uint8Array(4) };
  expect(() => arpcMethod2({ ...input, proprietary: new Uint8Array(9) })).toThrow(/up to 8/);
  expect(() => scriptMac({ key: issuerMasterKey, chaining: new Uint8Array(4), message: input.arqc })).toThrow(
    /chaining/,
  );
  expect(() => retailMac(issuerMasterKey, new Uint8Array(0))).toThrow(/whole blocks/);
});

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const index = bit >> 3;
  return bytes.with(index, (bytes[index] ?? 0) ^ (1 << (bit & 7)));
}
