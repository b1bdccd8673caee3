/** Journals that earlier releases wrote, kept as files: every entry of theirs is taken over, and may still be sent. */
import { createHash, createPrivateKey } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { TerminalId } from "../../base/ids.ts";
import { openCardData } from "../../wire/card-data.ts";
import type { Journal } from "./journal.ts";
import { decision, id, JournalFolder, KEYS, receipt } from "./journal-fixture.ts";
import { openJournalReadOnly } from "./journal-reader.ts";
import { verifyJournal } from "./verify-file.ts";

const FOLDER = new URL("../../test/vectors/journal/", import.meta.url);
const releases = readdirSync(FOLDER).flatMap((name) => /^(.+)\.db\.gz$/.exec(name)?.[1] ?? []);
const TERMINAL = "kept-1" as TerminalId;
/** The private half of the key that the kept files' card data are sealed to: 32 bytes of 0x42. */
const sealingKey = createPrivateKey({
  key: Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), Buffer.alloc(32, 0x42)]),
  format: "der",
  type: "pkcs8",
});

let here: JournalFolder;
beforeEach(() => {
  here = new JournalFolder();
});
afterEach(() => here[Symbol.dispose]());

const open = (): Journal => here.open(TERMINAL, { signingKey: KEYS.privateKey });
const unpack = (release: string): void =>
  writeFileSync(here.path, gunzipSync(readFileSync(new URL(`${release}.db.gz`, FOLDER))));
const told = (release: string) => JSON.parse(readFileSync(new URL(`${release}.json`, FOLDER), "utf8"));

/** What the release that wrote the file said of it, by the same words. */
function seen(journal: Journal) {
  const digest = createHash("sha256");
  const unsent = journal.nextToForward(20_000);
  for (const { sequence, forward, hash, text, sealed } of unsent) {
    digest.update(`${sequence} ${forward} ${hash} ${text} ${sealed?.keyId} ${sealed?.enc} ${sealed?.ciphertext}\n`);
  }
  const mixed: Record<string, number> = {};
  for (let n = 0; n < 60; n += 1) {
    for (const { kind, state } of journal.queue({ paymentId: id(`mixed-${n}`) })) {
      mixed[`${kind}:${state}`] = (mixed[`${kind}:${state}`] ?? 0) + 1;
    }
  }
  const { count, minor } = journal.outstanding();
  const { terminalId, epoch, head } = journal;
  return {
    ...{ terminalId, epoch, head, unsent: unsent.length, unsentDigest: digest.digest("hex"), mixed },
    outstanding: { count, minor: String(minor) },
    undecided: journal.undecided(),
    unprinted: journal.unprinted().length,
    lease: journal.recall("lease"),
  };
}

test("a file is kept of every earlier schema", () => {
  expect(releases).toEqual(["journal-1", "journal-2"]);
});

test.each(releases)(
  "%s: every unsent entry is kept, in order, with its card data, and the chain is whole",
  async (release) => {
    unpack(release);
    {
      await using journal = open();
      expect(seen(journal)).toEqual(told(release));
      expect(journal.verify()).toEqual({ ok: true, value: { entries: 10_127 } });
      const [first] = journal.nextToForward(1);
      if (!first?.sealed) throw new Error("no sealed data");
      const opened = openCardData({
        sealed: first.sealed,
        privateKey: sealingKey,
        terminalId: TERMINAL,
        paymentId: first.paymentId,
      });
      expect(opened).toMatchObject({ expiry: "3012" });
    }
    {
      await using journal = open();
      expect(seen(journal)).toEqual(told(release));
      await here.clock.advance(60_000);
      const next = journal.nextToForward(10);
      expect((await journal.settle(next.map((entry) => receipt(entry)))).settled).toHaveLength(10);
      await journal.append([{ body: decision("today"), forward: true }]);
    }
    using reader = openJournalReadOnly(here.path);
    expect(await verifyJournal(reader)).toMatchObject({ ok: true, entries: 10_128 });
  },
);

test.each(releases)(
  "%s is verified and read as it lies, before any of today's code has changed it",
  async (release) => {
    unpack(release);
    using reader = openJournalReadOnly(here.path);
    expect(await verifyJournal(reader)).toMatchObject({ ok: true, entries: 10_127, checkpoints: 0 });
    expect([...reader.entries({ payment: id("mixed-7") })]).toHaveLength(2);
  },
);
