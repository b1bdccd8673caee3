/** Reads a payment out of its journal entries: the entries are the truth, a view is only their sum. */
import { present } from "../../base/assert.ts";
import type { PaymentId } from "../../base/ids.ts";
import { fromWireMoney } from "../../wire/common.ts";
import type { EntryBody, EntryOf } from "../../wire/journal-entry.ts";
import type { Journal, QueueState } from "../journal/journal.ts";
import type { PaymentView } from "./payments.ts";

/** How a ticket is marked: only the first may be unmarked, and only while no other can be on paper (RM3). */
export type Marking = EntryOf<"print-intent">["marking"];

const find = <K extends EntryBody["kind"]>(entries: readonly EntryBody[], kind: K): EntryOf<K> | undefined =>
  entries.find((entry): entry is EntryOf<K> => entry.kind === kind);
const all = <K extends EntryBody["kind"]>(entries: readonly EntryBody[], kind: K): EntryOf<K>[] =>
  entries.filter((entry): entry is EntryOf<K> => entry.kind === kind);

/** The marking of the next ticket. A print that was begun and not proven may be on paper. */
export function nextMarking(entries: readonly EntryBody[]): Marking {
  const results = new Map(all(entries, "printed").map((printed) => [printed.print, printed.result]));
  if ([...results.values()].includes("proven")) return "copy";
  const doubtful = all(entries, "print-intent").some((intent) => results.get(intent.print) !== "nothing");
  return doubtful ? "possible-copy" : "original";
}

export const nextPrint = (entries: readonly EntryBody[]): number => all(entries, "print-intent").length + 1;

export function ticketOf(entries: readonly EntryBody[]): PaymentView["ticket"] {
  if (find(entries, "decision")?.outcome !== "approved") return "none";
  if (all(entries, "printed").some((printed) => printed.result === "proven")) return "printed";
  if (nextMarking(entries) === "possible-copy") return "possibly-printed";
  return find(entries, "void") ? "none" : "pending";
}

/** What counts of a payment's entries, and where the newest of them is: a void that the hub declined took nothing back. */
export function standing(
  journal: Pick<Journal, "entriesOf" | "queue">,
  id: PaymentId,
): readonly [entries: readonly EntryBody[], queue: QueueState | undefined] {
  const queued = journal.queue({ paymentId: id });
  const declined = queued.filter(({ kind, state }) => kind === "void" && state === "declined");
  const entries = journal
    .entriesOf(id)
    .filter((entry) => !declined.some(({ sequence }) => sequence === entry.sequence));
  return [entries.map(({ body }) => body), queued.findLast((entry) => !declined.includes(entry))?.state];
}

/** The view of a payment whose entries are in the journal; undefined when there is no intent among them. */
export function viewOf(entries: readonly EntryBody[], queue: QueueState | undefined): PaymentView | undefined {
  const intent = find(entries, "intent");
  if (!intent) return undefined;
  const decision = find(entries, "decision");
  const voided = find(entries, "void");
  const completed = find(entries, "completed");
  return {
    id: intent.paymentId as PaymentId,
    operation: intent.operation,
    status: voided ? "voided" : (decision?.outcome ?? "processing"),
    amount: fromWireMoney(intent.amount),
    ...(intent.cashback === undefined ? {} : { cashback: fromWireMoney(intent.cashback) }),
    ...(intent.reference === undefined ? {} : { reference: intent.reference }),
    ...(intent.originalPaymentId === undefined ? {} : { originalId: intent.originalPaymentId }),
    ...(decision ? decided(decision) : {}),
    ...(completed === undefined ? {} : { completedBy: completed.completionId }),
    ticket: ticketOf(entries),
    ...(queue === undefined ? {} : { queue }),
    startedAt: intent.at,
  };
}

/** What was just stored, as its caller sees it: an approval waits for the hub, nothing else does. */
export function viewOfStored(stored: readonly EntryBody[]): PaymentView {
  const approved = stored.some((body) => body.kind === "decision" && body.outcome === "approved");
  return present(viewOf(stored, approved ? "eligible" : undefined), "the view of a decided payment");
}

function decided(decision: EntryOf<"decision">): Partial<PaymentView> {
  return {
    mode: decision.mode,
    ...(decision.deferred ? { deferred: true as const } : {}),
    decidedAt: decision.at,
    ...(decision.reason === undefined ? {} : { reason: decision.reason }),
    ...(decision.detail === undefined ? {} : { detail: decision.detail }),
    ...(decision.responseCode === undefined ? {} : { responseCode: decision.responseCode }),
    ...(decision.approvalCode === undefined ? {} : { approvalCode: decision.approvalCode }),
    ...(decision.heldUntil === undefined ? {} : { heldUntil: decision.heldUntil }),
    ...(decision.card === undefined ? {} : { card: decision.card }),
    ...(decision.code === undefined ? {} : { maskedAccount: decision.code.maskedAccount }),
    ...(decision.note === undefined ? {} : { payingDevice: decision.note.deviceId }),
  };
}
