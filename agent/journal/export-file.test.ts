/** Exports of what has left the journal for its archives: line by line, whatever they hold. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { signerOf } from "./checkpoint.ts";
import { checkExport, exportJournal, selectedEntries } from "./export-file.ts";
import type { Journal } from "./journal.ts";
import {
  AT,
  BEFORE_MS,
  decision,
  id,
  JournalFolder,
  KEYS,
  never,
  OLD,
  passing,
  receipt,
  SALES,
  sale,
  soldOldAndNew,
  TERMINAL,
} from "./journal-fixture.ts";
import { openJournalReadOnly, type Selection } from "./journal-reader.ts";

const ENTRIES = 3 + 9 * SALES;

const here = new JournalFolder();
beforeAll(archivedTwice);
afterAll(() => here[Symbol.dispose]());

const settleAll = (journal: Journal) => journal.settle(journal.nextToForward(SALES).map((entry) => receipt(entry)));

/** Two archives, and the newest entries still in the file. */
async function archivedTwice(): Promise<void> {
  await using journal = here.open(TERMINAL, { signingKey: KEYS.privateKey });
  const [intended, decided, ticket] = sale("of-another-day", OLD);
  const body = decision("of-another-day", { at: OLD, businessDate: "2025-09-01" });
  await journal.append([intended, { ...decided, body }, ticket]);
  await settleAll(journal);
  await soldOldAndNew(journal, here);
  await journal.append(Array.from({ length: SALES }, (_, n) => sale(`later-${n}`)).flat());
  await settleAll(journal);
  await passing(journal.archive(BEFORE_MS, never), here);
  await passing(journal.archive(Date.parse(AT) + 1, never), here);
}

const archives = (folder: JournalFolder): string[] => {
  const place = join(folder.folder, "archive");
  return readdirSync(place).map((name) => join(place, name));
};
const out = (folder: JournalFolder): string => join(folder.folder, "out.jsonl");
const exported = async (selection: Selection, folder: JournalFolder): Promise<number> => {
  using reader = openJournalReadOnly(folder.path);
  const written = { path: out(folder), selection, signer: signerOf(KEYS.privateKey), madeAt: AT };
  return await exportJournal(reader, written);
};
const copied = (): JournalFolder => {
  const copy = new JournalFolder();
  cpSync(here.folder, copy.folder, { recursive: true });
  return copy;
};

test.each([
  ["everything", {}, ENTRIES],
  ["a payment", { payment: id("old-9") }, 3],
  ["a business day", { day: "2025-09-01" }, 3],
  ["a range over the end of an archive", { from: 3 * SALES, to: 3 * SALES + 9 }, 10],
  ["a range over the end of the newest archive", { from: ENTRIES - 3 * SALES, to: ENTRIES - 1 }, 3 * SALES],
])("exports of archives and file together what is asked for: %s", async (_what, selection, count) => {
  using copy = copied();
  expect(archives(copy)).toHaveLength(2);
  expect(await exported(selection, copy)).toBe(count);
  const summary = await checkExport(out(copy));
  expect(summary).toMatchObject({ count, signatureHolds: true });
  expect(summary.firstBad).toBeUndefined();
});

test("entries of archives are handed on as they are read: years of them never lie in memory together", async () => {
  using copy = copied();
  using reader = openJournalReadOnly(copy.path);
  const newest = reader.archives.at(-1);
  const path = archives(copy).find((name) => name.endsWith(newest?.file ?? "none")) ?? "";
  const signature = /\n.*\n$/;
  writeFileSync(path, readFileSync(path, "utf8").replace(signature, "\n"));
  let handedOn = 0;
  const reading = (async () => {
    for await (const _entry of selectedEntries(reader, {})) handedOn += 1;
  })();
  await expect(reading).rejects.toMatchObject({
    code: "store.failed",
    message: expect.stringContaining("bring it back"),
  });
  expect(handedOn).toBe(newest?.last);
});

test("where an archive cannot be read to its end no file is left behind", async () => {
  using copy = copied();
  const [path = ""] = archives(copy);
  writeFileSync(path, readFileSync(path, "utf8").slice(0, -20));
  await expect(exported({}, copy)).rejects.toMatchObject({ code: "store.failed" });
  expect(readdirSync(copy.folder).filter((name) => name.startsWith("out"))).toEqual([]);
});
