import { spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isFault } from "./fault.ts";
import { isLocked, takeLock } from "./lock-file.ts";

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "tillway-lock-")), "data");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const HOLDER = `
import { takeLock } from ${JSON.stringify(join(import.meta.dirname, "lock-file.ts"))};
globalThis.lock = takeLock({ folder: process.argv[1], what: "agent" });
console.log("held");
setInterval(() => {}, 1000);
`;

async function holder() {
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", HOLDER, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}

test("a second holder is refused with the first one's pid, and may come when that is killed", async () => {
  const child = await holder();
  let refused: unknown;
  try {
    takeLock({ folder, what: "agent" });
  } catch (error) {
    refused = error;
  }
  expect(isFault(refused, "lock.held") && refused.message).toBe(
    `another agent (pid ${child.pid}) runs on ${folder}; stop it first`,
  );
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  takeLock({ folder, what: "agent" })[Symbol.dispose]();
});

test("giving it back lets the next one in, in the same process too", () => {
  expect(isLocked(folder)).toBe(false);
  const first = takeLock({ folder, what: "agent" });
  expect(isLocked(folder)).toBe(true);
  expect(() => takeLock({ folder, what: "agent" })).toThrow(/another agent \(pid \d+\) runs/);
  first[Symbol.dispose]();
  expect(isLocked(folder)).toBe(false);
  takeLock({ folder, what: "agent" })[Symbol.dispose]();
});

test("makes the folder for its owner alone", () => {
  takeLock({ folder, what: "agent" })[Symbol.dispose]();
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, "lock")).mode & 0o777).toBe(0o600);
});

test("a folder that cannot be made is one line with the mend", () => {
  expect(() => takeLock({ folder: "/proc/tillway", what: "agent" })).toThrow(
    /cannot make the data folder \/proc\/tillway/,
  );
});

test("what root locks can be locked again by whom the folder belongs to", () => {
  mkdirSync(folder);
  // Nobody else can give a folder away.
  if (process.getuid?.() === 0) chownSync(folder, 1234, 1235);
  using _ = takeLock({ folder, what: "agent" });
  for (const name of ["lock", "pid"]) expect(statSync(join(folder, name)).uid).toBe(statSync(folder).uid);
});
