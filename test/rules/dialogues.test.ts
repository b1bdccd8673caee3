/** What was said to a card is kept for whoever holds the hub's key, replays to the same decision, and gives nobody else a number (RM6). */
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DialogueRecorder } from "../../agent/dialogues/dialogue-recorder.ts";
import { DIALOGUES_MAX, DialogueStore } from "../../agent/dialogues/dialogue-store.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { lockFile } from "../../base/sqlite.ts";
import { replayTranscript } from "../../protocols/emv/kernel/replay.ts";
import { parseTranscript } from "../../protocols/emv/transcript.ts";
import { testCaKeys, testRevoked } from "../../sim/card/mint/test-keys.ts";
import { cardProfile } from "../../sim/card/profiles.ts";
import { type DialogueFile, openDialogue } from "../../wire/card-dialogue.ts";
import { type HubAnswer, Till } from "./till.ts";

const keys = generateKeyPairSync("x25519");
const stranger = generateKeyPairSync("x25519");
const AT = Date.UTC(2026, 0, 5, 9);
/** Well under the second for which the journal waits for a lock. */
const NOT_WAITED_MS = 700;

let folder: string;
let store: DialogueStore;
let recorder: DialogueRecorder;
let warnings: string[];
beforeEach(() => {
  warnings = [];
  folder = mkdtempSync(join(tmpdir(), "dialogues-"));
  store = new DialogueStore(join(folder, "dialogues.db"));
  recorder = new DialogueRecorder({
    store,
    terminalId: "till-1" as TerminalId,
    sealingKey: () => ({ keyId: "hub-1", publicKey: createPublicKey(keys.privateKey) }),
    random: systemRandom,
    now: () => AT,
    log: { ...silentLog, warn: (message) => void warnings.push(message) },
  });
});
afterEach(() => {
  store[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** A sale, its record kept, and what the terminal gives out of it. */
async function kept(till: Till, id = "P-1"): Promise<DialogueFile> {
  await till.sell(id);
  const record = till.records.get(id as PaymentId);
  if (!record) throw new Error("no record");
  recorder.keep(id as PaymentId, record);
  const file = recorder.dialogueOf(id as PaymentId);
  if (!file) throw new Error("nothing kept");
  return file;
}

const replayed = (file: DialogueFile) =>
  replayTranscript(parseTranscript(openDialogue(file, keys.privateKey)), {
    mode: "strict",
    caKeys: testCaKeys(),
    revoked: testRevoked(),
    today: { year: 2026, month: 1, day: 5 },
  });

describe("a recorded dialogue", () => {
  const sales: readonly (readonly [profile: string, hub: "up" | "down", answer: HubAnswer])[] = [
    ["standard", "up", "approve"],
    ["standard", "up", "decline"],
    ["standard", "up", "silence"],
    ["standard", "down", "approve"],
    ["dda", "down", "approve"],
    ["cda", "up", "approve"],
    ["wrong-ca", "down", "approve"],
    ["second", "up", "approve"],
    ["declining", "up", "approve"],
  ];
  test.each(sales)(
    "RM6 replays to the decision that the sale came to: %s, hub %s, %s",
    async (profile, hub, answer) => {
      await using till = new Till();
      till.slot.profile = profile;
      till.hub.state = hub;
      till.hub.answer = answer;
      const file = await kept(till);
      const report = replayed(file);
      expect(report.stop).toBeUndefined();
      const entry = till.journal.entriesOf("P-1" as PaymentId).find(({ body }) => body.kind === "decision")?.body;
      if (entry?.kind !== "decision") throw new Error("no decision");
      expect(report.decision?.outcome).toBe(entry.outcome);
      expect(report.decision?.cryptogram).toBe(entry.card?.cryptogramType);
      // Tag 95 as the card was given it.
      expect(entry.card?.iccData).toContain(`9505${report.tvr?.value.toLowerCase()}`);
    },
  );

  test("RM6 shows no card number, track or name to people, and opens for the hub's key alone", async () => {
    await using till = new Till();
    const file = await kept(till);
    const { pan } = cardProfile("standard");
    expect(file.masked).toContain("> 00A404000E315041592E5359532E444446303100");
    expect(file.masked.replace(/\s/g, "")).not.toContain(pan);
    expect(openDialogue(file, keys.privateKey)).toContain(pan);
    expect(() => openDialogue(file, stranger.privateKey)).toThrow();
    expect(() => openDialogue({ ...file, paymentId: "P-2" as PaymentId }, keys.privateKey)).toThrow();
  });

  test("RM6 of a card that was pulled ends where it did", async () => {
    await using till = new Till();
    till.slot.pullAfter = 4;
    const file = await kept(till);
    expect(parseTranscript(openDialogue(file, keys.privateKey)).exchanges).toHaveLength(4);
  });
});

test("RM6 a dialogue too long for the file that it is given out in is not kept, and hides no other", async () => {
  await using till = new Till();
  const file = await kept(till);
  const record = till.records.get("P-1" as PaymentId);
  const [line] = record?.lines ?? [];
  if (!record || !line) throw new Error("no record");
  const chatty = { ...record, lines: Array.from({ length: 512 }, () => ({ ...line, answer: new Uint8Array(258) })) };
  recorder.keep("P-2" as PaymentId, chatty);
  expect(recorder.dialogueOf("P-2" as PaymentId)).toBeUndefined();
  expect(recorder.dialogueOf("P-1" as PaymentId)).toEqual(file);
  expect(warnings).toEqual(["the dialogue with a card was not kept"]);
});

test("a dialogue that comes after the store was closed is not kept, and opens nothing", async () => {
  await using till = new Till();
  await kept(till);
  store[Symbol.dispose]();
  const record = till.records.get("P-1" as PaymentId);
  if (!record) throw new Error("no record");
  recorder.keep("P-2" as PaymentId, record);
  expect(warnings).toEqual(["the dialogue with a card was not kept"]);
  const later = new DialogueStore(join(folder, "dialogues.db"));
  expect(later.get("P-2" as PaymentId)).toBeUndefined();
  later[Symbol.dispose]();
});

test("a store that another process has locked is not waited for, opened or not: the agent has sales to take", async () => {
  await using till = new Till();
  await kept(till);
  const record = till.records.get("P-1" as PaymentId);
  const free = record && lockFile(join(folder, "dialogues.db"));
  if (!free) throw new Error("not locked");
  const began = performance.now();
  recorder.keep("P-2" as PaymentId, record);
  const opening = new DialogueStore(join(folder, "dialogues.db"));
  expect(() => opening.get("P-1" as PaymentId)).toThrow(/locked/);
  expect(performance.now() - began).toBeLessThan(NOT_WAITED_MS);
  expect(warnings).toEqual(["the dialogue with a card was not kept"]);
  free();
  recorder.keep("P-2" as PaymentId, record);
  expect(recorder.dialogueOf("P-2" as PaymentId)?.masked).toContain("# masked");
});

test("the newest dialogues are kept and the oldest go", async () => {
  await using till = new Till();
  const file = await kept(till);
  for (let n = 0; n < DIALOGUES_MAX; n += 1) store.keep({ ...file, paymentId: `P-${n + 2}` as PaymentId });
  expect(recorder.dialogueOf("P-1" as PaymentId)).toBeUndefined();
  expect(recorder.dialogueOf("P-2" as PaymentId)?.masked).toBe(file.masked);
});
