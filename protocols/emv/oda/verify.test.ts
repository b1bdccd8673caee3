import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../base/bytes.ts";
import type { Result } from "../../../base/result.ts";
import type { OdaFailure, OdaInput } from "./authentication.ts";
import type { RsaPublicKey } from "./keys.ts";
import { bytesOf, firstSet, inputOf, type MadeSet, made, published, type Variant } from "./oda-fixture.ts";
import { recover } from "./rsa.ts";
import { recoverIccKey, recoverIssuerKey, verifyCombined, verifyDynamicData, verifyStaticData } from "./verify.ts";

const upper = (bytes: Uint8Array) => toHex(bytes).toUpperCase();

function held<T>(result: Result<T, OdaFailure>): T {
  if (!result.ok) throw new Error(`${result.error.why}: ${result.error.detail}`);
  return result.value;
}

const whyOf = (result: Result<unknown, OdaFailure>) => (result.ok ? "holds" : result.error.why);

test("RM13 the published SDA test card authenticates, and gives its code", () => {
  const card = published.sda;
  const input = inputOf(card, card.today);
  const issuer = held(recoverIssuerKey(input));
  expect(upper(issuer.serialNumber)).toBe(card.serialNumber);
  expect(upper(held(verifyStaticData(input, issuer)).dataAuthenticationCode)).toBe(card.dataAuthenticationCode);
});

test("RM13 the published DDA test card authenticates over its whole chain", () => {
  const card = published.dda;
  const input = inputOf(card, card.today);
  const icc = held(recoverIccKey(input, held(recoverIssuerKey(input))));
  const dynamic = verifyDynamicData(icc, { signed: fromHex(card.signed), terminalData: fromHex(card.terminalData) });
  expect(upper(held(dynamic).iccDynamicNumber)).toBe(card.iccDynamicNumber);
});

test("RM13 the published CDA signature gives number and cryptogram under the key of its certificate", () => {
  const card = published.cda;
  const input = inputOf(card, card.today);
  const issuer = held(recoverIssuerKey(input));
  const block = recover(issuer, fromHex(card.values["9F46"] ?? ""));
  expect(upper(block ?? new Uint8Array(0))).toContain(card.iccModulus);
  const combined = verifyCombined(
    { modulus: fromHex(card.iccModulus), exponent: Uint8Array.of(3) },
    {
      signed: fromHex(card.signed),
      cid: card.cid,
      unpredictableNumber: fromHex(card.unpredictableNumber),
      transactionData: fromHex(card.transactionData),
    },
  );
  expect(upper(held(combined).iccDynamicNumber)).toBe(card.iccDynamicNumber);
  expect(upper(held(combined).cryptogram)).toBe(card.cryptogram);
});

const cdaOf = (set: MadeSet, signed = set.cda.signed) => ({
  signed: fromHex(signed),
  cid: set.cda.cid,
  unpredictableNumber: fromHex(set.cda.unpredictableNumber),
  transactionData: fromHex(set.cda.transactionData),
});
const ddaOf = (set: MadeSet, signed = set.dda.signed) => ({
  signed: fromHex(signed),
  terminalData: fromHex(set.dda.terminalData),
});

test.each(made.sets.map((set) => [set.name, set] as const))(
  "RM13 keys of set %s recover, SDA, DDA and CDA hold",
  (_, set) => {
    const input = inputOf(set, made.today);
    const issuer = held(recoverIssuerKey(input));
    expect(upper(issuer.modulus)).toBe(set.issuerKey.modulus);
    expect(upper(issuer.exponent)).toBe(set.issuerKey.exponent);
    expect(upper(issuer.serialNumber)).toBe(set.issuerKey.serialNumber);
    const icc = held(recoverIccKey(input, issuer));
    expect(upper(icc.modulus)).toBe(set.iccKey.modulus);
    expect(upper(icc.exponent)).toBe(set.iccKey.exponent);
    expect(upper(held(verifyStaticData(input, issuer)).dataAuthenticationCode)).toBe(set.dataAuthenticationCode);
    expect(upper(held(verifyDynamicData(icc, ddaOf(set))).iccDynamicNumber)).toBe(set.iccDynamicNumber);
    const combined = held(verifyCombined(icc, cdaOf(set)));
    expect([upper(combined.iccDynamicNumber), upper(combined.cryptogram)]).toEqual([
      set.iccDynamicNumber,
      set.cda.cryptogram,
    ]);
  },
);

