/** A journal that is read without its lock: verified whole, exported for a dispute, also when it no longer opens for selling. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { signerOf } from "./checkpoint.ts";
import { checkExport, exportJournal } from "./export-file.ts";
import type { Journal } from "./journal.ts";
import { AT, advice, decision, id, intent, JournalFolder, KEYS, sealedFor, TERMINAL } from "./journal-fixture.ts";
import { openJournalReadOnly, type Selection } from "./journal-reader.ts";
import { verifyJournal } from "./verify-file.ts";

let here: JournalFolder;
const signer = signerOf(KEYS.privateKey);
beforeEach(() => {
  here = new JournalFolder();
});
afterEach(() => here[Symbol.dispose]());

const open = (): Journal => here.open(TERMINAL, { signingKey: KEYS.privateKey });
const sealed = sealedFor(7);

async function sold(): Promise<void> {
  await using journal = open();
  await journal.append([{ body: intent("p-1") }, advice("p-1", sealed), { body: intent("p-2") }]);
  await journal.append([{ body: decision("p-2", { businessDate: "2026-01-06" }), forward: true }]);
}
const change = (sql: string): void => {
  const database = new Database(here.path);
  database.exec(sql);
  database.close();
};
const verify = async () => {
  using reader = openJournalReadOnly(here.path);
  return await verifyJournal(reader, signer.publicKey);
};
const exported = async (selection: Selection = {}): Promise<string> => {
  using reader = openJournalReadOnly(here.path);
  const path = join(here.folder, "out.jsonl");
  await exportJournal(reader, { path, selection, signer, madeAt: AT });
  return path;
};

test("a whole journal is told with its counts, and nothing of it is written", async () => {
  await sold();
  const bytes = readFileSync(here.path);
  expect(await verify()).toMatchObject({ ok: true, terminalId: TERMINAL, entries: 4, checkpoints: 1, archives: 0 });
  expect(readFileSync(here.path).equals(bytes)).toBe(true);
});

test.each([
  ["a changed entry", "UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 2", 2],
  ["a missing entry", "DELETE FROM journal__entry WHERE sequence = 3", 4],
  ["a missing end", "DELETE FROM journal__entry WHERE sequence = 4", 4],
  ["a forged checkpoint", "UPDATE journal__checkpoint SET text = replace(text, 'head', 'tail')", 4],
  ["other sealed data", "UPDATE journal__entry SET sealed = x'00' WHERE sequence = 2", 2],
])("verification names the first bad entry: %s", async (_what, sql, sequence) => {
  await sold();
  change(sql);
  expect(await verify()).toMatchObject({ ok: false, firstBad: { sequence } });
});

test("a running agent keeps its journal for itself, and the message says what to do", async () => {
  await using _journal = open();
  expect(() => openJournalReadOnly(here.path)).toThrow(
    expect.objectContaining({ code: "journal.busy", message: expect.stringMatching(/stop the agent, or copy/) }),
  );
});

test("an export proves itself, is for nobody else's eyes and holds no card data", async () => {
  await sold();
  const path = await exported();
  expect(await checkExport(path)).toMatchObject({ count: 4, signatureHolds: true, header: { first: 1, last: 4 } });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(path, "utf8")).not.toContain(sealed.ciphertext);
  writeFileSync(path, readFileSync(path, "utf8").replace("1250", "1251"));
  expect(await checkExport(path)).toMatchObject({ signatureHolds: false, firstBad: { sequence: 1 } });
});

test.each([
  ["one payment", { payment: id("p-2") }, 2],
  ["one business day", { day: "2026-01-06" }, 2],
  ["a day with no sale", { day: "2026-01-07" }, 0],
  ["a range", { from: 2, to: 3 }, 2],
  ["a payment within a range", { from: 4, payment: id("p-2") }, 1],
])("exports only what is asked for: %s", async (_what, selection, count) => {
  await sold();
  const summary = await checkExport(await exported(selection));
  expect(summary).toMatchObject({ count, signatureHolds: true });
  expect(summary.firstBad).toBeUndefined();
});

test("what no longer opens for selling is exported as it lies, and the file tells where it is bad", async () => {
  await sold();
  change("UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 4");
  expect(open).toThrow(expect.objectContaining({ code: "journal.corrupt" }));
  expect(await checkExport(await exported())).toMatchObject({
    count: 4,
    signatureHolds: true,
    firstBad: { sequence: 4 },
  });
});
