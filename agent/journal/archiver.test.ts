/** RM18: receipted entries leave the journal for signed archives after a while; none is ever in neither. */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Fault } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import type { ArchiveStep } from "./archiver.ts";
import { signerOf } from "./checkpoint.ts";
import { ERASED_WITHIN_MS } from "./erasure.ts";
import { checkExport, exportJournal } from "./export-file.ts";
import type { Journal } from "./journal.ts";
import {
  AT,
  advice,
  BEFORE_MS,
  decision,
  id,
  intent,
  JournalFolder,
  KEYS,
  never,
  OLD,
  one,
  passing,
  printed,
  receipt,
  SALES,
  sale,
  sealedFor,
  soldOldAndNew,
  TERMINAL,
  voiding,
} from "./journal-fixture.ts";
import { openJournalReadOnly } from "./journal-reader.ts";
import type { OpenJournalOptions } from "./sqlite-journal.ts";
import { verifyJournal } from "./verify-file.ts";

let here: JournalFolder;
beforeEach(() => {
  here = new JournalFolder();
});
afterEach(() => here[Symbol.dispose]());

const open = (folder = here, more: Partial<OpenJournalOptions> = {}): Journal =>
  folder.open(TERMINAL, { signingKey: KEYS.privateKey, ...more });

const sold = (journal: Journal, leave?: (payment: string) => boolean) => soldOldAndNew(journal, here, leave);
const archive = (journal: Journal, folder = here) => passing(journal.archive(BEFORE_MS, never), folder);
const report = async (folder = here) => {
  using reader = openJournalReadOnly(folder.path);
  return await verifyJournal(reader, signerOf(KEYS.privateKey).publicKey);
};
const archived = (folder = here.folder): string[] => readdirSync(join(folder, "archive"));

test("RM18 old receipted entries move to a signed file, and the chain goes on from the cut", async () => {
  {
    await using journal = open();
    await sold(journal);
    const outcome = await archive(journal);
    expect(outcome).toEqual({ entries: 3 * SALES, file: `${journal.epoch}-1-${3 * SALES}.jsonl` });
    expect(await archive(journal)).toEqual({ entries: 0 });
    expect(journal.entriesOf(id("old-3"))).toEqual([]);
    expect(journal.entriesOf(id("new-3"))).toHaveLength(3);
    expect(journal.verify()).toEqual({ ok: true, value: { entries: 6 * SALES } });
    await journal.append(sale("later"));
  }
  const database = new Database(here.path, { readonly: true });
  const rest =
    "SELECT (SELECT count(*) FROM queue__state WHERE sequence <= 600) + (SELECT min(sequence) FROM journal__entry)";
  expect(database.prepare(rest).pluck().get()).toBe(601);
  database.close();
  const [file] = archived();
  const path = join(here.folder, "archive", file ?? "");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await checkExport(path)).toMatchObject({ count: 3 * SALES, signatureHolds: true });
  expect(await report()).toMatchObject({ ok: true, archives: 1, archived: 3 * SALES, entries: 3 * SALES + 3 });
  await using again = open();
  await here.clock.advance(5_000);
  expect(again.head.sequence).toBe(6 * SALES + 3);
  expect(again.unprinted()).toEqual([]);
  await again.append(sale("last"));
});

test("an archived payment's id is taken for ever: what it was is known, and a new intent under it is refused", async () => {
  await using journal = open();
  await sold(journal);
  await archive(journal);
  expect(journal.archived(id("old-7"))).toEqual({
    operation: "purchase",
    amount: { minor: "1250", currency: "EUR" },
    outcome: "approved",
    at: OLD,
  });
  expect(journal.archived(id("new-7"))).toBeUndefined();
  await expect(journal.append([{ body: intent("old-7") }])).rejects.toMatchObject({
    code: "payment.archived",
    message: expect.stringContaining("old-7"),
  });
  await journal.append([{ body: intent("quite-new") }]);
});

