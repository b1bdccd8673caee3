/**
 * What a person sees of the queue and may do to one entry of it: force it ahead of others, have the hub asked again about one
 * that it set aside, or end one. Each act is stored with who did it and why, in the same commit as what it moves.
 */
import type { PaymentId } from "../../base/ids.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { EntryBody, EntryOf } from "../../wire/journal-entry.ts";
import type { Journal, JournalEntry, QueueEntry, QueueFilter, QueueState } from "../journal/journal.ts";
import type { ForceRefusal, Forwarder } from "./forwarder.ts";
import { type Asked, whatToDo } from "./queue-words.ts";

export interface QueueActionsOptions {
  readonly journal: Pick<Journal, "queue" | "entriesOf" | "act" | "appendVoid">;
  readonly forwarder: Pick<Forwarder, "waitOf" | "whyNot" | "force">;
  readonly payments: { cancelling<T>(id: PaymentId, work: () => Promise<T>): Promise<Result<T, string>> };
  /** Milliseconds since 1970 as well as they are known. */
  readonly now: () => number;
}

export type QueueAction = EntryOf<"queue-action">["action"];

/** Who acts, and why: both are kept for good. */
export interface Actor {
  readonly by: string;
  readonly why: string;
}

/** An entry as a person sees it. */
export interface QueueView extends QueueEntry {
  readonly ageSec: number;
  /** Of one that rests between two tries. */
  readonly nextTryInSec?: number;
  /** Why its last sending got no receipt, or what the hub had against it. */
  readonly lastError?: string;
}

export interface QueueDetail extends QueueView {
  readonly actions: readonly (Actor & { readonly action: QueueAction; readonly at: string })[];
  /** One sentence. */
  readonly whatToDo: string;
}

/** `state`: another state would allow it. `link-down`: another time would. */
export interface QueueRefusal {
  readonly why: "not-found" | "ambiguous" | "state" | "link-down";
  readonly detail: string;
}

const SEQUENCE = /^#?(\d{1,15})$/;
const IS_OPEN: readonly QueueState[] = ["eligible", "forwarding"];

/** Entries that each act is for. */
const FOR: Readonly<Record<QueueAction, readonly QueueState[]>> = {
  force: IS_OPEN,
  retry: ["quarantined"],
  cancel: ["eligible", "quarantined"],
};

export class QueueActions {
  readonly #options: QueueActionsOptions;

  constructor(options: QueueActionsOptions) {
    this.#options = options;
  }

  list(filter: QueueFilter): readonly QueueView[] {
    return this.#options.journal.queue(filter).map((entry) => this.#view(entry));
  }

