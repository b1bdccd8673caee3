import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CLASS_COUNTS, classHits, FAULT_CLASSES } from "./fault-classes.ts";
import { PLANTS } from "./plants/plants.ts";

const DOCUMENT = readFileSync(new URL("../../docs/simulation.md", import.meta.url), "utf8");

/** The cells of each row of the table under this heading, without the head. */
function table(heading: string): string[][] {
  const [, rest = ""] = DOCUMENT.split(`### ${heading}\n`);
  const [section = ""] = rest.split("\n### ");
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

const names = (cell = "") => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name);

describe("docs/simulation.md", () => {
  test("lists every class of faults with what counts it", () => {
    const listed = table("Fault classes").map(([name, , counted]) => [names(name)[0], names(counted)]);
    expect(listed).toEqual(Object.entries(CLASS_COUNTS));
  });

  test("lists every planted bug, the source it is planted in and who shipped it", () => {
    const listed = table("Planted bugs").map(([name, source, shippedBy]) => [
      names(name)[0],
      names(source)[0],
      shippedBy,
    ]);
    expect(listed).toEqual(PLANTS.map(({ name, file, shippedBy }) => [name, file, shippedBy]));
  });
});

test("a class is hit when any of its counts is, and no two classes share a count", () => {
  const hits = Object.fromEntries(
    classHits({ "disk.read-error": 2, "disk.failed-sync-pending": 3, "node.killed": 9 })
      .filter((one) => one.hits > 0)
      .map((one) => [one.name, one.hits]),
  );
  expect(hits).toEqual({ "disk-error": 5 });
  const counts = FAULT_CLASSES.flatMap((name) => CLASS_COUNTS[name]);
  expect(new Set(counts).size).toBe(counts.length);
});
