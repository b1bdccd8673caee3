/** Signed checkpoints: what opening believes, what it reads, and what the background finds later. */
import { cpSync } from "node:fs";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Fault } from "../../base/fault.ts";
import { isFault } from "../../base/fault.ts";
import type { TerminalId } from "../../base/ids.ts";
import { newSigningKeys, type SigningKeys } from "../../wire/signing.ts";
import { adoptJournal } from "./adopt.ts";
import { signCheckpoint, signerOf } from "./checkpoint.ts";
import type { Journal } from "./journal.ts";
import { AT, advice, decision, intent, JournalFolder, KEYS, receipt, TERMINAL } from "./journal-fixture.ts";
import { CHECKPOINT_ENTRIES, QUIET_MS } from "./upkeep.ts";

let here: JournalFolder;
const told: Fault[] = [];
beforeEach(() => {
  here = new JournalFolder();
  told.length = 0;
});
afterEach(() => here[Symbol.dispose]());

const open = (keys: SigningKeys = KEYS): Journal =>
  here.open(TERMINAL, { signingKey: keys.privateKey, onCorrupt: (fault) => told.push(fault) });

function query<T>(work: (database: InstanceType<typeof Database>) => T): T {
  const database = new Database(here.path);
  try {
    return work(database);
  } finally {
    database.close();
  }
}
const change = (sql: string): void => void query((database) => database.exec(sql));
const checkpoints = (): number[] =>
  query((database) => database.prepare<[], number>("SELECT sequence FROM journal__checkpoint").pluck().all());

/** Six entries: two sales that the hub has, one that it has not; a checkpoint at the end. */
async function sold(): Promise<void> {
  await using journal = open();
  const stored = await journal.append(["p-1", "p-2", "p-3"].flatMap((p) => [{ body: intent(p) }, advice(p)]));
  await journal.settle(
    stored.filter(({ sequence }) => sequence === 2 || sequence === 4).map((entry) => receipt(entry)),
  );
}

const refusal = (opening: () => Journal = open): unknown => {
  try {
    opening();
    return "opened";
  } catch (error) {
    return isFault(error) ? `${error.code}: ${error.message}` : error;
  }
};

test("closing signs a checkpoint, and what opening needs is taken from it", async () => {
  await sold();
  expect(checkpoints()).toEqual([6]);
  change("DELETE FROM journal__meta WHERE name IN ('open-payments', 'queue-floor')");
  await using journal = open();
  expect(journal.head.sequence).toBe(6);
  expect(journal.unprinted()).toEqual(["p-1", "p-2", "p-3"]);
  expect(journal.nextToForward(9).map(({ sequence }) => sequence)).toEqual([6]);
});

test("without a key none is signed", async () => {
  {
    await using journal = here.open();
    await journal.append([{ body: intent("p-1") }]);
  }
  expect(checkpoints()).toEqual([]);
});

test("a checkpoint follows many entries, but never within the commit of a sale", async () => {
  await using journal = open();
  const entries = Array.from({ length: 1_000 }, (_, at) => ({ body: intent(`p-${at}`) }));
  for (let count = 0; count < CHECKPOINT_ENTRIES; count += entries.length) await journal.append(entries);
  const signed = () => journal.verify().ok && journal.recall("lease") === undefined;
  expect(signed()).toBe(true);
  await here.clock.advance(QUIET_MS - 1);
  await journal.append([{ body: intent("one-more") }]);
  await here.clock.advance(QUIET_MS - 1);
  await here.clock.advance(QUIET_MS + 1);
  await journal.append([{ body: intent("the-last") }]);
  await journal[Symbol.asyncDispose]();
  // One of its own, after the quiet, and one of the close.
  expect(checkpoints()).toEqual([CHECKPOINT_ENTRIES + 1, CHECKPOINT_ENTRIES + 2]);
});

test("what was changed before the checkpoint stops selling as soon as the background reads it, and ever after", async () => {
  await sold();
  change("UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 2");
  {
    await using journal = open();
    await journal.append([{ body: intent("p-4") }]);
    await here.clock.advance(1_000);
    expect(told.map(({ code, details }) => [code, details])).toEqual([["journal.corrupt", { sequence: 2 }]]);
    for (const refused of [journal.append([advice("p-4")]), journal.append([{ body: intent("p-5") }])]) {
      await expect(refused).rejects.toMatchObject({
        code: "journal.corrupt",
        message: expect.stringContaining("entry 2"),
      });
    }
    // What the hub has not got may still leave.
    expect(await journal.markForwarding([6])).toEqual([6]);
  }
  expect(refusal()).toMatch(/^journal\.corrupt: .*journal\.db: entry 2 was changed .*tillway journal export/);
  change("UPDATE journal__entry SET text = replace(text, '9950', '1250') WHERE sequence = 2");
  await using mended = open();
  await mended.append([{ body: intent("p-6") }]);
});

test("damage is noted on disk before anyone is told of it, as who is told ends the process", async () => {
  await sold();
  change("UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 2");
  using image = new JournalFolder();
  const onCorrupt = (): void => cpSync(here.folder, image.folder, { recursive: true });
  await using _journal = here.open(TERMINAL, { signingKey: KEYS.privateKey, onCorrupt });
  await here.clock.advance(1_000);
  expect(refusal(() => image.open(TERMINAL, { signingKey: KEYS.privateKey }))).toMatch(/^journal\.corrupt: .*entry 2 /);
});