const set = firstSet();
const sound = inputOf(set, made.today);
const keysOf = (of: MadeSet): { readonly issuer: RsaPublicKey; readonly icc: RsaPublicKey } => {
  const input = inputOf(of, made.today);
  const issuer = held(recoverIssuerKey(input));
  return { issuer, icc: held(recoverIccKey(input, issuer)) };
};
const { issuer: issuerKey, icc: iccKey } = keysOf(set);

/** The step of the chain that a variant is about, with its bytes in place of the sound ones. */
function stage({ at, values, signed, set: name = set.name }: Variant): Result<unknown, OdaFailure> {
  const of = made.sets.find((each) => each.name === name) ?? set;
  const input = inputOf(of, made.today, values);
  const keys = keysOf(of);
  switch (at) {
    case "issuer":
      return recoverIssuerKey(input);
    case "icc":
      return recoverIccKey(input, keys.issuer);
    case "sda":
      return verifyStaticData(input, keys.issuer);
    case "dda":
      return verifyDynamicData(keys.icc, ddaOf(of, signed));
    case "cda":
      return verifyCombined(keys.icc, cdaOf(of, signed));
  }
}

test.each(made.faults.map((fault) => [fault.at, fault.what, fault] as const))(
  "RM13 a soundly signed %s object is refused for its %s",
  (_, __, fault) => {
    expect(whyOf(stage(fault))).toBe(fault.why);
  },
);

test.each(made.sound.map((variant) => [variant.what, variant] as const))("RM13 %s holds", (_, variant) => {
  expect(whyOf(stage(variant))).toBe("holds");
});

test.each([
  ["8F", "issuer"],
  ["90", "issuer"],
  ["92", "issuer"],
  ["9F32", "issuer"],
  ["5A", "issuer"],
  ["93", "sda"],
  ["9F46", "icc"],
  ["9F47", "icc"],
  ["9F48", "icc"],
  ["5A", "icc"],
] as const)("RM13 without tag %s the %s step says what is missing", (tag, at) => {
  const result = stage({ what: "missing", at, values: { [tag]: "" } });
  expect(whyOf(result)).toBe("missing");
});

test("RM13 an index of the CA key that is not one byte is refused", () => {
  expect(whyOf(stage({ what: "index", at: "issuer", values: { "8F": "0707" } }))).toBe("format");
});

test("a remainder that the key does not want is refused", () => {
  const padded = made.sets.find((each) => each.name === "padding");
  if (!padded) throw new Error("no such set");
  expect(whyOf(recoverIssuerKey(inputOf(padded, made.today, { "92": "BB" })))).toBe("hash");
});

test("RM13 the list of static data may name the AIP and nothing else", () => {
  for (const list of ["8295", "95", "9F36", "8282"]) {
    const values = { "9F4A": list };
    expect([list, whyOf(stage({ what: "list", at: "sda", values }))]).toEqual([list, "format"]);
    expect([list, whyOf(stage({ what: "list", at: "icc", values }))]).toEqual([list, "format"]);
  }
});

