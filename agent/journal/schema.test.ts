/** A journal written by an earlier release is taken over whole. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSqlite, type Sqlite } from "../../base/sqlite.ts";
import { ERASED_WITHIN_MS } from "./erasure.ts";
import type { Journal } from "./journal.ts";
import { advice, intent, JournalFolder, receipt, sealedFor } from "./journal-fixture.ts";
import { JOURNAL_MIGRATIONS } from "./schema.ts";

let here: JournalFolder;
beforeEach(() => {
  here = new JournalFolder();
});
afterEach(() => here[Symbol.dispose]());

/** Lays the file's rows out again as the first release had them. */
function asOfTheFirstRelease(database: Sqlite): void {
  database.exec(`
    ALTER TABLE journal__entry RENAME TO now;
    DROP INDEX journal__entry_payment;
    ${JOURNAL_MIGRATIONS[0]?.sql.replace(/CREATE TABLE journal__meta.*;/, "")}
    INSERT INTO journal__entry
      SELECT sequence, forward, payment_id, kind, previous_hash, hash, sealed_digest, text FROM now;
    INSERT INTO journal__sealed SELECT sequence, sealed FROM now WHERE sealed IS NOT NULL;
    INSERT INTO queue__entry
      SELECT n.sequence, n.forward, coalesce(q.state, 'eligible'), coalesce(q.attempts, 0), n.held, q.reason, q.detail
      FROM now n LEFT JOIN queue__state q ON q.sequence = n.sequence WHERE n.forward IS NOT NULL;
    DROP TABLE now;
    DROP TABLE queue__state;
    DROP TABLE journal__checkpoint;
    DROP TABLE journal__archive;
    DROP TABLE journal__archived;
    DELETE FROM base__migration WHERE id <> 'journal-1';
  `);
}

const seen = (journal: Journal) => ({
  head: journal.head,
  queue: journal.queue(),
  next: journal.nextToForward(10),
  outstanding: journal.outstanding(),
  backlog: journal.backlog(),
  verify: journal.verify(),
});

test("a journal of the first release keeps its entries, its queue with every state, and its sealed data", async () => {
  const sealed = [1, 2, 3, 4].map(sealedFor);
  let earlier: ReturnType<typeof seen>;
  {
    await using journal = here.open();
    const stored = await journal.append([
      { body: intent("p-1", "500") },
      ...sealed.map((each, at) => advice(`p-${at + 1}`, each)),
    ]);
    const [, settled, sent, refused] = stored;
    if (!settled || !sent || !refused) throw new Error("nothing stored");
    await journal.markForwarding([settled.sequence, sent.sequence, refused.sequence]);
    await journal.settle([receipt(settled), { ...receipt(refused), status: "quarantined", reason: "E_LIMIT" }]);
    earlier = seen(journal);
  }
  const old = openSqlite(here.path, { migrations: JOURNAL_MIGRATIONS });
  asOfTheFirstRelease(old);
  old.close();

  await using journal = here.open();
  expect(seen(journal)).toEqual(earlier);
  expect(earlier.next.map((entry) => [entry.sequence, entry.sealed])).toEqual([
    [3, sealed[1]],
    [5, sealed[3]],
  ]);
  expect(journal.queue({ state: "quarantined" }).map((entry) => entry.reason)).toEqual(["E_LIMIT"]);
});

test("RM5 sealed data that came over from the first release leave every file with their receipt", async () => {
  const sealed = Array.from({ length: 300 }, (_, at) => sealedFor(at % 250));
  {
    await using journal = here.open();
    const stored = await journal.append(sealed.map((each, at) => advice(`p-${at}`, each)));
    await journal.settle(stored.filter((_, at) => at % 3 === 0).map((entry) => receipt(entry)));
  }
  const old = openSqlite(here.path, { migrations: JOURNAL_MIGRATIONS });
  asOfTheFirstRelease(old);
  old.close();
  const found = (): number => {
    const bytes = Buffer.concat(readdirSync(here.folder).map((name) => readFileSync(join(here.folder, name))));
    return sealed.filter(({ ciphertext }) => bytes.includes(ciphertext.slice(8, 40))).length;
  };
  expect(found()).toBe(200);

  await using journal = here.open();
  expect(found()).toBe(200);
  await journal.settle(journal.nextToForward(1_000).map((entry) => receipt(entry)));
  await here.clock.advance(ERASED_WITHIN_MS);
  expect(found()).toBe(0);
});

test("what was settled is not read again for the queue, however long the journal has grown", async () => {
  {
    await using journal = here.open();
    const stored = await journal.append([1, 2, 3].map((n) => advice(`p-${n}`)));
    await journal.settle(stored.map((entry) => receipt(entry)));
    await journal.append([advice("p-4"), advice("p-5")]);
    const [fourth] = journal.nextToForward(1);
    if (!fourth) throw new Error("nothing waits");
    await journal.settle([receipt(fourth)]);
  }
  const database = openSqlite(here.path, { migrations: [], readonly: true });
  expect(database.prepare("SELECT value FROM journal__meta WHERE name = 'queue-floor'").pluck().get()).toBe("5");
  database.close();
  await using journal = here.open();
  expect(journal.nextToForward(10).map((entry) => entry.sequence)).toEqual([5]);
});
