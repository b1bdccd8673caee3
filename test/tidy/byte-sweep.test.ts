import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { filesUnder, type Secrets, sweepForSecrets, sweptFiles } from "./byte-sweep.ts";

const PAN = "4761739001010119";
const CODE = "ABCDEFGHIJKLMNOPQRSTUVWXYA";
const KEY = Buffer.from("8f1e2d3c4b5a69788796a5b4c3d2e1f0", "hex");
const SECRETS: Secrets = { cardNumbers: [PAN], texts: { "anna's code": CODE }, keys: { "a key": KEY }, pins: ["1234"] };

const sweep = (text: string | Buffer) =>
  sweepForSecrets([{ name: "f", bytes: typeof text === "string" ? Buffer.from(text, "latin1") : text }], SECRETS);
const found = (text: string | Buffer) => sweep(text).map(({ what, form }) => `${what}: ${form}`);

describe("RM5: the sweep sees a planted secret", () => {
  test.each<[string, string | Buffer, string]>([
    ["a code in a log", `{"text":"OF1:anna:${CODE}:1"}`, "anna's code: ascii"],
    ["a code in UTF-16", Buffer.from(`x${CODE}`, "utf16le"), "anna's code: utf16"],
    ["a code in hex", `x${Buffer.from(CODE).toString("hex").toUpperCase()}`, "anna's code: hex"],
    ["a key among bytes", Buffer.concat([Buffer.from([1]), KEY]), "a key: raw"],
    ["a key in hex", `key=${KEY.toString("hex")}`, "a key: hex"],
    ["a key in upper-case hex", KEY.toString("hex").toUpperCase(), "a key: hex"],
    ["a card's number", `pan ${PAN}`, "card 476173******0119: ascii"],
    ["a track", `;${PAN}=31122011`, "track 2 of 476173******0119: ascii"],
    ["a PIN block of format 0", Buffer.from("041223c6ffefefee", "hex"), "PIN block of 476173…0119: raw"],
    ["a PIN to a card", Buffer.from("0020008008241234ffffffffff", "hex"), "a PIN in clear: raw"],
    ["a PIN in a transcript", "00 > 00200080 08 26123456FFFFFFFF", "a PIN in clear: hex"],
  ])("%s", (_name, text, expected) => {
    expect(found(text)).toEqual([expected]);
  });

  test.each([0, 1, 2])("a key in base64 of either alphabet, %i bytes into it", (shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift, 7), KEY, Buffer.from("…")]);
    for (const alphabet of ["base64", "base64url"] as const)
      expect(found(`"${bytes.toString(alphabet)}"`)).toEqual(["a key: base64"]);
  });

  test("in any file of a folder, and names the file", () => {
    const folder = mkdtempSync(join(tmpdir(), "sweep-"));
    try {
      mkdirSync(join(folder, "a"));
      writeFileSync(join(folder, "a", "journal.db-wal"), CODE);
      writeFileSync(join(folder, "own.json"), CODE);
      const files = filesUnder(folder, (path) => path === "own.json");
      expect(sweepForSecrets(files, SECRETS)).toEqual([
        { file: "a/journal.db-wal", what: "anna's code", form: "ascii", offset: 0 },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("on a simulated disk, also where only the platter still has it", () => {
    const volume = {
      files: () => [{ name: "journal.db" }],
      bytes: (_name: string, layer?: string) => Buffer.from(layer === "durable" ? CODE : ""),
    };
    expect(sweepForSecrets(sweptFiles("till-1", volume), SECRETS)).toMatchObject([
      { file: "till-1/journal.db (durable)", what: "anna's code" },
    ]);
  });
});

test("RM5: a finding shows nothing of the secret", () => {
  const leaks = JSON.stringify(sweep(`${PAN} ${CODE} ${KEY.toString("hex")}`));
  for (const secret of [PAN, CODE, KEY.toString("hex")]) expect(leaks).not.toContain(secret);
});

test("RM5: what is no secret is not found", () => {
  expect(found(Buffer.from("26000000ffffffff26000000ffffffff", "hex"))).toEqual([]);
  expect(found(`476173******0119 OF1:anna ${"0".repeat(400)} ${"f".repeat(400)}`)).toEqual([]);
});

test("a secret that is too short would be found everywhere, and is refused", () => {
  expect(() => sweepForSecrets([], { texts: { code: "1234" } })).toThrow("too short");
});
