/** A file for a bank where there is room for it, and where there is not. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { writeNewFile } from "./new-file.ts";

const inFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), "tillway-payout-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return { folder, path: join(folder, "payout.csv") };
};
const TEXT = "E2E-1,bakery,7.00\r\n".repeat(1_000);

/** In a process that may write files of 1,024 bytes at most: the first write is cut short, without an error. */
function writeWithLittleRoom(path: string) {
  const module = JSON.stringify(new URL("./new-file.ts", import.meta.url).href);
  const code = `import { writeNewFile } from ${module}; writeNewFile(process.argv[1], "7.00\\r\\n".repeat(1_000));`;
  const limited = `ulimit -f 1; exec "$0" "$@"`;
  return spawnSync("bash", ["-c", limited, process.execPath, "--input-type=module", "-e", code, path], {
    encoding: "utf8",
  });
}

test("is whole, its owner's alone, and overwrites none", () => {
  const { folder, path } = inFolder();
  writeNewFile(path, TEXT);
  expect(readFileSync(path, "utf8")).toBe(TEXT);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(() => writeNewFile(path, "another")).toThrow("EEXIST");
  expect(readFileSync(path, "utf8")).toBe(TEXT);
  expect(readdirSync(folder)).toEqual(["payout.csv"]);
});

test("is not there at all where there is no room for all of it, and can be written where there is", () => {
  const { folder, path } = inFolder();
  const { status, stderr } = writeWithLittleRoom(path);
  expect(stderr).toContain("EFBIG");
  expect(status).toBe(1);
  expect(readdirSync(folder)).toEqual([]);
  writeNewFile(path, TEXT);
  expect(readFileSync(path, "utf8")).toBe(TEXT);
});
