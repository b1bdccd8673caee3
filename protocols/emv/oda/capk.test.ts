import fc from "fast-check";
import { expect, test } from "vitest";
import { isFault } from "../../../base/fault.ts";
import { caKeyExpired, caKeyHashHolds, findCaKey, isRevoked, parseCaKeys, parseRevoked } from "./capk.ts";
import { made, published } from "./oda-fixture.ts";

const entry = published.sda.caKey;

test("the published hashes of the published test keys hold, and no other hash does", () => {
  const keys = parseCaKeys([published.sda.caKey, published.dda.caKey, published.cda.caKey]);
  expect(keys.map(caKeyHashHolds)).toEqual([true, true, true]);
  const [key] = keys;
  if (!key) throw new Error("no key");
  expect(caKeyHashHolds({ ...key, index: key.index + 1 })).toBe(false);
  expect(caKeyHashHolds({ ...key, sha1: key.sha1.toReversed() })).toBe(false);
});

test("an index is a number or a byte in hex", () => {
  expect(parseCaKeys([entry])[0]?.index).toBe(0x95);
  expect(parseCaKeys([{ ...entry, index: 10 }])[0]?.index).toBe(10);
  expect(parseCaKeys([{ ...entry, index: "A" }])[0]?.index).toBe(10);
});

test.each([
  [{ rid: "A0000000" }, "entry 2, rid is not 5 bytes long"],
  [{ rid: "A00000000" }, "entry 2, rid is not a string of whole bytes in hex"],
  [{ index: 256 }, "entry 2, index is neither a whole number up to 255 nor a byte in hex"],
  [{ index: "100" }, "entry 2, index is neither a whole number up to 255 nor a byte in hex"],
  [{ modulus: "" }, "entry 2, modulus is not 1 to 248 bytes long"],
  [{ modulus: "AB".repeat(249) }, "entry 2, modulus is not 1 to 248 bytes long"],
  [{ exponent: "02" }, "entry 2, exponent is neither 03 nor 010001"],
  [{ sha1: "00" }, "entry 2, sha1 is not 20 bytes long"],
  [{ expires: "2026-02-30" }, "entry 2, expires is not a day as YYYY-MM-DD"],
  [{ index: "95" }, "entry 2 has the RID and index of entry 1"],
])("a key entry with %o is refused by entry and field", (change, reason) => {
  const second = { ...entry, index: 7, ...change };
  expect(() => parseCaKeys([entry, second])).toThrow(
    expect.objectContaining({ code: "config.invalid", message: expect.stringContaining(reason) }),
  );
});

test("unknown and missing fields are refused by their entry", () => {
  expect(() => parseCaKeys([{ ...entry, expiry: "1249" }])).toThrow(/entry 1 .*expiry/);
  const { sha1: _, ...unhashed } = entry;
  expect(() => parseCaKeys([unhashed])).toThrow(/entry 1, sha1 /);
  expect(() => parseCaKeys({ keys: [] })).toThrow(expect.objectContaining({ code: "config.invalid" }));
});

test("a key counts to the end of its last day", () => {
  const [key] = parseCaKeys([{ ...entry, expires: "2026-09-30" }]);
  if (!key) throw new Error("no key");
  expect(caKeyExpired(key, { year: 2026, month: 9, day: 30 })).toBe(false);
  expect(caKeyExpired(key, { year: 2026, month: 10, day: 1 })).toBe(true);
  expect(caKeyExpired(key, { year: 2025, month: 12, day: 31 })).toBe(false);
});

test("a key is found by RID and index together", () => {
  const keys = parseCaKeys([
    published.sda.caKey,
    published.dda.caKey,
    ...made.sets.slice(0, 1).map((set) => set.caKey),
  ]);
  const [visa, , own] = keys;
  if (!visa || !own) throw new Error("no keys");
  expect(findCaKey(keys, visa.rid, 0x95)).toBe(visa);
  expect(findCaKey(keys, own.rid, 7)).toBe(own);
  expect(findCaKey(keys, own.rid, 0x95)).toBeUndefined();
  expect(findCaKey(keys, visa.rid.subarray(0, 4), 0x95)).toBeUndefined();
});

test("revoked certificates are told by RID, index and number", () => {
  const list = parseRevoked([{ rid: "F054494C4C", index: "0A", serialNumber: "000A01" }]);
  const [revoked] = list;
  if (!revoked) throw new Error("no entry");
  expect(revoked.index).toBe(10);
  expect(isRevoked(list, revoked)).toBe(true);
  expect(isRevoked(list, { ...revoked, index: 11 })).toBe(false);
  expect(isRevoked([], revoked)).toBe(false);
  expect(() => parseRevoked([{ rid: "F054494C4C", index: 1, serialNumber: "0A01" }])).toThrow(
    /revocation list: entry 1, serialNumber is not 3 bytes long/,
  );
});

test("any JSON is a list or a refusal", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (json) => {
      for (const parse of [parseCaKeys, parseRevoked]) {
        try {
          expect(parse(json)).toEqual([]);
        } catch (error) {
          expect(isFault(error, "config.invalid")).toBe(true);
        }
      }
    }),
  );
});