test("an export finds what was archived as well", async () => {
  {
    await using journal = open();
    await sold(journal);
    await archive(journal);
  }
  using reader = openJournalReadOnly(here.path);
  const path = join(here.folder, "out.jsonl");
  const write = (selection: { payment?: PaymentId }) =>
    exportJournal(reader, { path, selection, signer: signerOf(KEYS.privateKey), madeAt: OLD });
  expect(await write({})).toBe(6 * SALES);
  const whole = await checkExport(path);
  expect([whole.signatureHolds, whole.firstBad]).toEqual([true, undefined]);
  expect(await write({ payment: id("old-9") })).toBe(3);
});

test.each([
  ["an entry without a receipt stays, and all after it", "old-150", 249],
  ["entries near one whose card data are live stay as well", "new-0", 399],
  ["nothing goes where the oldest has no receipt", "old-0", 0],
])("%s", async (_what, waiting, entries) => {
  await using journal = open();
  await sold(journal, (name) => name === waiting);
  expect(await archive(journal)).toMatchObject({ entries });
  expect(journal.verify().ok).toBe(true);
});

test("an archive that could not be written to its end leaves nothing on the disk", async () => {
  const ending = new AbortController();
  await using journal = open();
  await sold(journal);
  const work = journal.archive(BEFORE_MS, ending.signal);
  work.catch(() => undefined);
  const unfinished = () => readdirSync(here.folder).includes("archive") && archived().length > 0;
  for (let turn = 0; turn < 2_000 && !unfinished(); turn += 1) await here.clock.advance(25);
  expect(archived()).toEqual([expect.stringMatching(/\.new$/)]);
  ending.abort(new Fault("aborted", "the test ends it"));
  await expect(work).rejects.toMatchObject({ code: "aborted" });
  expect(archived()).toEqual([]);
});

const completed: EntryBody = { kind: "completed", paymentId: id("held"), at: OLD, completionId: id("done") };
const givenBack: EntryBody = { ...voiding({ sequence: 2, forward: 1 }, "held"), at: OLD };
test.each([
  ["stays, and all after it, while its amount is held", AT, [], 0],
  ["goes when its amount is no longer held", OLD, [], 3 + 3 * SALES],
  ["goes when it was completed", AT, [completed], 4 + 3 * SALES],
  ["goes when its amount was given back", AT, [givenBack], 4 + 3 * SALES],
])("an old pre-authorisation %s", async (_what, heldUntil, ended, entries) => {
  const [intended, decided, ticket] = sale("held", OLD);
  const body = { ...decision("held"), at: OLD, operation: "pre-authorisation" as const, heldUntil };
  await using journal = open();
  await journal.append([intended, { ...decided, body }, ticket, ...ended.map((end) => ({ body: end }))]);
  await journal.settle(journal.nextToForward(1).map((entry) => receipt(entry)));
  await sold(journal);
  expect(await archive(journal)).toMatchObject({ entries });
});

test("what was open at the last checkpoint and ended before its archive is not open after a power cut", async () => {
  const [undecided, unprinted] = [sale("undecided", OLD), sale("unprinted", OLD)];
  {
    await using journal = open();
    await journal.append([undecided[0], unprinted[0], unprinted[1]]);
  }
  await using journal = open();
  await journal.append([undecided[1], undecided[2], unprinted[2]]);
  await journal.settle(journal.nextToForward(2).map((entry) => receipt(entry)));
  await sold(journal);
  expect(await archive(journal)).toMatchObject({ entries: 6 + 3 * SALES });
  await journal.append([{ body: intent("of-today") }]);
  using image = new JournalFolder();
  cpSync(here.folder, image.folder, { recursive: true });
  await using again = open(image);
  expect([again.undecided(), again.unprinted()]).toEqual([["of-today"], []]);
});

