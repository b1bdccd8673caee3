/** `tillway emv replay` as integrators call it: exit codes, words and JSON. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { toHex } from "../../base/bytes.ts";
import { registerReplay } from "../../protocols/emv/kernel/cli.ts";
import { formatTranscript } from "../../protocols/emv/transcript.ts";
import { recordSale } from "../../scripts/lib/recorded-sale.ts";
import { testCaKeys } from "../../sim/card/mint/test-keys.ts";
import { cardProfile } from "../../sim/card/profiles.ts";

let folder = "";
let capk = "";
let cda = "";

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "replay-"));
  const keys = testCaKeys().map(({ rid, index, modulus, exponent, sha1, expires }) => ({
    rid: toHex(rid),
    index: toHex(Uint8Array.of(index)),
    modulus: toHex(modulus),
    exponent: toHex(exponent),
    sha1: toHex(sha1),
    expires,
  }));
  capk = file("capk.json", JSON.stringify(keys));
  cda = file("cda.txt", formatTranscript((await recordSale({ profile: cardProfile("cda") })).transcript));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function emv(...words: readonly string[]): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []];
  const log = vi.spyOn(console, "log").mockImplementation((line: string) => void out.push(line));
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0);
  const command = new Command("emv").exitOverride();
  registerReplay(command);
  for (const each of command.commands) each.exitOverride();
  process.exitCode = 0;
  try {
    await command.parseAsync(["replay", ...words], { from: "user" });
    return { code: Number(process.exitCode), out: out.join("\n"), err: err.join("") };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { code: 2, out: out.join("\n"), err: err.join("") };
  } finally {
    process.exitCode = 0;
    log.mockRestore();
    write.mockRestore();
  }
}

test("a recorded sale runs through: every step, and the decision", async () => {
  const { code, out, err } = await emv(cda, "--capk", capk);
  expect([code, err]).toEqual([0, ""]);
  expect(out).toMatch(/^first-cryptogram +TVR 0000000000 {2}TSI e800/m);
  expect(out).toContain("authentication  CDA: succeeded");
  expect(out).toContain("decision  approved (TC, response code Y1)");
});

test("--json is one object", async () => {
  const { code, out } = await emv(cda, "--capk", capk, "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    ran: true,
    decision: { outcome: "approved", cryptogram: "TC" },
    tvr: { names: [] },
  });
});

test("another day is another TVR, and the difference is told with its line", async () => {
  const { code, out, err } = await emv(cda, "--capk", capk, "--date", "2099-01-01");
  expect(code).toBe(1);
  expect(out).toContain("Expired application");
  expect(err).toMatch(/^tillway: line \d+: the kernel sends another command than the transcript: .*kernel 80ae/);
});

test("RM6 with --mask no command is shown in clear, in the dialogue or in the difference", async () => {
  const { out, err } = await emv(cda, "--capk", capk, "--date", "2099-01-01", "--mask");
  expect(out).toContain("# masked");
  expect(err).toMatch(/line \d+: the kernel sends another command/);
  expect(err).not.toContain("80ae");
});

test("leniently a dialogue over another amount runs through, and says what was only like it", async () => {
  const { transcript } = await recordSale({ profile: cardProfile("sda") });
  const other = file("sda.txt", formatTranscript(transcript).replace("@ amount 1250", "@ amount 777"));
  expect((await emv(other, "--capk", capk)).code).toBe(1);
  const { code, out } = await emv(other, "--capk", capk, "--lenient");
  expect(code).toBe(0);
  expect(out).toMatch(/^note {2}GENERATE AC .*answered from line \d+/m);
});

test.each([
  ["no CA keys", () => [cda], 2],
  ["no such file", () => [join(folder, "none"), "--capk", capk], 2],
  ["CA keys that are none", () => [cda, "--capk", cda], 2],
  ["no day", () => [cda, "--capk", capk, "--date", "2026-13-01"], 2],
  ["a transcript that is none", () => [capk, "--capk", capk], 1],
])("%s is said with its exit code", async (_what, words, code) => {
  const ran = await emv(...words());
  expect(ran.code).toBe(code);
  expect(ran.out).toBe("");
  expect(ran.err).not.toBe("");
});

test("a CA key whose hash does not hold is refused", async () => {
  const [key] = testCaKeys();
  if (!key) throw new Error("there is a test key");
  const bad = {
    rid: toHex(key.rid),
    index: "01",
    modulus: toHex(key.modulus),
    exponent: "03",
    sha1: "00".repeat(20),
    expires: key.expires,
  };
  const { code, err } = await emv(cda, "--capk", file("bad.json", JSON.stringify([bad])));
  expect(code).toBe(2);
  expect(err).toContain("F054494C4C 01");
});
