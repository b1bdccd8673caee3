/** RM13: the cashier's word on a signature, in a real journal. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { money } from "../../base/money.ts";
import { fail, ok } from "../../base/result.ts";
import type { CardFacts } from "../../wire/journal-entry.ts";
import type { Journal } from "../journal/journal.ts";
import { openJournal } from "../journal/sqlite-journal.ts";
import type { PaymentView } from "./payments.ts";
import { Signatures } from "./signature.ts";

const id = "P-1" as PaymentId;
const CARD: CardFacts = {
  entryMode: "chip",
  maskedPan: "476173******0010",
  cardToken: "0".repeat(64),
  aid: "f0",
  label: "TEST",
  cryptogramType: "TC",
  signature: true,
  iccData: "",
};
const SIGNED: PaymentView = {
  id,
  operation: "purchase",
  status: "approved",
  amount: money(1_234n, "EUR"),
  card: CARD,
  ticket: "pending",
  startedAt: "2026-01-05T09:00:00.000Z",
};

let folder: string;
let journal: Journal;
let signatures: Signatures;
let view: PaymentView | undefined;
let voids: (string | undefined)[];
let voided: "voided" | "forwarding";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "signature-"));
  journal = openJournal({
    path: join(folder, "journal.db"),
    terminalId: "till-1" as TerminalId,
    clock: new ManualClock(),
    random: systemRandom,
    log: silentLog,
  });
  signatures = new Signatures({
    journal,
    now: () => Date.parse("2026-01-05T09:01:00.000Z"),
    payments: {
      get: () => view,
      void: async (_id, reason) => {
        voids.push(reason);
        if (voided === "forwarding") return fail({ why: "forwarding", detail: "the hub may have it" });
        return ok({ ...SIGNED, status: "voided" });
      },
    },
  });
  view = SIGNED;
  voids = [];
  voided = "voided";
});
afterEach(async () => {
  await journal[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const say = (accepted: boolean) => signatures.check({ id, accepted });
const words = () => journal.entriesOf(id).map(({ body }) => body);

test("RM13 an accepted signature is journalled once, and the sale stays as it is", async () => {
  expect(await say(true)).toEqual(ok(SIGNED));
  expect(await say(true)).toEqual(ok(SIGNED));
  expect(words()).toEqual([{ kind: "signature", paymentId: id, at: "2026-01-05T09:01:00.000Z", accepted: true }]);
  expect(voids).toEqual([]);
  expect(journal.queue()).toEqual([]);
});

test("RM13 a refused signature is journalled and takes the sale back", async () => {
  expect(await say(false)).toMatchObject({ ok: true, value: { status: "voided" } });
  expect(words()).toMatchObject([{ kind: "signature", accepted: false }]);
  expect(voids).toEqual(["the signature was refused"]);
});

test("RM13 a sale that cannot be taken back any more says so, and the cashier's word stays", async () => {
  voided = "forwarding";
  expect(await say(false)).toMatchObject({ ok: false, error: { why: "forwarding" } });
  expect(words()).toMatchObject([{ kind: "signature", accepted: false }]);
  voided = "voided";
  expect(await say(false)).toMatchObject({ ok: true, value: { status: "voided" } });
  expect(words()).toHaveLength(1);
});

test.each([
  [true, false, /was accepted before/],
  [false, true, /was refused before/],
])("the other word after it (%s, then %s) is refused and changes nothing", async (first, second, detail) => {
  await say(first);
  const before = voids.length;
  expect(await say(second)).toMatchObject({
    ok: false,
    error: { why: "answered", detail: expect.stringMatching(detail) },
  });
  expect(words()).toMatchObject([{ accepted: first }]);
  expect(voids).toHaveLength(before);
});

test("RM13 of two words at once the first counts, and the other is refused", async () => {
  const [first, second] = await Promise.all([say(true), say(false)]);
  expect(first).toEqual(ok(SIGNED));
  expect(second).toMatchObject({ ok: false, error: { why: "answered" } });
  expect(words()).toMatchObject([{ accepted: true }]);
  expect(voids).toEqual([]);
});

test("RM13 the same word twice at once is journalled once", async () => {
  const both = await Promise.all([say(true), say(true)]);
  expect(both).toEqual([ok(SIGNED), ok(SIGNED)]);
  expect(words()).toHaveLength(1);
});

const { signature: _, ...UNSIGNED_CARD } = CARD;
const { card: __, ...NO_CARD } = SIGNED;
test.each<[string, PaymentView | undefined, string]>([
  ["an unknown payment", undefined, "not-found"],
  ["a payment whose card asks for none", { ...SIGNED, card: UNSIGNED_CARD }, "not-asked"],
  ["a payment without a card", NO_CARD, "not-asked"],
  ["a payment that is not decided yet", { ...SIGNED, status: "processing" }, "not-asked"],
  ["a sale that was declined", { ...SIGNED, status: "declined" }, "not-asked"],
  ["a sale that was aborted", { ...SIGNED, status: "aborted" }, "not-asked"],
])("no word is taken on %s", async (_what, payment, why) => {
  view = payment;
  expect(await say(true)).toMatchObject({ ok: false, error: { why } });
  expect(await say(false)).toMatchObject({ ok: false, error: { why } });
  expect(words()).toEqual([]);
  expect(voids).toEqual([]);
});