test("RM13 the CA key is found by RID and index, with its hash held and its last day not past", () => {
  const [key] = sound.caKeys;
  if (!key) throw new Error("no CA key");
  const withKeys = (change: Partial<OdaInput>) => whyOf(recoverIssuerKey({ ...sound, ...change }));
  expect(withKeys({ caKeys: [] })).toBe("no-ca-key");
  expect(withKeys({ rid: fromHex("A000000003") })).toBe("no-ca-key");
  expect(withKeys({ caKeys: [{ ...key, index: 8 }] })).toBe("no-ca-key");
  expect(withKeys({ caKeys: [{ ...key, sha1: new Uint8Array(20) }] })).toBe("no-ca-key");
  expect(withKeys({ caKeys: [{ ...key, expires: "2026-11-14" }] })).toBe("ca-key-expired");
  expect(withKeys({ caKeys: [{ ...key, expires: "2026-11-15" }] })).toBe("holds");
});

test("RM13 a revoked issuer certificate fails, by RID, index and number together", () => {
  const entry = { rid: sound.rid, index: 7, serialNumber: fromHex("000A01") };
  const withRevoked = (change: object) => whyOf(recoverIssuerKey({ ...sound, revoked: [{ ...entry, ...change }] }));
  expect(withRevoked({})).toBe("revoked");
  expect(withRevoked({ index: 8 })).toBe("holds");
  expect(withRevoked({ rid: fromHex("A000000003") })).toBe("holds");
  expect(withRevoked({ serialNumber: fromHex("000A02") })).toBe("holds");
});

test("RM13 static data of another card fail SDA and the ICC certificate", () => {
  const cloned = { ...sound, staticData: concat(sound.staticData, Uint8Array.of(0)) };
  expect(whyOf(verifyStaticData(cloned, issuerKey))).toBe("hash");
  expect(whyOf(recoverIccKey(cloned, issuerKey))).toBe("hash");
});

test("RM13 a signature over other terminal data, another number or another transaction fails", () => {
  expect(whyOf(verifyDynamicData(iccKey, { ...ddaOf(set), terminalData: fromHex("9F371235") }))).toBe("hash");
  expect(whyOf(verifyCombined(iccKey, { ...cdaOf(set), unpredictableNumber: fromHex("9F371235") }))).toBe("hash");
  expect(whyOf(verifyCombined(iccKey, { ...cdaOf(set), unpredictableNumber: fromHex("9F3712") }))).toBe("format");
  expect(whyOf(verifyCombined(iccKey, { ...cdaOf(set), cid: 0x80 }))).toBe("identifier");
  expect(whyOf(verifyCombined(iccKey, { ...cdaOf(set), transactionData: new Uint8Array(0) }))).toBe("hash");
});

const TAGS = Object.keys(set.values);
const bytes = fc.uint8Array({ maxLength: 260 });
const anyKey = fc.record({
  modulus: fc.oneof(bytes, fc.constant(issuerKey.modulus)),
  exponent: fc.constantFrom(Uint8Array.of(3), Uint8Array.of(1, 0, 1), Uint8Array.of(2), new Uint8Array(0)),
});

test("any bytes in any data object end in a result", () => {
  const changed = fc.dictionary(fc.constantFrom(...TAGS), bytes, { maxKeys: 4 });
  fc.assert(
    fc.property(changed, anyKey, bytes, (values, key: RsaPublicKey, data) => {
      const fuzzed = new Map([
        ...bytesOf(set.values),
        ...[...Object.entries(values)].map(([tag, value]) => [Number.parseInt(tag, 16), value] as const),
      ]);
      const input: OdaInput = { ...sound, values: fuzzed, staticData: data };
      for (const issuer of [issuerKey, key]) {
        expect(typeof verifyStaticData(input, issuer).ok).toBe("boolean");
        expect(typeof recoverIccKey(input, issuer).ok).toBe("boolean");
      }
      expect(typeof recoverIssuerKey(input).ok).toBe("boolean");
      expect(verifyDynamicData(key, { signed: data, terminalData: data }).ok).toBe(false);
      expect(verifyCombined(key, { ...cdaOf(set), signed: data }).ok).toBe(false);
    }),
    { numRuns: 300 },
  );
});
