import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fromHex } from "../base/bytes.ts";
import { HubConfigSchema } from "./config.ts";
import { loadCardRanges } from "./issuing-keys.ts";

const KEY = "0123456789ABCDEF FEDCBA9876543210\n";

function ranges(text: string | undefined, { mode = 0o600, range = {} } = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), "issuing-"));
  const path = join(dataDir, "issuer.hex");
  if (text !== undefined) {
    writeFileSync(path, text);
    chmodSync(path, mode);
  }
  const issuing = [{ bin: "476173", masterKeyFile: "issuer.hex", ...range }];
  return loadCardRanges(HubConfigSchema.parse({ dataDir, issuing }));
}

test("a range has its key from a file of the data folder, and version 18 with method 1 when nothing is said", () => {
  expect(ranges(KEY)).toEqual([
    { bin: "476173", issuerMasterKey: fromHex(KEY), derivation: "A", cryptogramVersion: 18, arpcMethod: 1 },
  ]);
});

test("the common-core version answers by method 2 and derives by option B alone", () => {
  const commonCore = { cryptogramVersion: "common-core", derivation: "B" };
  expect(ranges(KEY, { range: commonCore })).toMatchObject([{ arpcMethod: 2 }]);
  expect(() => ranges(KEY, { range: { cryptogramVersion: "common-core" } })).toThrow(/must be B/);
});

test("a key that others may read, is missing, is no key or is single DES is refused by its file, and never shown", () => {
  expect(() => ranges(KEY, { mode: 0o640 })).toThrow(/issuer\.hex: .*chmod 600/);
  expect(() => ranges(undefined)).toThrow(/issuer\.hex: .*masterKeyFile/);
  expect(() => ranges("0123456789ABCDEF")).toThrow(/issuer\.hex: not 32 hex digits/);
  expect(() => ranges("0".repeat(2_000))).toThrow(/too large/);
  expect(() => ranges("0123456789ABCDEF".repeat(2))).toThrow(/single DES/);
  expect(() => ranges("0123456789ABCDEX".repeat(2))).toThrow(/^(?!.*ABCDEX).*not 32 hex digits/);
});

test("a range by letters or by too few digits is refused", () => {
  for (const bin of ["476", "47617x", ""]) expect(() => ranges(KEY, { range: { bin } })).toThrow(/leading digits/);
});
