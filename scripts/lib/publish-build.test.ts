import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { publishBuild } from "./publish-build.ts";

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 0, 5, 9, 0, 0);

let folder: string;
let dist: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "publish-build-"));
  dist = join(folder, "dist");
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A build of these chunks beside the program, so many hours after the first. */
function build(atHours: number, ...chunks: readonly string[]): void {
  const staging = mkdtempSync(join(folder, "staging-"));
  const at = (START_MS + atHours * HOUR_MS) / 1_000;
  for (const name of [".stamp", "tillway.js", ...chunks]) {
    writeFileSync(join(staging, name), `${name} of hour ${atHours}`);
    utimesSync(join(staging, name), at, at);
  }
  publishBuild({ staging, dist, entries: ["tillway.js"], nowMs: START_MS + atHours * HOUR_MS });
}
const has = (name: string): boolean => existsSync(join(dist, name));

test("what a program of last week has yet to load stays for a day after it was replaced, however often is built", () => {
  build(0, "chunk-a.js", "chunk-shared.js");
  const replaced = 7 * 24;
  build(replaced, "chunk-b.js", "chunk-shared.js");
  expect(has("chunk-a.js")).toBe(true);
  build(replaced + 12, "chunk-c.js", "chunk-shared.js");
  build(replaced + 23, "chunk-d.js", "chunk-shared.js");
  expect([has("chunk-a.js"), has("chunk-b.js"), has("chunk-c.js")]).toEqual([true, true, true]);
  build(replaced + 25, "chunk-d.js", "chunk-shared.js");
  expect([has("chunk-a.js"), has("chunk-b.js"), has("chunk-c.js")]).toEqual([false, true, true]);
  expect(has("chunk-shared.js")).toBe(true);
  expect(readFileSync(join(dist, "tillway.js"), "utf8")).toBe(`tillway.js of hour ${replaced + 25}`);
});

test("what Node keeps beside the bundle is no part of a build, however old it is", () => {
  build(0);
  mkdirSync(join(dist, ".compiled"));
  utimesSync(join(dist, ".compiled"), START_MS / 1_000 - 1, START_MS / 1_000 - 1);
  build(48);
  expect(has(".compiled")).toBe(true);
});
