/** What a person is told to do about an entry of the queue: it is possible, and it fits what the entry is of. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ok } from "../../base/result.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import { type Operation, OperationSchema } from "../../wire/common.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import type { Journal } from "../journal/journal.ts";
import { AT, decision, id, intent, JournalFolder, one, receipt, voiding } from "../journal/journal-fixture.ts";
import { QueueActions } from "./queue-actions.ts";

let here: JournalFolder;
let journal: Journal;
let queue: QueueActions;

beforeEach(() => {
  here = new JournalFolder();
  journal = here.open();
  queue = new QueueActions({
    journal,
    forwarder: { waitOf: () => ({ at: "behind" }), whyNot: () => undefined, force: () => ok(undefined) },
    payments: { cancelling: async (_id, work) => ok(await work()) },
    now: () => here.clock.now(),
  });
});
afterEach(async () => {
  await journal[Symbol.asyncDispose]();
  here[Symbol.dispose]();
});

type Subject = Operation | "reversal" | "void";
const SUBJECTS: readonly Subject[] = [...OperationSchema.options, "reversal", "void"];
const ANN = { by: "ann", why: "typed wrong" };

function bodyOf(subject: Operation | "reversal", payment: string): EntryBody {
  if (subject === "reversal")
    return { kind: "reversal", paymentId: id(payment), at: AT, attempt: 1, reason: "timeout" };
  return decision(payment, { operation: subject });
}

/** Stores an entry of this subject for the payment, and the hub's word on it. */
async function heard(subject: Subject, payment: string, status: EntryReceipt["status"]): Promise<number> {
  let entry = await one(journal, { body: bodyOf(subject === "void" ? "purchase" : subject, payment), forward: true });
  if (subject === "void") {
    const taken = await journal.appendVoid(voiding(entry, payment));
    if (!taken.ok) throw new Error(taken.error);
    entry = taken.value;
  }
  await journal.markForwarding([entry.sequence]);
  await journal.settle([receipt(entry, status)]);
  return entry.sequence;
}
function toDo(sequence: number): string {
  const shown = queue.show(`#${sequence}`);
  if (!shown.ok) throw new Error(shown.error.detail);
  return shown.value.map(({ whatToDo }) => whatToDo).join();
}

test("what the hub refused for good is told by what it means for the customer", async () => {
  const told: Record<string, string> = {};
  for (const subject of SUBJECTS) told[subject] = toDo(await heard(subject, `p-${subject}`, "declined"));
  expect(told).toEqual({
    purchase: "The hub refused it for good: no money comes of it, so ask the customer for another payment.",
    "pre-authorisation": "The hub refused it for good: nothing is held, so ask the customer for another payment.",
    completion: "The hub refused it for good: no money comes of it, so ask the customer for another payment.",
    tip: "The hub refused it for good: no tip comes of it, and the sale stands as it was.",
    refund: "The hub refused it for good: the customer got nothing back, so give the money back another way.",
    reversal:
      "The hub had taken the payment for good: it stands there, though it was not approved here, so have the hub's operator look at it.",
    void: "The hub had taken the payment before it was cancelled: the customer is charged, so refund it.",
  });
});

test("a cancel is proposed for what can be cancelled, and for nothing else, whatever the entry is of and wherever it is", async () => {
  const proposed: string[] = [];
  for (const subject of SUBJECTS)
    for (const status of ["processed", "declined", "expired", "quarantined"] as const) {
      const sequence = await heard(subject, `${subject}-${status}`, status);
      const isProposed = toDo(sequence).includes("tillway queue cancel");
      if (isProposed) proposed.push(`${subject} ${status}`);
      if (status === "quarantined") expect(toDo(sequence)).toContain(`tillway queue retry ${sequence}`);
      const cancelled = await queue.cancel(`#${sequence}`, ANN);
      expect([subject, status, cancelled.ok]).toEqual([subject, status, isProposed]);
    }
  expect(proposed).toEqual(["purchase quarantined", "pre-authorisation quarantined"]);
});

test("no cancel is proposed for a pre-authorisation that was completed", async () => {
  await journal.append([{ body: { ...intent("hotel"), operation: "pre-authorisation" } }]);
  const sequence = await heard("pre-authorisation", "hotel", "quarantined");
  await journal.append([{ body: { kind: "completed", paymentId: id("hotel"), at: AT, completionId: id("bill") } }]);
  expect(toDo(sequence)).toBe(`The hub set it aside: mend the cause, then tillway queue retry ${sequence}.`);
  expect(await queue.cancel(`#${sequence}`, ANN)).toMatchObject({ ok: false, error: { why: "state" } });
});

test("an act that a set-aside entry does not allow names no other that it does not allow", async () => {
  const sequence = await heard("refund", "r-1", "quarantined");
  expect(await queue.force(`#${sequence}`, ANN)).toMatchObject({
    error: { detail: `cannot force entry ${sequence}: it is set aside by the hub; tillway queue show says what to do` },
  });
});
