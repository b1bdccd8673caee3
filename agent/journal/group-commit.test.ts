/** What group commit promises when the disk does not. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Fault } from "../../base/fault.ts";
import { openSqlite, type Sqlite } from "../../base/sqlite.ts";
import { GroupCommit } from "./group-commit.ts";

let folder: string;
let database: Sqlite;
let commits: GroupCommit;
let committed: number;
let failures: Fault[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "commit-"));
  const path = join(folder, "test.db");
  const sql = "CREATE TABLE test__row (text TEXT NOT NULL)";
  database = openSqlite(path, { migrations: [{ id: "test-1", sql }] });
  committed = 0;
  const counted = () => {
    committed += 1;
  };
  failures = [];
  commits = new GroupCommit({
    database,
    path,
    begun: () => {},
    committed: counted,
    failed: (fault) => failures.push(fault),
  });
});
afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

const write = (text: string) => () => database.prepare("INSERT INTO test__row VALUES (?)").run(text).changes;
const rows = () => database.prepare("SELECT count(*) FROM test__row").pluck().get();

test("writes of one turn are one commit, and each gets its own answer", async () => {
  expect(await Promise.all([commits.submit(1, write("a")), commits.submit(1, () => "b")])).toEqual([1, "b"]);
  expect(committed).toBe(1);
});

test("a full disk refuses all of the commit with journal.full and takes the next when there is room", async () => {
  const pages = Number(database.pragma("page_count", { simple: true }));
  database.pragma(`max_page_count = ${pages + 2}`);
  const both = await Promise.allSettled([commits.submit(1, write("a")), commits.submit(1, write("x".repeat(40_000)))]);
  expect(both).toMatchObject([
    { status: "rejected", reason: { code: "journal.full", message: expect.stringContaining("free space") } },
    { status: "rejected", reason: { code: "journal.full" } },
  ]);
  expect([rows(), committed]).toEqual([0, 0]);
  database.pragma("max_page_count = 1000000");
  await commits.submit(1, write("b"));
  expect(rows()).toBe(1);
});

test("after a commit that failed otherwise nothing more is taken, and the sentence says to open again", async () => {
  const failing = commits.submit(1, () => {
    throw new Error("disk I/O error");
  });
  const beside = commits.submit(1, write("a"));
  await expect(failing).rejects.toMatchObject({ code: "journal.failed", message: expect.stringContaining("open") });
  await expect(beside).rejects.toMatchObject({ code: "journal.failed" });
  await expect(commits.submit(1, write("b"))).rejects.toMatchObject({ code: "journal.failed" });
  expect(failures).toMatchObject([{ code: "journal.failed" }]);
  expect([rows(), committed]).toEqual([0, 0]);
});

test("the end commits what waits and refuses the rest with its own reason", async () => {
  const last = commits.submit(1, write("a"));
  commits.end(new Fault("aborted", "closing"));
  await last;
  await expect(commits.submit(1, write("b"))).rejects.toMatchObject({ code: "aborted" });
  expect(rows()).toBe(1);
});
