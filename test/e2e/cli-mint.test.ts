/** The real `tillway sim mint`: what it writes is what a terminal reads, and it replaces nothing unasked. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { caKeyHashHolds, parseCaKeys, parseRevoked } from "../../protocols/emv/oda/capk.ts";
import { checkTransaction } from "../../protocols/emv/oda/check-transaction.ts";
import { parseTransactionFile } from "../../protocols/emv/oda/transaction-file.ts";

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");
const PAN = "4761739001010010";
const TODAY = { year: 2026, month: 1, day: 5 };
const LIMIT_MS = 30_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tillway-mint-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function mint(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, "sim", "mint", ...args], { timeout: LIMIT_MS }, (error, out, err) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, out, err });
    });
  });
}

const written = (name: string) => readFileSync(join(folder, name), "utf8");

function check(text: string) {
  const caKeys = parseCaKeys(JSON.parse(written("capk.json")));
  const revoked = parseRevoked(JSON.parse(written("revoked.json")));
  return checkTransaction(parseTransactionFile(text), { caKeys, revoked, today: TODAY });
}

test("writes CA keys, revocation list and a card that a terminal accepts by them", async () => {
  const { code, out } = await mint("--out", folder, "--pan", PAN, "--oda", "dda", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({
    files: ["capk.json", "revoked.json", "card.hex"].map((name) => join(folder, name)),
    testKeys: true,
  });
  expect(parseCaKeys(JSON.parse(written("capk.json"))).every(caKeyHashHolds)).toBe(true);
  expect(check(written("card.hex"))).toMatchObject({ method: "dda", holds: true });
});

test("writes a card with a planted fault, which a terminal refuses by the revocation list", async () => {
  const { out } = await mint("--out", folder, "--pan", PAN, "--oda", "sda", "--fault", "revoked-issuer");
  expect(out).toContain("test values");
  expect(check(written("card.hex")).steps.at(-1)).toMatchObject({ why: "revoked" });
});

test("replaces files only when told, and writes none of them otherwise", async () => {
  await mint("--out", folder);
  const before = written("capk.json");
  const refused = await mint("--out", folder, "--pan", PAN);
  expect(refused).toMatchObject({ code: 2, out: "" });
  expect(refused.err).toBe(
    `tillway: ${join(folder, "capk.json")} is there already: give another folder, or --force to replace it\n`,
  );
  expect(readdirSync(folder).sort()).toEqual(["capk.json", "revoked.json"]);
  expect(await mint("--out", folder, "--pan", PAN, "--force")).toMatchObject({ code: 0 });
  expect(readdirSync(folder).sort()).toEqual(["capk.json", "card.hex", "revoked.json"]);
  expect(written("capk.json")).toBe(before);
});

test("without a folder it prints everything as one JSON object", async () => {
  const { code, out } = await mint("--pan", PAN);
  const { capk, revoked, card } = JSON.parse(out) as { capk: unknown; revoked: unknown; card: readonly string[] };
  expect(code).toBe(0);
  expect(parseCaKeys(capk).length).toBeGreaterThan(0);
  expect(parseRevoked(revoked).length).toBeGreaterThan(0);
  expect(parseTransactionFile(card.join("\n")).cryptogram?.signed).toHaveLength(176);
});

test.each([
  [["--pan", "1"], "give 12 to 19 digits"],
  [["--pan", PAN, "--expiry", "3113"], "give year and month as YYMM"],
  [["--pan", PAN, "--oda", "xda"], "Allowed choices are sda, dda, cda"],
  [["--fault", "wrong-ca"], "give --pan"],
  [["--pan", PAN, "--keys", "longest"], "give --keys longest-cda"],
  [["--out", "/no/such/folder"], "cannot write to /no/such/folder"],
])("says in one line what is wrong with %j", async (args, words) => {
  const { code, out, err } = await mint(...args);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toContain(words);
  expect(err.trimEnd()).not.toContain("\n");
});
