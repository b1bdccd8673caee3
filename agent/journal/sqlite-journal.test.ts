/** The journal as its callers see it: durable, gap-free, and honest about a file that is not whole or not its own. */
import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { TerminalId } from "../../base/ids.ts";
import { type EntryBody, GENESIS_HASH, hashEntry } from "../../wire/journal-entry.ts";
import { epochNotePath } from "./epoch-note.ts";
import { PENDING_WRITES_MAX } from "./group-commit.ts";
import type { Journal } from "./journal.ts";
import { AT, advice, decision, id, intent, JournalFolder, one, receipt, TERMINAL, voiding } from "./journal-fixture.ts";

let here: JournalFolder;
beforeEach(() => {
  here = new JournalFolder();
});
afterEach(() => here[Symbol.dispose]());

const open = (terminalId = TERMINAL): Journal => here.open(terminalId);

test("numbers entries without gaps and chains them from the genesis hash over the stored text", async () => {
  await using journal = open();
  const stored = await journal.append([{ body: intent("p-1") }, advice("p-1")]);
  expect(stored.map((entry) => [entry.sequence, entry.forward])).toEqual([
    [1, undefined],
    [2, 1],
  ]);
  expect(stored[0]?.previousHash).toBe(GENESIS_HASH);
  expect(stored[1]?.previousHash).toBe(stored[0]?.hash);
  for (const entry of stored) {
    expect(entry.hash).toBe(hashEntry({ terminalId: TERMINAL, epoch: journal.epoch, ...entry }));
  }
  expect(journal.head).toEqual({ sequence: 2, forward: 1, hash: stored[1]?.hash });
  expect(journal.entriesOf(id("p-1")).map((entry) => entry.body)).toEqual([intent("p-1"), decision("p-1")]);
  expect(journal.verify()).toEqual({ ok: true, value: { entries: 2 } });
});

test("the last note of an allowance is the one with the highest counter, in whichever order they were stored, also once the hub has them", async () => {
  const note = (allowanceId: string, counter: number) => ({
    note: { allowanceId, counter, deviceId: "phone", note: `OA1:${counter}`, countersignature: "AAAA" },
  });
  {
    await using journal = open();
    expect(journal.lastNoteOf("one")).toBeUndefined();
    const notes = [note("one", 1), note("one", 10), note("one", 9), note("other", 11), {}];
    const stored = await journal.append(notes.map((each, at) => ({ body: decision(`p-${at}`, each), forward: true })));
    await journal.settle(stored.map((entry) => receipt(entry)));
  }
  await using journal = open();
  expect(journal.lastNoteOf("one")).toEqual(note("one", 10).note);
  expect(journal.lastNoteOf("third")).toBeUndefined();
});

test("appends of one turn share one commit", async () => {
  await using journal = open();
  const waiting = Array.from({ length: 16 }, (_, at) => journal.append([{ body: intent(`p-${at}`) }]));
  expect(journal.head.sequence).toBe(0);
  await waiting[0];
  expect(journal.head.sequence).toBe(16);
  await Promise.all(waiting);
});

test("keeps everything over a restart under the same epoch, and a new file has another", async () => {
  let first: Journal;
  {
    await using journal = open();
    first = journal;
    await journal.append([{ body: intent("p-1") }, advice("p-1"), { body: intent("p-2") }]);
    await journal.keep("lease", '{"leaseId":1}');
  }
  {
    await using journal = open();
    expect(journal.epoch).toBe(first.epoch);
    expect(journal.head).toEqual(first.head);
    expect(journal.recall("lease")).toBe('{"leaseId":1}');
    expect(journal.recall("hub-time")).toBeUndefined();
    expect(journal.undecided()).toEqual(["p-2"]);
    expect(journal.unprinted()).toEqual(["p-1"]);
    expect(journal.outstanding()).toEqual({ count: 1, minor: 1250n, oldestAt: AT });
    expect(journal.recentPayments(10)).toEqual(["p-2", "p-1"]);
  }
  rmSync(here.path);
  rmSync(epochNotePath(here.path));
  await using other = open();
  expect(other.epoch).not.toBe(first.epoch);
});

test("refuses a second opener with a sentence, in this process and in another", async () => {
  await using _journal = open();
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.busy" }));
  const script = `
    const { openJournal } = await import(${JSON.stringify(join(import.meta.dirname, "sqlite-journal.ts"))});
    const { systemClock } = await import(${JSON.stringify(join(import.meta.dirname, "../../base/clock.ts"))});
    try { openJournal({ path: ${JSON.stringify(here.path)}, terminalId: "shop-1", clock: systemClock, random: () => new Uint8Array(8), log: {} }); }
    catch (error) { console.log(error.code, error.message); }`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(child.stdout).toMatch(/^journal\.busy .*another process has it open, stop that one first/);
});

test("refuses another terminal's file and says whose it is", async () => {
  await open()[Symbol.asyncDispose]();
  expect(() => open("shop-2" as TerminalId)).toThrow(
    expect.objectContaining({ code: "journal.corrupt", message: expect.stringContaining('terminal "shop-1"') }),
  );
});

test("refuses a file that is not a database", () => {
  writeFileSync(here.path, "not a database, but long enough to be taken for one by its size alone. ".repeat(20));
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.corrupt" }));
});

