import { expect, test } from "vitest";
import { fromHex } from "../../../base/bytes.ts";
import type { Result } from "../../../base/result.ts";
import type { OdaFailure, OdaInput } from "./authentication.ts";
import { inputOf, type MadeSet, made } from "./oda-fixture.ts";
import { recoverIccKey, recoverIssuerKey, verifyCombined, verifyDynamicData, verifyStaticData } from "./verify.ts";

/** Everything that a profile's authentication looks at, by name. Flipping one bit of any of them must end it. */
type Fields = Readonly<Record<string, Uint8Array>>;
type Authentication = (fields: Fields) => Result<unknown, OdaFailure>;

const EMPTY = new Uint8Array(0);
const part = (fields: Fields, name: string): Uint8Array => fields[name] ?? EMPTY;

const CHAIN_TAGS = ["8F", "90", "92", "9F32"];
const ICC_TAGS = ["9F46", "9F47", "9F48"];

function fieldsOf(set: MadeSet, tags: readonly string[]): Record<string, Uint8Array> {
  const sound = inputOf(set, made.today);
  const [key] = sound.caKeys;
  if (!key) throw new Error("no CA key");
  const fields: Record<string, Uint8Array> = {
    RID: sound.rid,
    "CA index": Uint8Array.of(key.index),
    "CA modulus": key.modulus,
    "CA exponent": key.exponent,
    "CA sha1": key.sha1,
    "static data": sound.staticData,
  };
  for (const tag of [...CHAIN_TAGS, ...tags]) {
    const value = set.values[tag];
    if (value !== undefined) fields[tag] = fromHex(value);
  }
  return fields;
}

function inputWith(set: MadeSet, fields: Fields): OdaInput {
  const sound = inputOf(set, made.today);
  const [key] = sound.caKeys;
  if (!key) throw new Error("no CA key");
  const values = new Map(sound.values);
  for (const tag of values.keys()) {
    const flipped = fields[tag.toString(16).toUpperCase()];
    if (flipped) values.set(tag, flipped);
  }
  const [index = 0] = part(fields, "CA index");
  return {
    ...sound,
    values,
    rid: part(fields, "RID"),
    staticData: part(fields, "static data"),
    caKeys: [
      {
        ...key,
        index,
        modulus: part(fields, "CA modulus"),
        exponent: part(fields, "CA exponent"),
        sha1: part(fields, "CA sha1"),
      },
    ],
  };
}

function sda(set: MadeSet): [Fields, Authentication] {
  const authentication: Authentication = (fields) => {
    const input = inputWith(set, fields);
    const issuer = recoverIssuerKey(input);
    return issuer.ok ? verifyStaticData(input, issuer.value) : issuer;
  };
  return [fieldsOf(set, ["93", "9F4A"]), authentication];
}

function iccKey(set: MadeSet, fields: Fields) {
  const input = inputWith(set, fields);
  const issuer = recoverIssuerKey(input);
  return issuer.ok ? recoverIccKey(input, issuer.value) : issuer;
}

function dda(set: MadeSet): [Fields, Authentication] {
  const authentication: Authentication = (fields) => {
    const icc = iccKey(set, fields);
    if (!icc.ok) return icc;
    return verifyDynamicData(icc.value, { signed: part(fields, "9F4B"), terminalData: part(fields, "DDOL data") });
  };
  return [
    {
      ...fieldsOf(set, [...ICC_TAGS, "9F4A", "5A"]),
      "9F4B": fromHex(set.dda.signed),
      "DDOL data": fromHex(set.dda.terminalData),
    },
    authentication,
  ];
}

function cda(set: MadeSet): [Fields, Authentication] {
  const authentication: Authentication = (fields) => {
    const icc = iccKey(set, fields);
    if (!icc.ok) return icc;
    const [cid = 0] = part(fields, "9F27");
    return verifyCombined(icc.value, {
      signed: part(fields, "9F4B"),
      cid,
      unpredictableNumber: part(fields, "9F37"),
      transactionData: part(fields, "transaction data"),
    });
  };
  return [
    {
      ...fieldsOf(set, [...ICC_TAGS, "9F4A", "5A"]),
      "9F4B": fromHex(set.cda.signed),
      "9F27": Uint8Array.of(set.cda.cid),
      "9F37": fromHex(set.cda.unpredictableNumber),
      "transaction data": fromHex(set.cda.transactionData),
    },
    authentication,
  ];
}

/** Field and bit of every flip that is not refused. */
function survivors(fields: Fields, authentication: Authentication): { flips: number; held: string[] } {
  const held: string[] = [];
  let flips = 0;
  for (const [name, value] of Object.entries(fields)) {
    for (let bit = 0; bit < value.length * 8; bit += 1) {
      const flipped = value.slice();
      const at = bit >> 3;
      flipped[at] = (flipped[at] ?? 0) ^ (0x80 >> (bit & 7));
      flips += 1;
      if (authentication({ ...fields, [name]: flipped }).ok) held.push(`${name} bit ${bit}`);
    }
  }
  return { flips, held };
}

const PROFILES = { sda, dda, cda } as const;
const cases = made.sets.flatMap((set) =>
  Object.entries(PROFILES).map(([profile, of]) => [profile.toUpperCase(), set.name, set, of] as const),
);

test.each(cases)(
  "RM13 %s of set %s fails for every single flipped bit of every certificate, key and signed field",
  (_, __, set, of) => {
    const [fields, authentication] = of(set);
    expect(authentication(fields)).toEqual(expect.objectContaining({ ok: true }));
    const bits = Object.values(fields).reduce((sum, value) => sum + value.length * 8, 0);
    const { flips, held } = survivors(fields, authentication);
    expect(flips).toBe(bits);
    expect(held).toEqual([]);
  },
  60_000,
);
