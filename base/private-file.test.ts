import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { requirePrivate, writePrivateFile } from "./private-file.ts";

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "private-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

test.each([
  [0o600, true],
  [0o400, true],
  [0o640, false],
  [0o604, false],
  [0o660, false],
])("a file of mode %o may hold keys: %s", (mode, may) => {
  const path = join(newFolder(), "signing.key");
  writeFileSync(path, "secret");
  chmodSync(path, mode);
  const check = () => requirePrivate(path, "the hub's keys");
  if (may) expect(check).not.toThrow();
  else {
    const mend = `mode ${mode.toString(8)}, so that others may read the hub's keys; run: chmod 600 ${path}`;
    expect(check).toThrow(expect.objectContaining({ code: "identity.invalid", message: `${path} has ${mend}` }));
  }
});

test("a file is replaced whole, for its owner alone, whatever a crash left beside it", () => {
  const path = join(newFolder(), "keys");
  writeFileSync(`${path}.new`, "half of a", { mode: 0o644 });
  writePrivateFile(path, "one");
  writePrivateFile(path, "two");
  expect(readFileSync(path, "utf8")).toBe("two");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(path, ".."))).toEqual(["keys"]);
});

test("what root writes belongs to whom the folder belongs", () => {
  const folder = newFolder();
  const path = join(folder, "keys");
  writePrivateFile(path, "before the folder was given away");
  // Nobody else can give a folder away.
  if (process.getuid?.() === 0) chownSync(folder, 1234, 1235);
  writePrivateFile(path, "one");
  expect(statSync(path).uid).toBe(statSync(folder).uid);
});

const WRITER = `
import { writePrivateFile } from ${JSON.stringify(join(import.meta.dirname, "private-file.ts"))};
try {
  writePrivateFile(process.argv[1], "n".repeat(100_000));
} catch (error) {
  console.log(error.code, error.message);
}
`;

test("a disk that takes only a part of it leaves what was there, and nothing beside it", () => {
  const path = join(newFolder(), "keys");
  writePrivateFile(path, "old");
  // Past the limit of a file's size a write is cut short, and the next one fails, as on a disk that fills.
  const limited = ["-c", 'ulimit -f 1 && exec "$@"', "sh", process.execPath, "--input-type=module-typescript"];
  const { stdout } = spawnSync("sh", [...limited, "-e", WRITER, path], { encoding: "utf8" });
  expect(stdout).toMatch(/^store\.failed cannot write .*keys: EFBIG.*; check the folder's owner and free space\n$/);
  expect(readFileSync(path, "utf8")).toBe("old");
  expect(readdirSync(join(path, ".."))).toEqual(["keys"]);
});

test("what cannot be written is an operating fault", () => {
  const path = join(newFolder(), "keys");
  writePrivateFile(path, "old");
  mkdirSync(`${path}.new`);
  expect(() => writePrivateFile(path, "new")).toThrow(expect.objectContaining({ code: "store.failed" }));
  expect(readFileSync(path, "utf8")).toBe("old");
});
