import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSqlite } from "./sqlite.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tillway-sqlite-"));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a new file and those that SQLite puts beside it are readable by their owner alone, in a folder that others may read", () => {
  const database = openSqlite(join(folder, "a.db"), {
    migrations: [{ id: "one", sql: "CREATE TABLE base__one (word TEXT) STRICT" }],
  });
  database.exec("INSERT INTO base__one VALUES ('secret')");
  const modes = readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o077]);
  database.close();
  expect(modes.sort()).toEqual([
    ["a.db", 0],
    ["a.db-shm", 0],
    ["a.db-wal", 0],
  ]);
});
