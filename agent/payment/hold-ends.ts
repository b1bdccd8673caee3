/** How pre-authorisations end: completed or cancelled, once, also where several ask for it at one moment (RM4). */
import type { PaymentId } from "../../base/ids.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { EntryBody, EntryOf } from "../../wire/journal-entry.ts";
import type { Journal, JournalEntry, QueueState } from "../journal/journal.ts";
import { type CompletionDeps, completionRefusal, runCompletion } from "./completion.ts";
import type { CompletionRequest, PaymentView, StartRefusal, VoidRefusal } from "./payments.ts";

type Voided = Result<unknown, QueueState | "not-found">;

type Voiding = Pick<Journal, "append" | "appendVoid" | "queue">;

export class HoldEnds {
  readonly #completing = new Set<PaymentId>();
  readonly #voiding = new Map<PaymentId, Promise<Voided>>();
  readonly #cancelling = new Set<PaymentId>();

  /** Why there is nothing to complete. `leastMs`: so late it is certainly in hub time. */
  refusal(request: CompletionRequest, original: PaymentView | undefined, leastMs: number): StartRefusal | undefined {
    const { originalId } = request;
    if (this.#voiding.has(originalId) || this.#cancelling.has(originalId))
      return { why: "already-processed", detail: `pre-authorisation ${originalId} is being cancelled` };
    return this.#underCompletion(originalId) ?? completionRefusal(request, original, leastMs);
  }

  async complete(deps: CompletionDeps, request: CompletionRequest): Promise<readonly EntryBody[]> {
    this.#completing.add(request.originalId);
    try {
      return await runCompletion(deps, request);
    } finally {
      this.#completing.delete(request.originalId);
    }
  }

  /** Why an approval is of no kind that is taken back here, or not any more. */
  voidRefusal(entries: readonly JournalEntry[], target: EntryOf<"decision"> | undefined): VoidRefusal | undefined {
    if (!target) return { why: "not-approved", detail: "only an approved sale or pre-authorisation can be voided" };
    const { paymentId, operation } = target;
    if (operation !== "purchase" && operation !== "pre-authorisation")
      return { why: "not-approved", detail: `payment ${paymentId} is a ${operation}, which ${NOT_VOIDED[operation]}` };
    const completed = entries.map(({ body }) => body).find((body) => body.kind === "completed");
    if (!completed) return this.#underCompletion(paymentId);
    const detail = `it was completed by payment ${completed.completionId}; refund that instead`;
    return { why: "already-processed", detail };
  }

  /** Does `work`, which cancels it in the queue, and lets nobody complete it until that has ended; fails where somebody does already. */
  async cancelling<T>(id: PaymentId, work: () => Promise<T>): Promise<Result<T, string>> {
    const completion = this.#underCompletion(id);
    if (completion) return fail(completion.detail);
    this.#cancelling.add(id);
    try {
      return ok(await work());
    } finally {
      this.#cancelling.delete(id);
    }
  }

  /** A pre-authorisation moved no money yet, so that the hub gives back what it holds whatever became of the entry. */
  void(journal: Voiding, operation: EntryOf<"decision">["operation"], body: EntryOf<"void">): Promise<Voided> {
    if (operation !== "pre-authorisation") return journal.appendVoid(body);
    const { paymentId } = body;
    const voiding = this.#voiding.get(paymentId) ?? cancelHold(journal, body);
    this.#voiding.set(paymentId, voiding);
    return voiding.finally(() => this.#voiding.delete(paymentId));
  }

  #underCompletion(id: PaymentId) {
    if (!this.#completing.has(id)) return undefined;
    return { why: "already-processed", detail: `pre-authorisation ${id} is being completed` } as const;
  }
}

const NOT_VOIDED = {
  completion: "is not voided; refund it instead",
  tip: "is not voided; refund it instead",
  refund: "cannot be taken back",
} as const;

async function cancelHold(journal: Voiding, body: EntryOf<"void">): Promise<Voided> {
  const before = journal.queue({ paymentId: body.paymentId }).find(({ kind }) => kind === "void");
  // The hub had it completed.
  if (before) return before.state === "declined" ? fail("processed") : ok(undefined);
  const voided = await journal.appendVoid(body);
  if (voided.ok || voided.error === "voided") return voided;
  // It may be at the hub, who is told behind it.
  await journal.append([{ body, forward: true }]);
  return ok(undefined);
}
