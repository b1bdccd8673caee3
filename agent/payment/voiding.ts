/** What of a payment can be voided (RM12), and why it cannot be. */
import type { EntryOf } from "../../wire/journal-entry.ts";
import type { JournalEntry, QueueState } from "../journal/journal.ts";
import type { VoidRefusal } from "./payments.ts";

type ForwardedApproval = JournalEntry & { readonly forward: number; readonly body: EntryOf<"decision"> };
export const isForwardedApproval = (entry: JournalEntry): entry is ForwardedApproval =>
  entry.forward !== undefined && entry.body.kind === "decision" && entry.body.outcome === "approved";

export function voidRefusal(state: QueueState | "not-found"): VoidRefusal {
  if (state === "forwarding")
    return { why: "forwarding", detail: "it is on its way to the hub; wait for its receipt, then refund it" };
  if (state === "not-found") return { why: "not-found", detail: "its entry is not in the queue" };
  return { why: "already-processed", detail: `the hub has it already (${state}); refund it instead` };
}