test("an index that misses an entry is found: its payment could be paid again", async () => {
  await sold();
  query((database) =>
    database.unsafeMode().exec(`PRAGMA writable_schema = ON;
      UPDATE sqlite_schema SET sql = replace(sql, '(payment_id)', '(kind)') WHERE name = 'journal__entry_payment'`),
  );
  change("REINDEX journal__entry_payment");
  query((database) =>
    database.unsafeMode().exec(`PRAGMA writable_schema = ON;
      UPDATE sqlite_schema SET sql = replace(sql, '(kind)', '(payment_id)') WHERE name = 'journal__entry_payment'`),
  );
  await using _journal = open();
  await here.clock.advance(1_000);
  expect(told.map(({ message }) => message)).toEqual([
    expect.stringContaining("entry 1 is not found under its payment"),
  ]);
});

test("a whole journal is read in the background to its end, and goes on selling", async () => {
  await sold();
  await using journal = open();
  await here.clock.advance(10_000);
  expect(told).toEqual([]);
  await journal.append([{ body: intent("p-4") }]);
});

test.each([
  ["its text", "UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 6"],
  ["its sealed card data", "UPDATE journal__entry SET sealed = zeroblob(length(sealed)) WHERE sequence = 6"],
  ["no sealed card data", "UPDATE journal__entry SET sealed = NULL WHERE sequence = 6"],
  ["the amount that it holds", "UPDATE journal__entry SET held = 1 WHERE sequence = 6"],
  ["its payment", "UPDATE journal__entry SET payment_id = 'p-2' WHERE sequence = 6"],
])("an unsent entry before the checkpoint is verified at opening: %s", async (_what, sql) => {
  await sold();
  change(sql);
  expect(refusal()).toMatch(/^journal\.corrupt: .*entry 6 /);
});

test.each([
  ["a state that is none", "UPDATE queue__state SET state = 'processee' WHERE sequence = 4"],
  ["a state of what was never queued", "UPDATE queue__state SET sequence = 3 WHERE sequence = 4"],
  ["a number of sendings that cannot be", "UPDATE queue__state SET attempts = -1 WHERE sequence = 4"],
])("%s, which would hide an entry from the hub, is found in the background", async (_what, sql) => {
  await sold();
  change(sql);
  await using _journal = open();
  await here.clock.advance(1_000);
  expect(told.map(({ code, message }) => [code, message])).toEqual([
    ["journal.corrupt", expect.stringMatching(/entry [34] waits for the hub in no state that there is/)],
  ]);
});

test("a state of an entry that is not there, which the next sale would take for its own, is refused at opening", async () => {
  await sold();
  change("UPDATE queue__state SET sequence = 8 WHERE sequence = 4");
  expect(refusal()).toMatch(/^journal\.corrupt: .*entry 8 is not there, and has a state in the queue/);
});

const forged = (more: object, keys = KEYS): string => {
  const row = query((database) => database.prepare<[], { text: string }>("SELECT text FROM journal__checkpoint").get());
  const { v: _v, publicKey: _key, ...checkpoint } = JSON.parse(row?.text ?? "{}");
  const { text, signature } = signCheckpoint({ ...checkpoint, ...more }, signerOf(keys.privateKey));
  return `UPDATE journal__checkpoint SET text = '${text}', signature = '${signature}'`;
};

test.each([
  ["a changed text", () => "UPDATE journal__checkpoint SET text = replace(text, 'p-1', 'p-9')", /not signed by this/],
  ["a signature of another", () => "UPDATE journal__checkpoint SET signature = 'AAAA'", /is damaged|not signed/],
  ["half a text", () => "UPDATE journal__checkpoint SET text = substr(text, 1, 80)", /is damaged/],
  ["another key", () => forged({}, newSigningKeys()), /another key signed: .* tillway journal adopt/],
  ["another terminal", () => forged({ terminalId: "shop-2" as TerminalId }), /another terminal/],
  ["another place", () => forged({ sequence: 4 }), /another place/],
  [
    "an end that is not there",
    () => "DELETE FROM journal__entry WHERE sequence = 6",
    /entry 6 is missing: 6 were written/,
  ],
])("a checkpoint with %s is no checkpoint, and nothing is sold", async (_what, sql, why) => {
  await sold();
  change(sql());
  expect(refusal()).toMatch(/^journal\.corrupt: /);
  expect(refusal()).toMatch(why);
});

test("a checkpoint of another chain, rightly signed, is found by the entry that it signs", async () => {
  await sold();
  change(forged({ hash: "ab".repeat(32) }));
  await using journal = open();
  await here.clock.advance(1_000);
  expect(told.map(({ details }) => details)).toEqual([{ sequence: 6 }]);
  expect(journal.verify()).toMatchObject({ ok: false, error: { sequence: 6 } });
});

test("after a new enrolment a person takes the journal over, once every entry was checked", async () => {
  await sold();
  const fresh = newSigningKeys();
  const adoption = { path: here.path, terminalId: TERMINAL, signer: signerOf(fresh.privateKey), at: AT };
  expect(() => open(fresh)).toThrow(expect.objectContaining({ code: "journal.corrupt" }));
  change("UPDATE journal__entry SET text = replace(text, '1250', '9950') WHERE sequence = 2");
  await expect(adoptJournal(adoption)).rejects.toMatchObject({ code: "journal.corrupt", details: { sequence: 2 } });
  change("UPDATE journal__entry SET text = replace(text, '9950', '1250') WHERE sequence = 2");
  expect(await adoptJournal(adoption)).toBe(6);
  await using journal = open(fresh);
  expect(journal.unprinted()).toEqual(["p-1", "p-2", "p-3"]);
  await journal.append([{ body: decision("p-4") }]);
});
