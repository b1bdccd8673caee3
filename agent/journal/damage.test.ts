/** Damage anywhere in the file: it is refused by name, or found by verification, or it changed nothing that matters. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Fault, isFault } from "../../base/fault.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import { signerOf } from "./checkpoint.ts";
import { checkExport, exportJournal } from "./export-file.ts";
import type { Journal } from "./journal.ts";
import { AT, advice, id, intent, JournalFolder, KEYS, receipt, TERMINAL } from "./journal-fixture.ts";
import { openJournalReadOnly } from "./journal-reader.ts";

const PAYMENTS = ["p-1", "p-2", "p-3", "p-4", "p-5", "p-6"];
const RUNS = Number(process.env["TILLWAY_TEST_DAMAGES"] ?? 120);

const open = (here: JournalFolder, told: Fault[] = []): Journal =>
  here.open(TERMINAL, { signingKey: KEYS.privateKey, onCorrupt: (fault) => told.push(fault) });

/** A closed journal: some sales receipted, some unsent, one open. */
async function closedJournal(here: JournalFolder): Promise<void> {
  await using journal = open(here);
  const printed = (payment: string): EntryBody => ({
    kind: "printed",
    paymentId: id(payment),
    at: AT,
    print: 1,
    result: "proven",
  });
  for (const payment of PAYMENTS) {
    const [, stored] = await journal.append([{ body: intent(payment) }, advice(payment), { body: printed(payment) }]);
    if (stored && payment < "p-4") await journal.settle([receipt(stored)]);
  }
  await journal.append([{ body: intent("p-7") }]);
}

const entriesOf = (journal: Journal) => [...PAYMENTS, "p-7"].map((payment) => journal.entriesOf(id(payment)));
/** What would be sent, and what a lease counts. */
const unsentOf = (journal: Journal) => journal.nextToForward(100);

/** What becomes of a damaged file: the words of its refusal, `found` by verification, or `harmless`. */
async function outcomeOf(here: JournalFolder, original: ReturnType<typeof entriesOf>): Promise<string> {
  const told: Fault[] = [];
  try {
    await using journal = open(here, told);
    if (!journal.verify().ok) {
      await here.clock.advance(2_000);
      expect(told).toHaveLength(1);
      await expect(journal.append([{ body: intent("p-8") }])).rejects.toMatchObject({ code: "journal.corrupt" });
      return "found";
    }
    expect(entriesOf(journal)).toEqual(original);
    const texts = new Map(original.flat().map(({ sequence, text }) => [sequence, text]));
    for (const { sequence, text } of unsentOf(journal)) expect(text).toBe(texts.get(sequence));
    return "harmless";
  } catch (error) {
    if (!isFault(error, "journal.corrupt", "store.failed", "journal.failed")) throw error;
    expect(error.message).toMatch(/journal\.db|newer version/);
    return error.code;
  }
}

/** What can be exported of it is what was there, or says where it is not. */
async function exportOf(here: JournalFolder, original: ReturnType<typeof entriesOf>): Promise<void> {
  const path = join(here.folder, "out.jsonl");
  try {
    using reader = openJournalReadOnly(here.path);
    const count = await exportJournal(reader, { path, selection: {}, signer: signerOf(KEYS.privateKey), madeAt: AT });
    const { firstBad, header } = await checkExport(path);
    if (firstBad || header.last !== original.flat().length) return;
    expect(count).toBe(original.flat().length);
    const written = readFileSync(path, "utf8").split("\n").slice(1, -2);
    expect(written.map((line) => JSON.parse(line).text).sort()).toEqual(
      original
        .flat()
        .map(({ text }) => text)
        .sort(),
    );
  } catch (error) {
    if (!isFault(error, "journal.corrupt", "store.failed", "message.invalid")) throw error;
  }
}

test("a damaged name of a table, an index or a column is refused by name, or changes nothing that matters", async () => {
  using here = new JournalFolder();
  await closedJournal(here);
  const bytes = readFileSync(here.path);
  const original = await (async () => {
    await using journal = open(here);
    return entriesOf(journal);
  })();
  const schema = bytes.subarray(0, 4_096).toString("latin1");
  const names = [...schema.matchAll(/(?:TABLE|INDEX) "?(?=\w)|\b\w+ (?:INTEGER|TEXT|BLOB)\b/g)];
  expect(names.length).toBeGreaterThan(30);
  for (const { index, 0: found } of names) {
    using damaged = new JournalFolder();
    const changed = Buffer.from(bytes);
    const at = /(?:TABLE|INDEX) "?$/.test(found) ? index + found.length : index;
    changed[at] = (changed[at] ?? 0) ^ 2;
    writeFileSync(damaged.path, changed);
    await exportOf(damaged, original);
    expect(["journal.corrupt", "harmless"], found).toContain(await outcomeOf(damaged, original));
  }
}, 60_000);

test("no flipped bytes and no missing end of a closed journal let a wrong amount be read or sold on", async () => {
  using here = new JournalFolder();
  await closedJournal(here);
  const kept = join(here.folder, "kept");
  copyFileSync(here.path, kept);
  const bytes = readFileSync(kept);
  const original = await (async () => {
    await using journal = open(here);
    expect(unsentOf(journal)).toHaveLength(3);
    return entriesOf(journal);
  })();
  const outcomes = new Map<string, number>();
  const place = fc.nat(bytes.length - 1);
  const damage = fc.oneof(
    { weight: 6, arbitrary: fc.record({ at: place, length: fc.constant(1), mask: fc.integer({ min: 1, max: 255 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        at: place,
        length: fc.integer({ min: 2, max: 600 }),
        mask: fc.integer({ min: 1, max: 255 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ at: place, length: fc.constant(0), mask: fc.constant(0) }) },
  );
  await fc.assert(
    fc.asyncProperty(damage, async ({ at, length, mask }) => {
      using damaged = new JournalFolder();
      const changed = length === 0 ? bytes.subarray(0, at) : Buffer.from(bytes);
      if (length > 0)
        for (let index = at; index < Math.min(at + length, bytes.length); index += 1)
          changed[index] = (changed[index] ?? 0) ^ mask;
      writeFileSync(damaged.path, changed);
      // An empty file is a new journal, which the hub knows from the old one by its epoch.
      if (changed.length === 0) return;
      await exportOf(damaged, original);
      const outcome = await outcomeOf(damaged, original);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }),
    { numRuns: RUNS },
  );
  expect([...outcomes.keys()]).toEqual(expect.arrayContaining(["journal.corrupt", "harmless"]));
}, 120_000);