test("no payment is torn in two: a later entry keeps its older ones here", async () => {
  await using journal = open();
  await sold(journal);
  await journal.append([{ body: printed("old-100") }]);
  expect(await archive(journal)).toMatchObject({ entries: 3 * 100 });
  expect(journal.entriesOf(id("old-100"))).toHaveLength(4);
});

test("RM12 an archived sale is remembered as taken back only where the hub took its void", async () => {
  await using journal = open();
  for (const status of ["processed", "declined"] as const) {
    const [, approved] = await journal.append(sale(status, OLD));
    if (!approved) throw new Error("nothing stored");
    const taken = await journal.appendVoid({ ...voiding(approved, status), at: OLD });
    if (!taken.ok) throw new Error(taken.error);
    await journal.settle([receipt(taken.value, status)]);
  }
  await sold(journal);
  await archive(journal);
  expect(journal.archived(id("processed"))).toMatchObject({ outcome: "voided" });
  expect(journal.archived(id("declined"))).toMatchObject({ outcome: "approved" });
});

test("nothing is archived while a payment runs, nor before every entry was checked", async () => {
  {
    await using journal = open();
    await sold(journal);
  }
  await using journal = open();
  expect(await journal.archive(BEFORE_MS, never)).toEqual({ entries: 0 });
  await here.clock.advance(5_000);
  await journal.append([{ body: intent("running") }]);
  const work = journal.archive(BEFORE_MS, never);
  await here.clock.advance(60_000);
  expect(readdirSync(here.folder)).not.toContain("archive");
  await journal.append([{ body: decision("running", { outcome: "declined" }) }]);
  expect(await passing(work, here)).toMatchObject({ entries: 3 * SALES });
});

test("RM18 whatever step a crash comes at, each entry is in the journal or in its archive, and the next run ends it", async () => {
  const images: { readonly step: ArchiveStep; readonly folder: JournalFolder }[] = [];
  const seen = new Map<ArchiveStep, number>();
  const onArchiveStep = (step: ArchiveStep): void => {
    const count = (seen.get(step) ?? 0) + 1;
    seen.set(step, count);
    if (count > 2) return;
    const folder = new JournalFolder();
    cpSync(here.folder, folder.folder, { recursive: true });
    images.push({ step, folder });
  };
  {
    await using journal = open(here, { onArchiveStep });
    await sold(journal);
    await archive(journal);
  }
  expect([...seen.keys()]).toEqual(["chosen", "written", "named", "checked", "remembered", "cut", "deleted"]);
  for (const { step, folder } of images) {
    {
      await using journal = open(folder);
      await folder.clock.advance(5_000);
      const known = (name: string) =>
        journal.entriesOf(id(name)).length === 3 || journal.archived(id(name)) !== undefined;
      expect([step, Array.from({ length: SALES }, (_, n) => `old-${n}`).filter((name) => !known(name))]).toEqual([
        step,
        [],
      ]);
      expect(journal.backlog().depth).toBe(0);
      await archive(journal, folder);
    }
    expect([step, await report(folder)]).toMatchObject([
      step,
      { ok: true, archived: 3 * SALES, entries: 3 * SALES, archives: 1 },
    ]);
    expect(readdirSync(join(folder.folder, "archive"))).toHaveLength(1);
    folder[Symbol.dispose]();
  }
});

test("an archive that is not read back as it was written deletes nothing", async () => {
  const spoil = (step: ArchiveStep): void => {
    if (step !== "named") return;
    const path = join(here.folder, "archive", archived()[0] ?? "");
    writeFileSync(path, readFileSync(path, "utf8").replace("1250", "9950"));
  };
  await using journal = open(here, { onArchiveStep: spoil });
  await sold(journal);
  await expect(archive(journal)).rejects.toMatchObject({
    code: "store.failed",
    message: expect.stringMatching(/entry 1 /),
  });
  expect(journal.entriesOf(id("old-0"))).toHaveLength(3);
});

