import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { arpcMethod1, arpcMethod2, deriveMasterKey } from "./cryptogram.ts";
import {
  type CryptogramVersion,
  checkCryptogram,
  cryptogramInput,
  cryptogramKey,
  makeCryptogram,
  versionOf,
} from "./cryptogram-versions.ts";

interface Vectors {
  issuerMasterKey: string;
  transaction: {
    pan: string;
    sequenceNumber: string;
    values: Record<string, string>;
    "10": Record<"issuerData" | "arqc" | "responseCode" | "arpc", string>;
    "18": Record<"issuerData" | "arqc" | "cardStatusUpdate" | "arpc", string>;
  };
}
interface Made {
  masterKey: string;
  commonCore: { values: Record<string, string> } & Record<"arqc" | "cardStatusUpdate" | "arpc", string>;
}

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../test/vectors/emv/${name}.json`, import.meta.url), "utf8")) as T;
const { issuerMasterKey, transaction } = read<Vectors>("cryptogram");
const made = read<Made>("cryptogram-made");
const hex = (bytes: Uint8Array) => toHex(bytes).toUpperCase();
const valuesOf = (values: Record<string, string>) =>
  new Map(Object.entries(values).map(([tag, value]) => [Number.parseInt(tag, 16), fromHex(value) as Uint8Array]));

const masterKey = deriveMasterKey({
  issuerMasterKey: fromHex(issuerMasterKey),
  pan: transaction.pan,
  sequenceNumber: transaction.sequenceNumber,
  option: "B",
});
const withIssuerData = (issuerData: string) => valuesOf({ ...transaction.values, "9F10": issuerData });
const cryptogramOf = (version: CryptogramVersion, key: Uint8Array, values: ReadonlyMap<number, Uint8Array>) => {
  const result = makeCryptogram(version, key, values);
  return result.ok ? hex(result.value) : result.error;
};

test("version 10 is as published: under the card's own key, over its verification results, padded with zeros", () => {
  const vector = transaction["10"];
  expect(cryptogramOf(10, masterKey, withIssuerData(vector.issuerData))).toBe(vector.arqc);
  const key = cryptogramKey(10, masterKey, 0x1c);
  expect(hex(arpcMethod1(key, fromHex(vector.arqc), fromHex(vector.responseCode)))).toBe(vector.arpc);
});

test("version 18 is as published: under a session key, over all issuer application data", () => {
  const vector = transaction["18"];
  expect(cryptogramOf(18, masterKey, withIssuerData(vector.issuerData))).toBe(vector.arqc);
  const key = cryptogramKey(18, masterKey, 0x1c);
  const cardStatusUpdate = fromHex(vector.cardStatusUpdate);
  expect(hex(arpcMethod2({ key, arqc: fromHex(vector.arqc), cardStatusUpdate }))).toBe(vector.arpc);
});

test("the common-core version is as an independent implementation has it", () => {
  const { values, arqc, cardStatusUpdate, arpc } = made.commonCore;
  expect(cryptogramOf("common-core", fromHex(made.masterKey), valuesOf(values))).toBe(arqc);
  const key = cryptogramKey("common-core", fromHex(made.masterKey), 0x0102);
  const answer = arpcMethod2({ key, arqc: fromHex(arqc), cardStatusUpdate: fromHex(cardStatusUpdate) });
  expect(hex(answer)).toBe(arpc);
});

test("a card names its version in the issuer application data", () => {
  expect(versionOf(fromHex(transaction["10"].issuerData))).toBe(10);
  expect(versionOf(fromHex(transaction["18"].issuerData))).toBe(18);
  const commonCore = fromHex(made.commonCore.values["9F10"] ?? "");
  expect(versionOf(commonCore)).toBe("common-core");
  expect(versionOf(commonCore.with(1, 0xa6))).toBeUndefined();
  expect(versionOf(fromHex("06011603A0B800"))).toBeUndefined();
  expect(versionOf(fromHex("060112"))).toBeUndefined();
  expect(versionOf(new Uint8Array(0))).toBeUndefined();
});

test("a cryptogram holds for its own data only: every flipped bit of every field fails", () => {
  const { issuerData, arqc } = transaction["18"];
  const values = withIssuerData(issuerData).set(0x9f26, fromHex(arqc));
  const checked = checkCryptogram(18, masterKey, values);
  expect(checked.ok && checked.value.atc).toBe(0x1c);
  for (const [tag, value] of values) {
    for (let bit = 0; bit < value.length * 8; bit += 1) {
      const altered = value.with(bit >> 3, (value[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
      expect(checkCryptogram(18, masterKey, new Map(values).set(tag, altered)).ok).toBe(false);
    }
  }
});

test("a byte that the amount lends to its neighbour is no way around the cryptogram", () => {
  const values = withIssuerData(transaction["18"].issuerData).set(0x9f26, fromHex(transaction["18"].arqc));
  const moved = new Map(values).set(0x9f02, fromHex("0000000040")).set(0x9f03, fromHex("00000000000000"));
  expect(checkCryptogram(18, masterKey, moved)).toEqual({ ok: false, error: { missing: 0x9f02 } });
});

test("each data object that lacks is named", () => {
  const values = withIssuerData(transaction["18"].issuerData);
  for (const tag of values.keys()) {
    const without = new Map(values);
    without.delete(tag);
    expect(cryptogramInput(18, without)).toEqual({ ok: false, error: { missing: tag } });
  }
  expect(checkCryptogram(18, masterKey, values)).toEqual({ ok: false, error: { missing: 0x9f26 } });
});

test("a cryptogram of another version than the issuer's is refused by that name", () => {
  const values = withIssuerData(transaction["10"].issuerData).set(0x9f26, fromHex(transaction["10"].arqc));
  expect(checkCryptogram(18, masterKey, values)).toEqual({ ok: false, error: "other-version" });
});
