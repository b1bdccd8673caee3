/** `tillway journal …` as a person runs it: one line, and the exit code that says whose the fault is. */
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newSigningKeys, privateKeyText, publicKeyText } from "../../wire/signing.ts";
import { storeIdentity } from "../identity.ts";
import { advice, intent, JournalFolder, KEYS, TERMINAL } from "./journal-fixture.ts";

let here: JournalFolder;
beforeEach(async () => {
  here = new JournalFolder();
  const { certificate: _, ...sample } = JSON.parse(
    readFileSync(new URL("../../test/vectors/wire/enrol.response.json", import.meta.url), "utf8"),
  );
  storeIdentity(here.folder, {
    ...sample,
    v: 1,
    terminalId: TERMINAL,
    caCertificate: "-----BEGIN CERTIFICATE-----",
    sealingKey: { keyId: "hub-1", publicKey: publicKeyText(generateKeyPairSync("x25519").publicKey) },
    hubSigningKey: publicKeyText(newSigningKeys().publicKey),
    signingPrivateKey: privateKeyText(KEYS.privateKey),
  });
  await using journal = here.open(TERMINAL, { signingKey: KEYS.privateKey });
  await journal.append([{ body: intent("p-1") }, advice("p-1")]);
});
afterEach(() => here[Symbol.dispose]());

const PROGRAM = join(import.meta.dirname, "../../scripts/tillway.ts");
const tillway = (...words: string[]): Promise<{ code: unknown; out: string; err: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, "journal", ...words], (error, out, err) =>
      resolve({ code: error ? error.code : 0, out, err }),
    );
  });
const folder = (): string[] => ["--data-dir", here.folder];

test("verify, export and check-export follow each other", async () => {
  expect(await tillway("verify", ...folder())).toMatchObject({
    code: 0,
    out: expect.stringContaining("whole; terminal shop-1"),
  });
  const file = join(here.folder, "out.jsonl");
  const made = await tillway("export", ...folder(), "-o", file, "--json");
  expect(made.code).toBe(0);
  const { entries, key } = JSON.parse(made.out);
  expect(entries).toBe(2);
  expect(await tillway("check-export", file, "--key", key)).toMatchObject({
    code: 0,
    out: expect.stringContaining("holds"),
  });
  const other = await tillway("check-export", file, "--key", "00".repeat(16), "--json");
  expect([other.code, JSON.parse(other.out)]).toMatchObject([
    1,
    { ok: false, signatureHolds: true, keyExpected: false },
  ]);
});

test("a damaged journal ends verify with 1 and names the entry", async () => {
  const database = new Database(here.path);
  database.exec("UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 1");
  database.close();
  expect(await tillway("verify", here.path)).toMatchObject({
    code: 1,
    out: expect.stringMatching(/entry 1 was changed/),
  });
  expect(await tillway("verify", here.path, "--json")).toMatchObject({
    code: 1,
    out: expect.stringContaining('"sequence":1'),
  });
});

test.each([
  [["export"], /--output/],
  [["export", "-o", "x", "--from", "nine"], /--from nine: not the number of an entry/],
  [["export", "-o", "x", "--from", "9", "--to", "3"], /--from 9 lies after --to 3/],
  [["export", "-o", "x", "--day", "yesterday"], /--day yesterday: not a date/],
  [["verify", "--colour"], /unknown option/],
  [["verify", "--config", "a", "--data-dir", "b"], /give one of them/],
  [["verfy"], /unknown command/],
])("wrong arguments get one line and 2: %j", async (words, line) => {
  const { code, err, out } = await tillway(...words);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toMatch(line);
  expect(err.trim().split("\n")).toHaveLength(1);
  expect(existsSync("x")).toBe(false);
});

test("help shows examples, and a file that is none gets a sentence", async () => {
  expect((await tillway("export", "--help")).out).toMatch(/Examples:\n {2}tillway journal export --day/);
  const none = join(here.folder, "none.jsonl");
  writeFileSync(none, "hello\n");
  expect(await tillway("check-export", none)).toMatchObject({ code: 1, err: expect.stringContaining("line 1") });
  expect(await tillway("verify", join(here.folder, "no.db"))).toMatchObject({
    code: 1,
    err: expect.stringContaining("no such file"),
  });
});