test.each([
  ["a changed amount", "UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 2", 2],
  ["a missing entry", "DELETE FROM journal__entry WHERE sequence = 2", 3],
  ["another digest of card data", "UPDATE journal__entry SET sealed_digest = zeroblob(32) WHERE sequence = 2", 2],
  ["a changed forward number", "UPDATE journal__entry SET forward = 7 WHERE sequence = 2", 2],
  ["a replaced hash", "UPDATE journal__entry SET hash = zeroblob(32) WHERE sequence = 2", 2],
])("opening names the entry that does not fit: %s", async (_what, sql, sequence) => {
  {
    await using journal = open();
    await journal.append([{ body: intent("p-1") }, advice("p-1"), { body: intent("p-2") }]);
  }
  const database = new Database(here.path);
  database.exec(sql);
  database.close();
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.corrupt", details: { sequence } }));
});

test.each([
  ["cut to nothing", (path: string) => truncateSync(path, 0)],
  ["removed", (path: string) => rmSync(path)],
  ["emptied of its facts", (path: string) => void new Database(path).exec("DELETE FROM journal__meta").close()],
])("a journal that was %s does not open as a new one, and one brought back does", async (_what, lose) => {
  await using journal = open();
  await journal.append([advice("p-1")]);
  await journal[Symbol.asyncDispose]();
  copyFileSync(here.path, join(here.folder, "copy"));
  lose(here.path);
  for (let times = 0; times < 2; times += 1)
    expect(() => open()).toThrow(
      expect.objectContaining({
        code: "journal.corrupt",
        message: expect.stringMatching(new RegExp(`journal ${journal.epoch} was here; bring it back .*remove .*epoch`)),
      }),
    );
  copyFileSync(join(here.folder, "copy"), here.path);
  await using again = open();
  expect(again.backlog().depth).toBe(1);
});

test("the log of a journal that was cut to nothing is left as it is", async () => {
  const kept = join(here.folder, "kept");
  const files = [here.path, `${here.path}-wal`];
  await using journal = open();
  await journal.append([advice("p-1")]);
  for (const [at, file] of files.entries()) copyFileSync(file, `${kept}-${at}`);
  await journal[Symbol.asyncDispose]();
  for (const [at, file] of files.entries()) copyFileSync(`${kept}-${at}`, file);
  truncateSync(here.path, 0);
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.corrupt" }));
  copyFileSync(`${kept}-0`, here.path);
  await using again = open();
  expect(again.backlog().depth).toBe(1);
});

test("a crash before the note of a new journal, or a note of another, keeps none from opening", async () => {
  const note = epochNotePath(here.path);
  for (const change of [() => rmSync(note), () => writeFileSync(note, "0123456789abcdef\n")]) {
    await using journal = open();
    await journal[Symbol.asyncDispose]();
    change();
    await using again = open();
    expect(readFileSync(note, "utf8")).toBe(`${again.epoch}\n`);
    expect(statSync(note).mode & 0o777).toBe(0o600);
  }
});

test("a removed end shows against what was counted before", async () => {
  {
    await using journal = open();
    await journal.append([{ body: intent("p-1") }, { body: intent("p-2") }]);
  }
  const database = new Database(here.path);
  database.exec("DELETE FROM journal__entry WHERE sequence = 2");
  database.close();
  expect(() => open()).toThrow(expect.objectContaining({ code: "journal.corrupt" }));
});

test("more waiting writes than the bound are refused, those before it are kept", async () => {
  await using journal = open();
  const waiting = Array.from({ length: PENDING_WRITES_MAX }, (_, at) => journal.append([{ body: intent(`p-${at}`) }]));
  await expect(journal.append([{ body: intent("one-more") }])).rejects.toMatchObject({ code: "queue.full" });
  await Promise.all(waiting);
  expect(journal.head.sequence).toBe(PENDING_WRITES_MAX);
  await journal.append([{ body: intent("one-more") }]);
});

test("an entry that could not be read back is refused before it is stored, naming the field", async () => {
  await using journal = open();
  await expect(journal.append([{ body: decision("p-1", { detail: "x".repeat(201) }) }])).rejects.toMatchObject({
    code: "message.invalid",
    message: expect.stringContaining("detail"),
  });
  expect(journal.head.sequence).toBe(0);
});

test("takes nothing after it was closed", async () => {
  const journal = open();
  const last = journal.append([{ body: intent("p-1") }]);
  await journal[Symbol.asyncDispose]();
  await last;
  await expect(journal.append([{ body: intent("p-2") }])).rejects.toMatchObject({ code: "journal.failed" });
  await using again = open();
  expect(again.head.sequence).toBe(1);
});

test("undecided and unprinted follow intents, decisions, prints and voids", async () => {
  await using journal = open();
  await journal.append([{ body: intent("p-1") }, { body: intent("p-2") }, { body: intent("p-3") }]);
  expect(journal.undecided()).toEqual(["p-1", "p-2", "p-3"]);
  await journal.append([advice("p-1"), { body: decision("p-2", { outcome: "declined" }) }]);
  expect(journal.undecided()).toEqual(["p-3"]);
  expect(journal.unprinted()).toEqual(["p-1"]);
  const printed = (result: "proven" | "unproven"): EntryBody => ({
    kind: "printed",
    paymentId: id("p-1"),
    at: AT,
    print: 1,
    result,
  });
  await journal.append([{ body: printed("unproven") }]);
  expect(journal.unprinted()).toEqual(["p-1"]);
  await journal.append([{ body: printed("proven") }]);
  expect(journal.unprinted()).toEqual([]);
  const third = await one(journal, advice("p-3"));
  expect(journal.unprinted()).toEqual(["p-3"]);
  await journal.appendVoid(voiding(third, "p-3"));
  expect(journal.unprinted()).toEqual([]);
});
