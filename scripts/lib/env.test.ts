import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tillway-env-"));
  mkdirSync(join(root, "scripts", "lib"), { recursive: true });
  mkdirSync(join(root, ".cache"));
  copyFileSync(join(import.meta.dirname, "env.sh"), join(root, "scripts", "lib", "env.sh"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function source() {
  const script = `. "${join(root, "scripts/lib/env.sh")}" && echo "$TILLWAY_NODE_HOME"`;
  const { stdout, stderr, status } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
  return { out: stdout.trim(), err: stderr.trim(), status };
}

test.each([
  ["there is none", undefined],
  ["it is empty", ""],
  ["it names a folder that is gone", "/nowhere/node"],
])(
  "a checkout whose note of its Node says nothing (%s) is told to be set up, whatever Node the machine has",
  (_, note) => {
    if (note !== undefined) writeFileSync(join(root, ".cache", "node-home"), note);
    expect(source()).toEqual({
      out: "",
      err: `tillway: no Node is set up for this checkout; run ${root}/scripts/setup`,
      status: 1,
    });
  },
);

test("the Node that was set up is taken", () => {
  const home = join(process.execPath, "..", "..");
  writeFileSync(join(root, ".cache", "node-home"), `${home}\n`);
  expect(source()).toEqual({ out: home, err: "", status: 0 });
});