test.each(["chosen", "written", "named", "checked", "remembered"] as const)(
  "RM18 what the hub lost while an archive was made (%s) stays here and is told again",
  async (at) => {
    let again: Promise<unknown> | undefined;
    await using journal = open(here, {
      onArchiveStep: (step) => {
        if (step === at) again ??= journal.resendFrom(100);
      },
    });
    await sold(journal);
    expect(await archive(journal)).toEqual({ entries: 0 });
    await again;
    expect(journal.backlog().depth).toBe(2 * SALES - 100);
    expect(journal.entriesOf(id("old-100"))).toHaveLength(3);
    const waiting = journal.nextToForward(2 * SALES);
    await journal.settle(waiting.map((entry) => receipt(entry)));
    expect(journal.backlog().depth).toBe(0);
    expect(await archive(journal)).toMatchObject({ entries: 3 * SALES });
    expect(archived()).toHaveLength(1);
  },
);

test("RM18 nothing is archived while the hub is told again what it lost, slice by slice", async () => {
  const old = Array.from({ length: 600 }, (_, n) => sale(`old-${n}`, OLD)).flat();
  await using journal = open();
  const stored = await journal.append(old);
  await journal.settle(stored.filter(({ forward }) => forward !== undefined).map((entry) => receipt(entry)));
  await sold(journal);
  await journal.resendFrom(0);
  expect(journal.resending).toBe(500);
  await journal.settle(journal.nextToForward(1_000).map((entry) => receipt(entry)));
  expect(await archive(journal)).toEqual({ entries: 0 });
});

test("RM18 entries that are archived and not yet deleted are not told again", async () => {
  let again: Promise<unknown> | undefined;
  await using journal = open(here, {
    onArchiveStep: (step) => {
      if (step === "cut") again ??= journal.resendFrom(0);
    },
  });
  await sold(journal);
  expect(await archive(journal)).toMatchObject({ entries: 3 * SALES });
  await again;
  expect(journal.backlog().depth).toBe(SALES);
  await journal.settle(journal.nextToForward(2 * SALES).map((entry) => receipt(entry)));
  expect([journal.backlog().depth, journal.outstanding().count]).toEqual([0, 0]);
});

test("a payment that gets another entry while its archive is made is not torn in two", async () => {
  let later: Promise<unknown> | undefined;
  await using journal = open(here, {
    onArchiveStep: (step) => {
      if (step === "named") later ??= journal.append([{ body: printed("old-7") }]);
    },
  });
  await sold(journal);
  expect(await archive(journal)).toEqual({ entries: 0 });
  await later;
  expect(journal.entriesOf(id("old-7"))).toHaveLength(4);
});

test("a missing or changed archive is named by verification", async () => {
  {
    await using journal = open();
    await sold(journal);
    await archive(journal);
  }
  const path = join(here.folder, "archive", archived()[0] ?? "");
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace('"old-5\\"', '"old-6\\"'));
  expect(await report()).toMatchObject({ ok: false, firstBad: { sequence: 16 } });
  rmSync(path);
  expect(await report()).toMatchObject({
    ok: false,
    firstBad: { sequence: 1, why: expect.stringContaining("is not there") },
  });
});

test("RM5 card data of entries that stay are gone from every file with their receipt, though rows around them went", async () => {
  const live = [1, 2, 3, 4].map(sealedFor);
  await using journal = open();
  await sold(journal);
  const kept = [];
  for (const [at, sealed] of live.entries()) kept.push(await one(journal, advice(`live-${at}`, sealed)));
  await archive(journal);
  const found = (): number => {
    const bytes = Buffer.concat(
      readdirSync(here.folder)
        .filter((name) => name.startsWith("journal.db"))
        .map((name) => readFileSync(join(here.folder, name))),
    );
    return live.filter(({ ciphertext }) => bytes.includes(ciphertext.slice(8, 40))).length;
  };
  expect(found()).toBe(4);
  await journal.settle(kept.map((entry) => receipt(entry)));
  await here.clock.advance(ERASED_WITHIN_MS);
  expect(found()).toBe(0);
});
