/** When old entries leave the journal: once a day, by the hub's time alone. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Fields, silentLog } from "../../base/log.ts";
import type { Journal } from "./journal.ts";
import {
  BEFORE_MS,
  id,
  JournalFolder,
  KEYS,
  never,
  passing,
  receipt,
  SALES,
  soldOldAndNew,
  TERMINAL,
} from "./journal-fixture.ts";
import { FIRST_RUN_MS, startRetention } from "./retention.ts";

const DAY_MS = 86_400_000;

let here: JournalFolder;
beforeEach(() => {
  here = new JournalFolder();
});
afterEach(() => here[Symbol.dispose]());

const open = (): Journal => here.open(TERMINAL, { signingKey: KEYS.privateKey });
const archives = (): string[] => {
  const folder = join(here.folder, "archive");
  return existsSync(folder) ? readdirSync(folder) : [];
};
const passingUntil = async (done: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 2_000 && !done(); turn += 1) await here.clock.advance(25);
};

/** Retention of 90 days; the hub's time is that of the box, with a year more while nothing proves it. */
const retaining = (journal: Journal, { proven = (): boolean => true, log = silentLog } = {}): Disposable =>
  startRetention({
    ...{ journal, days: 90, clock: here.clock, log },
    hubClock: { now: () => ({ at: here.clock.now() + (proven() ? 0 : 365 * DAY_MS), proven: proven() }) },
  });

test("once a day, some time after the start, what is old enough goes", async () => {
  await using journal = open();
  await soldOldAndNew(journal, here);
  using _running = retaining(journal);
  await here.clock.advance(FIRST_RUN_MS - 1);
  expect(archives()).toEqual([]);
  await passingUntil(() => journal.entriesOf(id("old-199")).length === 0);
  expect(archives()).toHaveLength(1);
});

test("nothing goes by a clock of the box: where no time is proven, it waits until the hub is heard", async () => {
  let proven = false;
  await using journal = open();
  await soldOldAndNew(journal, here);
  using _running = retaining(journal, { proven: () => proven });
  await here.clock.advance(3 * FIRST_RUN_MS - 1);
  await passingUntil(() => archives().length > 0);
  expect(archives()).toEqual([]);
  proven = true;
  await here.clock.advance(FIRST_RUN_MS);
  await passingUntil(() => journal.entriesOf(id("old-199")).length === 0);
  expect(archives()).toEqual([expect.stringMatching(`-1-${3 * SALES}.jsonl$`)]);
});

test("an old entry that was set aside and that nobody looks at is named, each day that it holds the archive up", async () => {
  const told: unknown[] = [];
  const log = { ...silentLog, error: (message: string, fields?: Fields) => void told.push([message, fields]) };
  await using journal = open();
  await soldOldAndNew(journal, here, (name) => name === "old-20");
  const [waiting] = journal.nextToForward(1);
  if (!waiting) throw new Error("none waits");
  await journal.settle([receipt(waiting, "quarantined")]);
  const { sequence } = waiting;
  const outcome = await passing(journal.archive(BEFORE_MS, never), here);
  expect(outcome).toEqual({ entries: 0, heldBy: { sequence, state: "quarantined" } });
  using _running = retaining(journal, { log });
  await here.clock.advance(FIRST_RUN_MS);
  await passingUntil(() => told.length > 0);
  expect(told).toEqual([
    [
      expect.stringMatching(/keeps all after it/),
      { sequence, state: "quarantined", whatToDo: `tillway queue show ${sequence}` },
    ],
  ]);
});
