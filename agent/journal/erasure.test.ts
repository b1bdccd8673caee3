/** RM5: sealed card data are gone from every file of the journal soon after their receipt. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemRandom } from "../../base/ids.ts";
import type { SealedCardData } from "../../wire/card-data.ts";
import type { StoredEntry } from "../../wire/journal-entry.ts";
import { ERASED_WITHIN_MS } from "./erasure.ts";
import type { Journal } from "./journal.ts";
import { advice, JournalFolder, one, receipt, sealedFor, voiding } from "./journal-fixture.ts";

let here: JournalFolder;
beforeEach(() => {
  here = new JournalFolder();
});
afterEach(() => here[Symbol.dispose]());

const open = (): Journal => here.open();

/** Whether any file of the journal holds these sealed bytes. */
const onDisk = (): Buffer =>
  Buffer.concat(readdirSync(here.folder).map((name) => readFileSync(join(here.folder, name))));
const found = (all: readonly SealedCardData[]): number => {
  const bytes = onDisk();
  return all.filter((sealed) => bytes.includes(sealed.ciphertext.slice(8, 40))).length;
};

test("RM5 sealed card data leave every file within the bound after the receipt", async () => {
  await using journal = open();
  const sealed = Array.from({ length: 300 }, (_, at) => sealedFor(at % 250));
  const stored: StoredEntry[] = [];
  for (const [at, each] of sealed.entries()) stored.push(await one(journal, advice(`p-${at}`, each)));
  expect(found(sealed)).toBe(300);

  // Every third first, then the others from the end: rows between those that stay are erased too.
  await journal.settle(stored.filter((_, at) => at % 3 === 0).map((entry) => receipt(entry)));
  await here.clock.advance(ERASED_WITHIN_MS);
  expect(found(sealed.filter((_, at) => at % 3 === 0))).toBe(0);
  expect(found(sealed)).toBe(200);
  for (const entry of stored.filter((_, at) => at % 3 !== 0).reverse()) await journal.settle([receipt(entry)]);
  await here.clock.advance(ERASED_WITHIN_MS);
  expect(found(sealed)).toBe(0);
  expect(journal.verify().ok).toBe(true);
});

test("RM5 rows of many lengths, added and receipted in any order, leave nothing in the gaps of SQLite's pages", async () => {
  await using journal = open();
  const waiting = new Map<StoredEntry, SealedCardData>();
  const gone: SealedCardData[] = [];
  let choice = 1;
  const random = (below: number): number => {
    choice = (choice * 48_271) % 2_147_483_647;
    return choice % below;
  };
  for (let round = 0; round < 25; round += 1) {
    const entries = Array.from({ length: 30 }, () => {
      const ciphertext = Buffer.from(systemRandom(60 + random(300))).toString("base64");
      return { ciphertext, keyId: "hub-1", enc: "AAAA" };
    });
    const stored = await journal.append(entries.map((sealed, at) => advice(`p-${round}-${at}`, sealed)));
    for (const [at, entry] of stored.entries()) waiting.set(entry, entries[at] ?? sealedFor(0));
    const receipted = [...waiting].filter(() => random(10) < 4);
    await journal.settle(receipted.map(([entry]) => receipt(entry)));
    for (const [entry, sealed] of receipted) {
      gone.push(sealed);
      waiting.delete(entry);
    }
    await here.clock.advance(ERASED_WITHIN_MS);
    expect([found(gone), found([...waiting.values()])]).toEqual([0, waiting.size]);
  }
});

test("RM5 a voided entry's card data are erased as well, those of its neighbour stay until their receipt", async () => {
  await using journal = open();
  const sealed = [sealedFor(1), sealedFor(2)] as const;
  const [first] = await journal.append([advice("p-1", sealed[0]), advice("p-2", sealed[1])]);
  if (!first) throw new Error("nothing stored");
  await journal.appendVoid(voiding(first, "p-1"));
  await here.clock.advance(ERASED_WITHIN_MS);
  expect([found([sealed[0]]), found([sealed[1]])]).toEqual([0, 1]);
});

test("RM5 what a crash left of erased card data goes at the next opening", async () => {
  const sealed = sealedFor(1);
  const copy = mkdtempSync(join(tmpdir(), "journal-"));
  {
    await using journal = open();
    const stored = await one(journal, advice("p-1", sealed));
    await journal.settle([receipt(stored)]);
    expect(found([sealed])).toBe(1);
    for (const name of readdirSync(here.folder)) copyFileSync(join(here.folder, name), join(copy, name));
  }
  rmSync(here.folder, { recursive: true });
  renameSync(copy, here.folder);
  expect(found([sealed])).toBe(1);
  await using journal = open();
  expect(journal.queue()[0]?.state).toBe("processed");
  expect(found([sealed])).toBe(0);
});
