import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { TILLWAY_VERSION } from "./version.ts";

test("agent and hub tell the version of the package", () => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  expect(TILLWAY_VERSION).toBe(manifest.version);
});
