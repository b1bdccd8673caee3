import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RandomBytes } from "../../base/ids.ts";
import { ensureApiToken, readApiToken } from "./api-token.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tillway-token-"));
  path = join(folder, "api-token");
});
afterEach(() => rmSync(folder, { recursive: true }));

const sevens: RandomBytes = (count) => new Uint8Array(count).fill(7);
const eights: RandomBytes = (count) => new Uint8Array(count).fill(8);

test("the token is made once, for the agent's user alone", () => {
  expect(ensureApiToken(path, sevens)).toBe("07".repeat(32));
  expect(ensureApiToken(path, eights)).toBe("07".repeat(32));
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a file that a power cut left empty gets a token", () => {
  writeFileSync(path, "");
  expect(ensureApiToken(path, eights)).toBe("08".repeat(32));
  expect(readApiToken(path)).toBe("08".repeat(32));
});

test("what is no token is a mistake of the configuration, and is not written over", () => {
  writeFileSync(path, "short");
  expect(() => ensureApiToken(path, eights)).toThrow(expect.objectContaining({ code: "config.invalid" }));
  expect(() => ensureApiToken(join(folder, "none/api-token"), eights)).toThrow(
    expect.objectContaining({ code: "config.invalid", message: expect.stringMatching(/see api\.tokenFile$/) }),
  );
});

const FIRST_START = `
import { ensureApiToken } from ${JSON.stringify(join(import.meta.dirname, "api-token.ts"))};
try {
  ensureApiToken(process.argv[1], (count) => new Uint8Array(count));
} catch (error) {
  console.log(error.code);
}
`;

test("a disk that takes nothing is no such mistake, and the next start finds no half of a token", () => {
  // No file may grow, as on a full disk.
  const limited = ["-c", 'ulimit -f 0 && exec "$@"', "sh", process.execPath, "--input-type=module-typescript"];
  const { stdout } = spawnSync("sh", [...limited, "-e", FIRST_START, path], { encoding: "utf8" });
  expect(stdout).toBe("store.failed\n");
  expect(readdirSync(folder)).toEqual([]);
  expect(ensureApiToken(path, sevens)).toBe("07".repeat(32));
});
