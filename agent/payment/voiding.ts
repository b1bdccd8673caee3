/** What of a payment can be voided (RM12), and why it cannot be. */
import type { PaymentId } from "../../base/ids.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import type { JournalEntry, QueueState } from "../journal/journal.ts";
import type { PaymentView, VoidRefusal } from "./payments.ts";

type ForwardedApproval = JournalEntry & { readonly forward: number; readonly body: EntryOf<"decision"> };
export const isForwardedApproval = (entry: JournalEntry): entry is ForwardedApproval =>
  entry.forward !== undefined && entry.body.kind === "decision" && entry.body.outcome === "approved";

/** None of its entries is here. */
export function nothingToVoid(id: PaymentId, archived: PaymentView | undefined): VoidRefusal {
  if (!archived) return { why: "not-found", detail: `no payment ${id} here` };
  const instead = archived.operation === "pre-authorisation" ? "what it holds ends with its time" : "refund it instead";
  const detail = `payment ${id} is ${archived.status}, and its entries are in an archive of the journal, where none is voided; ${instead}`;
  return { why: "already-processed", detail };
}

export function voidRefusal(state: QueueState | "not-found"): VoidRefusal {
  if (state === "forwarding")
    return { why: "forwarding", detail: "it is on its way to the hub; wait for its receipt, then refund it" };
  if (state === "not-found") return { why: "not-found", detail: "its entry is not in the queue" };
  return { why: "already-processed", detail: `the hub has it already (${state}); refund it instead` };
}
