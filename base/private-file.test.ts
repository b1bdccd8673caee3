import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { requirePrivate } from "./private-file.ts";

test.each([
  [0o600, true],
  [0o400, true],
  [0o640, false],
  [0o604, false],
  [0o660, false],
])("a file of mode %o may hold keys: %s", (mode, may) => {
  const folder = mkdtempSync(join(tmpdir(), "private-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "signing.key");
  writeFileSync(path, "secret");
  chmodSync(path, mode);
  const check = () => requirePrivate(path, "the hub's keys");
  if (may) expect(check).not.toThrow();
  else {
    const mend = `mode ${mode.toString(8)}, so that others may read the hub's keys; run: chmod 600 ${path}`;
    expect(check).toThrow(expect.objectContaining({ code: "identity.invalid", message: `${path} has ${mend}` }));
  }
});
