import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { expect, test } from "vitest";
import { patchesOf, planted } from "./plant.ts";
import { PLANTS } from "./plants.ts";

const ROOT = new URL("../../../", import.meta.url);

test("there are more bugs than the twenty that were promised, each under its own name", () => {
  expect(PLANTS.length).toBeGreaterThanOrEqual(22);
  expect(new Set(PLANTS.map(({ name }) => name)).size).toBe(PLANTS.length);
});

test.each(PLANTS)("$name fits the sources, once, and leaves a module that can be loaded", (plant) => {
  for (const file of new Set(patchesOf(plant).map((patch) => patch.file))) {
    const source = readFileSync(new URL(file, ROOT), "utf8");
    const changed = planted(plant, file, source);
    expect(changed).not.toBe(source);
    expect(() => stripTypeScriptTypes(changed)).not.toThrow();
  }
});

test.each(PLANTS)("$name says who shipped it", ({ shippedBy }) => {
  expect(shippedBy).toMatch(/^[\w/ .,#'-]{4,}.*:? .{10,}/);
});
