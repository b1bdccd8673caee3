import { expect, test } from "vitest";
import { committedFiles } from "./source-tree.ts";
import { createdTableViolations, foreignTableViolations } from "./table-rules.ts";

const tree = committedFiles();
const file = (path: string, text: string) => ({ path, text });

test("every table of the tree carries its owner's prefix", () => expect(createdTableViolations(tree)).toEqual([]));
test("no part of the tree speaks of another's tables", () => expect(foreignTableViolations(tree)).toEqual([]));

test.each([
  ["agent/journal/schema.ts", "`CREATE TABLE entry (id)`"],
  ["agent/journal/schema.ts", "`CREATE TABLE ledger__entry (id)`"],
  ["hub/core/ledger/schema.ts", "`create table if not exists transfer (id)`"],
  ["hub/core/ledger/schema.ts", 'db.schema.createTable("terminals__terminal")'],
  ["hub/features/fuel-preauthorisation/schema.ts", '"CREATE TEMP TABLE fuel__hold (id)"'],
  ["hub/http-gateway.ts", '"CREATE TABLE http__seen (id)"'],
  ["sim/card/x.ts", '"CREATE TABLE card (id)"'],
])("catches in %s: %s", (path, text) => {
  expect(createdTableViolations([file(path, text)])).toHaveLength(1);
});

test.each([
  ["agent/journal/schema.ts", "`CREATE TABLE journal__entry (id); CREATE TABLE IF NOT EXISTS queue__entry (id)`"],
  ["hub/core/ledger/schema.ts", 'db.schema.createTable("ledger__transfer")'],
  ["hub/features/fuel-preauthorisation/schema.ts", '"CREATE TABLE fuel_preauthorisation__hold (id)"'],
  ["hub/core/ledger/store.ts", "// CREATE TABLE is done in schema.ts"],
])("lets pass in %s: %s", (path, text) => {
  expect(createdTableViolations([file(path, text)])).toEqual([]);
});

test("catches a service that reads another's table", () => {
  const ledger = file("hub/core/ledger/store.ts", '"SELECT * FROM ledger__transfer"');
  const nosy = file("hub/core/risk/store.ts", '"SELECT * FROM ledger__transfer JOIN risk__score"');
  expect(foreignTableViolations([ledger])).toEqual([]);
  expect(foreignTableViolations([ledger, nosy])).toHaveLength(1);
  expect(foreignTableViolations([file("agent/saf/x.ts", '"SELECT 1 FROM queue__entry"')])).toHaveLength(1);
});
