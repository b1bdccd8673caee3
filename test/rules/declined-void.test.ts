/** A void that comes to the hub too late: what it was to take back stands here as well, and can be refunded. */
import { expect, test } from "vitest";
import { QueueActions } from "../../agent/saf/queue-actions.ts";
import type { PaymentId } from "../../base/ids.ts";
import { ok } from "../../base/result.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import { Till } from "./till.ts";

const id = "P-1" as PaymentId;
const ANN = { by: "ann", why: "typed wrong" };

const queueOf = (till: Till) =>
  new QueueActions({
    journal: till.journal,
    forwarder: { waitOf: () => ({ at: "behind" }), whyNot: () => undefined, force: () => ok(undefined) },
    payments: till.desk,
    now: () => till.clock.now(),
  });
/** The hub's answer to all that waits. */
async function receipted(till: Till, answer: Pick<EntryReceipt, "status" | "detail">): Promise<void> {
  const waiting = till.journal.nextToForward(50);
  await till.journal.markForwarding(waiting.map(({ sequence }) => sequence));
  await till.journal.settle(
    waiting.map(({ sequence, hash }) => ({ sequence, hash, ...answer })),
    { fresh: true },
  );
}
const toDo = (queue: QueueActions): readonly string[] => {
  const shown = queue.show(id);
  if (!shown.ok) throw new Error(shown.error.detail);
  return shown.value.map(({ kind, state, whatToDo }) => `${kind} ${state}: ${whatToDo}`);
};
async function cancelled(till: Till): Promise<QueueActions> {
  const queue = queueOf(till);
  till.hub.state = "down";
  await till.sell(id);
  await receipted(till, { status: "quarantined", detail: "unknown tag" });
  expect(await queue.cancel(id, ANN)).toMatchObject({ ok: true, value: { state: "voided" } });
  return queue;
}

test("RM12 a sale that the hub had taken before it was cancelled is charged: it stands again, and can be refunded", async () => {
  await using till = new Till();
  const queue = await cancelled(till);
  expect(till.desk.get(id)).toMatchObject({ status: "voided", queue: "eligible" });
  expect(toDo(queue)[0]).toContain("decision voided: It was cancelled here, and the hub has yet to confirm that");

  await receipted(till, { status: "declined", detail: "the payment is confirmed and can only be refunded" });
  expect(till.desk.get(id)).toMatchObject({ status: "approved", queue: "processed" });
  expect(toDo(queue)).toEqual([
    "decision processed: The hub had taken the payment before it was cancelled: the customer is charged, so refund it.",
    "void declined: The hub had taken the payment before it was cancelled: the customer is charged, so refund it.",
  ]);
  expect(await till.desk.void(id, undefined)).toMatchObject({ error: { why: "already-processed" } });
  till.hub.state = "up";
  expect(till.desk.beginRefund({ id: "R-1" as PaymentId, originalId: id })).toMatchObject({ ok: true });
  expect(await till.desk.ended("R-1" as PaymentId, new AbortController().signal)).toMatchObject({ status: "approved" });
});

test("RM12 a sale that was cancelled before the hub had it is not charged, once the hub says so", async () => {
  await using till = new Till();
  const queue = await cancelled(till);
  await receipted(till, { status: "processed" });
  expect(till.desk.get(id)).toMatchObject({ status: "voided" });
  expect(toDo(queue)[0]).toBe("decision voided: Nothing: it was cancelled, and nothing is charged.");
});
