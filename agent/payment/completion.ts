/** Completes a pre-authorisation: decided from this terminal's own journal, so that it works with the hub away. */
import type { PaymentId } from "../../base/ids.ts";
import { toWireMoney } from "../../wire/common.ts";
import type { EntryBody, EntryOf } from "../../wire/journal-entry.ts";
import type { Journal, JournalEntry } from "../journal/journal.ts";
import type { CompletionRequest, PaymentStage, PaymentView, StartRefusal } from "./payments.ts";

export interface CompletionDeps {
  readonly journal: Pick<Journal, "append" | "entriesOf">;
  readonly now: () => number;
  readonly businessDate: (atMs: number) => string;
  readonly onStage: (id: PaymentId, stage: PaymentStage) => void;
}

/** Why there is nothing to complete, or not with this amount. `leastMs`: so late it is certainly in hub time. */
export function completionRefusal(
  { id, originalId, amount }: CompletionRequest,
  original: PaymentView | undefined,
  leastMs: number,
): StartRefusal | undefined {
  if (id === originalId)
    return { why: "not-allowed", detail: "a completion needs an id of its own, not that of its pre-authorisation" };
  const named = `pre-authorisation ${originalId}`;
  if (!original) return { why: "not-found", detail: `${named} is not known at this terminal` };
  if (original.operation !== "pre-authorisation")
    return { why: "not-allowed", detail: `payment ${originalId} is a ${original.operation}, which nobody completes` };
  if (original.completedBy !== undefined)
    return { why: "already-processed", detail: `${named} was completed by payment ${original.completedBy}` };
  if (original.status === "voided") return { why: "already-processed", detail: `${named} was cancelled` };
  if (original.status !== "approved")
    return { why: "not-approved", detail: `${named} is ${original.status}; nothing is held` };
  if (amount.currency !== original.amount.currency)
    return { why: "not-allowed", detail: `${named} is in ${original.amount.currency}` };
  if (amount.minor > original.amount.minor)
    return { why: "too-much", detail: `a completion never exceeds what was authorised: ${named}` };
  if (!original.card) return { why: "not-allowed", detail: `the entries of ${named} are in an archive of the journal` };
  if (original.heldUntil === undefined || leastMs < Date.parse(original.heldUntil)) return undefined;
  return { why: "expired", detail: `${named} was held until ${original.heldUntil}; take a new payment` };
}

/** Decision and all in one commit: there is nothing between that a crash could leave. */
export async function runCompletion(
  deps: CompletionDeps,
  { id, originalId, amount }: CompletionRequest,
): Promise<readonly EntryBody[]> {
  const { journal, onStage } = deps;
  const held = journal.entriesOf(originalId).find(isApproval);
  if (!held) throw new Error(`broken invariant: ${originalId} was found approved`);
  const at = new Date(deps.now()).toISOString();
  const head = { paymentId: id, at, operation: "completion" as const, amount: toWireMoney(amount) };
  const { approvalCode, card } = held.body;
  const intent: EntryBody = { ...head, kind: "intent", originalPaymentId: originalId };
  const decision: EntryBody = {
    ...head,
    kind: "decision",
    outcome: "approved",
    // The hub decided it, when it authorised the amount.
    mode: "online",
    attempts: [],
    originalPaymentId: originalId,
    ...(approvalCode === undefined ? {} : { approvalCode }),
    ...(card === undefined ? {} : { card: unsigned(card) }),
    businessDate: deps.businessDate(deps.now()),
  };
  const completed: EntryBody = { kind: "completed", paymentId: originalId, at, completionId: id };
  onStage(id, "decision-ready");
  await journal.append([{ body: intent }, { body: decision, forward: true }, { body: completed }]);
  onStage(id, "decision-stored");
  return [intent, decision];
}

type Approval = JournalEntry & { readonly body: EntryOf<"decision"> };
const isApproval = (entry: JournalEntry): entry is Approval =>
  entry.body.kind === "decision" && entry.body.outcome === "approved";

/** Nobody is there to sign; the customer did so for the pre-authorisation. */
function unsigned({ signature: _, ...card }: NonNullable<EntryOf<"decision">["card"]>) {
  return card;
}