  /** The entry with this sequence, also written `#12`, or all entries of the payment with this id. */
  show(id: string): Result<readonly QueueDetail[], QueueRefusal> {
    const found = this.#find(id);
    return found.ok ? ok(found.value.map((entry) => this.#detail(entry))) : found;
  }

  async force(id: string, actor: Actor): Promise<Result<QueueDetail, QueueRefusal>> {
    const target = this.#target(id, "force");
    if (!target.ok) return target;
    const { forwarder, journal } = this.#options;
    const { sequence } = target.value;
    const refusal = forwarder.whyNot(sequence);
    if (refusal) return fail(forceRefusal(sequence, refusal));
    const stored = await journal.act(this.#action("force", target.value, actor));
    if (!stored.ok) return fail(stateRefusal("force", sequence, stored.error));
    const forced = forwarder.force(sequence);
    return forced.ok ? this.#done(sequence) : fail(forceRefusal(sequence, forced.error));
  }

  async retry(id: string, actor: Actor): Promise<Result<QueueDetail, QueueRefusal>> {
    const target = this.#target(id, "retry");
    if (!target.ok) return target;
    const { sequence } = target.value;
    const stored = await this.#options.journal.act(this.#action("retry", target.value, actor));
    return stored.ok ? this.#done(sequence) : fail(stateRefusal("retry", sequence, stored.error));
  }

  /** RM12: an appended void ends it; one that tells the hub to close the entry where the hub set it aside. */
  async cancel(id: string, actor: Actor): Promise<Result<QueueDetail, QueueRefusal>> {
    const target = this.#target(id, "cancel");
    if (!target.ok) return target;
    const { sequence, paymentId } = target.value;
    const { journal, payments } = this.#options;
    const approval = cancellable(sequence, journal.entriesOf(paymentId));
    if (!approval.ok) return fail({ why: "state", detail: approval.error });
    const voiding = voidOf(approval.value, { at: this.#at(), reason: actor.why });
    const ended = await payments.cancelling(paymentId, () =>
      journal.appendVoid(voiding, this.#action("cancel", target.value, actor)),
    );
    if (!ended.ok) return fail({ why: "state", detail: `cannot cancel entry ${sequence}: ${ended.error}` });
    return ended.value.ok ? this.#done(sequence) : fail(stateRefusal("cancel", sequence, ended.value.error));
  }

  #done(sequence: number): Result<QueueDetail, QueueRefusal> {
    const [entry] = this.#options.journal.queue({ sequence });
    return entry ? ok(this.#detail(entry)) : fail(notFound(`#${sequence}`));
  }

  /** Of a payment's entries, the one that the act is for; else its first, which then says why not. */
  #target(id: string, action: QueueAction): Result<QueueEntry, QueueRefusal> {
    const found = this.#find(id);
    if (!found.ok) return found;
    const target = found.value.find((entry) => FOR[action].includes(entry.state)) ?? found.value[0];
    if (!target) return fail(notFound(id));
    return FOR[action].includes(target.state) ? ok(target) : fail(stateRefusal(action, target.sequence, target.state));
  }

  #find(id: string): Result<readonly QueueEntry[], QueueRefusal> {
    const { journal } = this.#options;
    const digits = SEQUENCE.exec(id)?.[1];
    const bySequence = digits === undefined ? [] : journal.queue({ sequence: Number(digits) });
    const byPayment = id.startsWith("#") ? [] : journal.queue({ paymentId: id as PaymentId });
    const [entry] = bySequence;
    if (entry && byPayment.length > 0 && entry.paymentId !== id) {
      const detail = `${id} is both the number of an entry and the id of a payment; say #${id} for the entry`;
      return fail({ why: "ambiguous", detail });
    }
    const found = byPayment.length > 0 ? byPayment : bySequence;
    return found.length > 0 ? ok(found) : fail(notFound(id));
  }

  #view(entry: QueueEntry): QueueView {
    const ageSec = Math.max(0, Math.floor((this.#options.now() - Date.parse(entry.at)) / 1_000));
    if (!IS_OPEN.includes(entry.state)) {
      const said = [entry.reason, entry.detail].filter((word) => word !== undefined).join(" ");
      return { ...entry, ageSec, ...(said === "" ? {} : { lastError: said }) };
    }
    const { nextTryInMs, lastError } = this.#options.forwarder.waitOf(entry.sequence);
    return {
      ...entry,
      ageSec,
      ...(nextTryInMs === undefined ? {} : { nextTryInSec: Math.ceil(nextTryInMs / 1_000) }),
      ...(lastError === undefined ? {} : { lastError }),
    };
  }

  #detail(entry: QueueEntry): QueueDetail {
    const { journal, forwarder } = this.#options;
    const entries = journal.entriesOf(entry.paymentId);
    const actions = entries.flatMap(({ body }) => actionOn(entry.sequence, body));
    return {
      ...this.#view(entry),
      actions,
      whatToDo: whatToDo(this.#asked(entry, entries), forwarder.waitOf(entry.sequence)),
    };
  }

  #asked(entry: QueueEntry, entries: readonly JournalEntry[]): Asked {
    const { sequence, paymentId, kind, state } = entry;
    const mayCancel = FOR.cancel.includes(state) && cancellable(sequence, entries).ok;
    const asked = { sequence, paymentId, state, mayCancel };
    if (kind === "reversal" || kind === "void") return { ...asked, subject: kind };
    const body = entries.find((each) => each.sequence === sequence)?.body;
    const subject = body?.kind === "decision" ? body.operation : "purchase";
    const voided = this.#options.journal.queue({ paymentId }).findLast((each) => each.kind === "void")?.state;
    return { ...asked, subject, ...(voided === undefined ? {} : { voided }) };
  }

  #action(action: QueueAction, { sequence, paymentId }: QueueEntry, { by, why }: Actor): EntryOf<"queue-action"> {
    return { kind: "queue-action", paymentId, at: this.#at(), action, targetSequence: sequence, by, why };
  }

  #at(): string {
    return new Date(this.#options.now()).toISOString();
  }
}

const NOT_CANCELLED = "no approved sale or pre-authorisation; nothing else can be cancelled";

function actionOn(sequence: number, body: EntryBody): QueueDetail["actions"] {
  if (body.kind !== "queue-action" || body.targetSequence !== sequence) return [];
  const { action, at, by, why } = body;
  return [{ action, at, by, why }];
}

type Approval = JournalEntry & { readonly forward: number; readonly body: EntryOf<"decision"> };

function isCancellable(entry: JournalEntry): entry is Approval {
  const { body, forward } = entry;
  if (forward === undefined || body.kind !== "decision" || body.outcome !== "approved") return false;
  return body.operation === "purchase" || body.operation === "pre-authorisation";
}

/** The approval that a cancel of this entry takes back; else why none is, whatever its state. */
function cancellable(sequence: number, entries: readonly JournalEntry[]): Result<Approval, string> {
  const entry = entries.find((each) => each.sequence === sequence);
  if (!entry || !isCancellable(entry)) return fail(`entry ${sequence} is ${NOT_CANCELLED}`);
  // The hub would refuse the completion after it, for which the customer has a receipt.
  const completed = entries.map(({ body }) => body).find((body) => body.kind === "completed");
  if (!completed) return ok(entry);
  const { completionId } = completed;
  return fail(`cannot cancel entry ${sequence}: it was completed by payment ${completionId}; refund that instead`);
}

function voidOf(
  { body, sequence, forward }: Approval,
  { at, reason }: { readonly at: string; readonly reason: string },
): EntryOf<"void"> {
  const { paymentId, amount, attempts } = body;
  return { kind: "void", paymentId, at, voidedSequence: sequence, voidedForward: forward, amount, attempts, reason };
}

const notFound = (id: string): QueueRefusal => ({
  why: "not-found",
  detail: `no entry ${id} is in the queue; see tillway queue list`,
});

function forceRefusal(sequence: number, refusal: ForceRefusal): QueueRefusal {
  switch (refusal.why) {
    case "link-down":
      return { why: "link-down", detail: "the hub is out of reach; it goes by itself when the link is back" };
    case "behind":
      return {
        why: "state",
        detail: `entry ${refusal.sequence} of the same account goes before entry ${sequence}; force that one`,
      };
    case "not-waiting":
      return { why: "state", detail: `entry ${sequence} does not wait any more` };
  }
}

const STATE_WORDS: Readonly<Record<QueueState | "not-found", string>> = {
  eligible: "waits for the hub and was not refused by it",
  forwarding: "may be at the hub; wait for its receipt",
  processed: "was taken by the hub; refund the payment instead, or void it if it is a pre-authorisation",
  declined: "was refused by the hub for good",
  expired: "came too late to be authorised",
  quarantined: "is set aside by the hub; tillway queue show says what to do",
  voided: "was cancelled before",
  "not-found": "is of a kind that this cannot be done to",
};

const stateRefusal = (action: QueueAction, sequence: number, state: QueueState | "not-found"): QueueRefusal => ({
  why: "state",
  detail: `cannot ${action} entry ${sequence}: it ${STATE_WORDS[state]}`,
});
