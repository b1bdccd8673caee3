/** The payments of one terminal: starts them, lets repeats attach (RM4), ends them, and shows them. */
import { abortable } from "../../base/clock.ts";
import type { Lane } from "../../base/daemon.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { type JournalEntry, NOTHING_TAKEN } from "../journal/journal.ts";
import type { HubClock } from "../uplink/hub.ts";
import { type Asked, archivedView, askedFirst, differingField } from "./asked.ts";
import { cashbackRefusal } from "./cashback.ts";
import { HoldEnds } from "./hold-ends.ts";
import { standing, viewOf, viewOfStored } from "./payment-view.ts";
import type {
  CancelRefusal,
  CompletionRequest,
  PaymentEvent,
  PaymentStage,
  Payments,
  PaymentView,
  PurchaseRequest,
  RefundRequest,
  ReprintRefusal,
  SaleTimings,
  SignatureRefusal,
  StartRefusal,
  TipRequest,
  VoidRefusal,
} from "./payments.ts";
import { runPurchase } from "./purchase.ts";
import type { PurchaseDeps } from "./purchase-deps.ts";
import type { AnswerFirst } from "./reader-lane.ts";
import { type KnownRefund, runRefund } from "./refund.ts";
import { refundable } from "./refundable.ts";
import { type SignatureCheck, Signatures } from "./signature.ts";
import type { TicketPrinter } from "./ticket-printer.ts";
import { tipRefusal } from "./tip.ts";
import { isForwardedApproval, nothingToVoid, voidRefusal } from "./voiding.ts";

/** Tills beside one terminal; more waiting customers than this are turned away. */
const RUNNING_MAX = 16;
/** More than the dialogue with a card and the wait for the hub may take together. */
const AFTER_CARD_MS = 120_000;
/** For whom the timings of a sale are kept: who asks right after it. */
const TIMINGS_MAX = 64;

export interface DeskOptions extends Omit<PurchaseDeps, "onStage" | "onHint" | "onTimings"> {
  readonly tickets: TicketPrinter;
  readonly answerFirst: AnswerFirst;
  readonly hubClock: HubClock;
  /** Sees every stage before anything later happens. */
  readonly onStage: (id: PaymentId, stage: PaymentStage) => void;
  /** The journal failed: what is on disk is unknown, so the agent must stop and read it again. */
  readonly onFatal: (error: unknown) => void;
}

interface Running {
  readonly asked: Asked;
  readonly startedAt: string;
  readonly cancel: AbortController;
  readonly done: Promise<PaymentView>;
  stage: PaymentStage;
  /** Of this stage. */
  hint?: string | undefined;
  /** On the monotonic clock: when it reached its stage. */
  movedMs: number;
}

/** Where a cancellation can still end a payment: before the card is worked with, or while the hub is waited for. */
const CANCELLABLE: ReadonlySet<PaymentStage> = new Set<PaymentStage>([
  "accepted",
  "intent-stored",
  "online-request-stored",
  "online-request-sent",
]);

export class PaymentDesk implements Payments {
  readonly #options: DeskOptions;
  readonly #purchaseDeps: PurchaseDeps;
  readonly #signatures: Signatures;
  readonly #holds = new HoldEnds();
  readonly cancelling: Payments["cancelling"] = (id, work) => this.#holds.cancelling(id, work);
  readonly #running = new Map<PaymentId, Running>();
  readonly #listeners = new Set<(event: PaymentEvent) => void>();
  readonly #timings = new Map<PaymentId, SaleTimings>();
  #draining = false;

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#purchaseDeps = {
      ...options,
      // As they are when a note comes: what showed its challenge must take it.
      get notes() {
        return options.notes;
      },
      onStage: this.#onStage,
      onHint: this.#onHint,
      onTimings: this.#onTimings,
    };
    this.#signatures = new Signatures({ payments: this, journal: options.journal, now: options.now });
  }

  get running(): number {
    return this.#running.size;
  }

  /** A payment that moves no further, though its customer, its card and the hub all have limits, stands still. */
  get lane(): Lane {
    const moved = [...this.#running.values()].map((running) => running.movedMs);
    const lastProgressMs = Math.min(this.#options.clock.monotonic(), ...moved);
    const limitMs = this.#options.cardTimeoutMs + AFTER_CARD_MS;
    return { name: "payments", lastProgressMs, idle: moved.length === 0, limitMs };
  }

  /** Stopping: nothing new is taken. */
  get draining(): boolean {
    return this.#draining;
  }

  begin(request: PurchaseRequest): Result<PaymentView, StartRefusal> {
    const asked: Asked = {
      operation: request.operation ?? "purchase",
      amount: request.amount,
      ...(request.cashback === undefined ? {} : { cashback: request.cashback }),
      ...(request.reference === undefined ? {} : { reference: request.reference }),
    };
    const refusal = this.#askedFirst(request.id) ? undefined : cashbackRefusal(request, this.#options.cashbackMaxMinor);
    if (refusal) return fail(refusal);
    return this.#start(request.id, asked, async (cancel) =>
      viewOfStored(await runPurchase(this.#purchaseDeps, request, cancel)),
    );
  }

  beginRefund(request: RefundRequest): Result<PaymentView, StartRefusal> {
    // A repeat is judged by what was asked first, whatever became of the original since (RM4).
    const known = this.#askedFirst(request.id);
    const amount = known ? ok(request.amount ?? known.amount) : refundable(request, this.get(request.originalId));
    return amount.ok ? this.#follow({ ...request, operation: "refund", amount: amount.value }) : amount;
  }

  beginTip(request: TipRequest): Result<PaymentView, StartRefusal> {
    const refusal = this.#askedFirst(request.id) ? undefined : tipRefusal(request, this.get(request.originalId));
    return refusal ? fail(refusal) : this.#follow({ ...request, operation: "tip" });
  }

  beginCompletion(request: CompletionRequest): Result<PaymentView, StartRefusal> {
    const { id, originalId, amount } = request;
    const known = this.#askedFirst(id);
    const leastMs = this.#options.hubClock.now().at;
    const refusal = known ? undefined : this.#holds.refusal(request, this.get(originalId), leastMs);
    if (refusal) return fail(refusal);
    const deps = { ...this.#options, onStage: this.#onStage };
    return this.#start(id, { operation: "completion", amount, originalId }, async () =>
      viewOfStored(await this.#holds.complete(deps, request)),
    );
  }

  async ended(id: PaymentId, signal: AbortSignal): Promise<PaymentView> {
    const running = this.#running.get(id);
    const view = running ? await abortable(running.done, signal) : this.get(id);
    if (!view) throw new Fault("aborted", `no payment ${id} here`);
    return view;
  }

  get(id: PaymentId): PaymentView | undefined {
    const running = this.#running.get(id);
    if (running) return this.#runningView(id, running);
    return viewOf(...standing(this.#options.journal, id)) ?? this.#archived(id);
  }

  timingsOf(id: PaymentId): SaleTimings | undefined {
    return this.#timings.get(id);
  }

  recent(limit: number): readonly PaymentView[] {
    return this.#options.journal.recentPayments(limit).flatMap((id) => this.get(id) ?? []);
  }

  cancel(id: PaymentId): Result<PaymentView, CancelRefusal> {
    const running = this.#running.get(id);
    if (!running) {
      const view = this.get(id);
      if (!view) return fail({ why: "not-found", detail: `no payment ${id} here` });
      return fail({ why: "too-late", detail: `payment ${id} has ended: ${view.status}` });
    }
    if (!CANCELLABLE.has(running.stage)) {
      return fail({
        why: "too-late",
        detail: "the card is being worked with; wait for the outcome, then void or refund",
      });
    }
    running.cancel.abort(new Fault("aborted", "cancelled"));
    return ok(this.#runningView(id, running));
  }

  async void(id: PaymentId, reason: string | undefined): Promise<Result<PaymentView, VoidRefusal>> {
    const entries = this.#entries(id);
    if (entries.length === 0) return fail(nothingToVoid(id, this.#archived(id)));
    const target = entries.find(isForwardedApproval);
    const refusal = this.#holds.voidRefusal(entries, target?.body);
    if (refusal || !target) return fail(refusal ?? voidRefusal("not-found"));
    const { operation, amount, attempts } = target.body;
    const body: EntryOf<"void"> = {
      kind: "void",
      paymentId: id,
      at: this.#at(),
      voidedSequence: target.sequence,
      voidedForward: target.forward,
      amount,
      attempts,
      ...(reason === undefined ? {} : { reason }),
    };
    const voided = await this.#holds.void(this.#options.journal, operation, body);
    // The same void again, or two at once: there is one, and both get its answer.
    if (!voided.ok) return voided.error === "voided" ? this.#viewed(id) : fail(voidRefusal(voided.error));
    this.#emitEnded(id);
    return this.#viewed(id);
  }

  checkSignature(check: SignatureCheck): Promise<Result<PaymentView, VoidRefusal | SignatureRefusal>> {
    return this.#signatures.check(check);
  }

  async reprint(id: PaymentId): Promise<Result<PaymentView, ReprintRefusal>> {
    const view = this.get(id);
    if (!view) return fail({ why: "not-found", detail: `no payment ${id} here` });
    if (view.ticket === "none" || view.status === "voided")
      return fail({ why: "nothing-to-print", detail: `payment ${id} is ${view.status}` });
    const printed = await this.#options.tickets.copy(id);
    if (printed === "printed") return this.#viewed(id);
    return fail(NO_PRINTER);
  }

  async printChallenge(id: PaymentId): Promise<Result<PaymentView, ReprintRefusal>> {
    const view = this.get(id);
    if (!view) return fail({ why: "not-found", detail: `no payment ${id} here` });
    if (view.challenge === undefined)
      return fail({ why: "nothing-to-print", detail: `payment ${id} awaits no phone that could answer on paper` });
    const printed = await this.#options.tickets.challenge(view.challenge, view.amount);
    return printed === "printed" ? this.#viewed(id) : fail(NO_PRINTER);
  }

  onEvent(listener: (event: PaymentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A ticket changed on paper; told to those who watch. */
  ticketChanged(id: PaymentId): void {
    const payment = this.get(id);
    if (payment) this.#emit({ type: "payment.ticket", payment });
  }

  /** Takes nothing new, cancels who still waits for a card, and waits for the rest. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    for (const running of this.#running.values()) {
      if (running.stage === "accepted" || running.stage === "intent-stored")
        running.cancel.abort(new Fault("aborted", "stopping"));
    }
    const all = Promise.all([...this.#running.values()].map((running) => running.done));
    await abortable(all, signal);
  }

  #follow(refund: KnownRefund): Result<PaymentView, StartRefusal> {
    const { id, operation, amount, originalId } = refund;
    return this.#start(id, { operation, amount, originalId }, async (cancel) => {
      await runRefund({ ...this.#options, onStage: this.#onStage }, refund, cancel);
      return viewOfStored(bodies(this.#entries(id)));
    });
  }

  #start(
    id: PaymentId,
    asked: Asked,
    work: (cancel: AbortSignal) => Promise<PaymentView>,
  ): Result<PaymentView, StartRefusal> {
    const known = this.#askedFirst(id);
    if (known) {
      const field = differingField(known, asked);
      return field ? fail({ why: "conflict", field }) : this.#viewed(id);
    }
    if (this.#draining) return fail({ why: "draining", detail: "the terminal is stopping and takes no new payments" });
    if (this.#running.size >= RUNNING_MAX)
      return fail({ why: "busy", detail: `${RUNNING_MAX} payments are running already` });
    const cancel = new AbortController();
    const { promise: done, resolve, reject } = Promise.withResolvers<PaymentView>();
    done.catch(() => undefined);
    this.#running.set(id, {
      asked,
      startedAt: this.#at(),
      cancel,
      done,
      stage: "accepted",
      movedMs: this.#options.clock.monotonic(),
    });
    this.#onStage(id, "accepted");
    void work(cancel.signal).then(
      (view) => {
        this.#running.delete(id);
        resolve(view);
        this.#options.answerFirst(() => {
          this.#options.onStage(id, "answered");
          this.#emit({ type: "payment.ended", payment: view });
          this.#options.tickets.wake();
        });
      },
      (error: unknown) => {
        reject(error);
        this.#options.log.error("a payment could not be stored", { paymentId: id, why: reasonOf(error) });
        if (this.#neverBegan(id, error)) this.#running.delete(id);
        else this.#options.onFatal(error);
      },
    );
    return this.#viewed(id);
  }

  /** What this id was asked for first, however long ago. */
  #askedFirst(id: PaymentId): Asked | undefined {
    return this.#running.get(id)?.asked ?? askedFirst(this.#options.journal, id);
  }

  #archived(id: PaymentId): PaymentView | undefined {
    const archived = this.#options.journal.archived(id);
    return archived && archivedView(id, archived);
  }

  /** The disk took not even the intent, and said so: no card was asked for. Where it cannot be read, nothing is known. */
  #neverBegan(id: PaymentId, error: unknown): boolean {
    try {
      return isFault(error, ...NOTHING_TAKEN) && this.#entries(id).length === 0;
    } catch {
      return false;
    }
  }

  readonly #onStage = (id: PaymentId, stage: PaymentStage): void => {
    const running = this.#running.get(id);
    if (running) {
      running.stage = stage;
      running.hint = undefined;
      running.movedMs = this.#options.clock.monotonic();
    }
    this.#options.onStage(id, stage);
    this.#emit({ type: "payment.stage", id, stage });
  };

  readonly #onHint = (id: PaymentId, detail: string): void => {
    const running = this.#running.get(id);
    if (running) running.hint = detail;
    this.#emit({ type: "payment.hint", id, detail });
  };

  readonly #onTimings = (id: PaymentId, timings: SaleTimings): void => {
    this.#timings.set(id, timings);
    const [oldest] = this.#timings.keys();
    if (this.#timings.size > TIMINGS_MAX && oldest !== undefined) this.#timings.delete(oldest);
  };

  #runningView(id: PaymentId, { asked, stage, startedAt, hint }: Running): PaymentView {
    const { notes, leases } = this.#options;
    const { amount } = asked;
    const waits =
      asked.operation === "purchase" && !asked.cashback && (stage === "accepted" || stage === "intent-stored");
    // A phone counts a note as spent the moment it shows it: none is asked for that could not be taken.
    const taken = notes && waits && leases.hasRoom({ amount, means: "note" });
    const challenge = taken ? { challenge: notes.challenge({ paymentId: id, amount }) } : {};
    const detail = hint === undefined ? {} : { detail: hint };
    return { id, ...asked, status: "processing", stage, ticket: "none", startedAt, ...challenge, ...detail };
  }

  #viewed(id: PaymentId): Result<PaymentView, never> {
    const view = this.get(id);
    if (!view) throw new Error(`broken invariant: payment ${id} has a view`);
    return ok(view);
  }

  #emitEnded(id: PaymentId): void {
    const payment = this.get(id);
    if (payment) this.#emit({ type: "payment.ended", payment });
  }

  #emit(event: PaymentEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #entries(id: PaymentId): readonly JournalEntry[] {
    return this.#options.journal.entriesOf(id);
  }

  #at(): string {
    return new Date(this.#options.now()).toISOString();
  }
}

const NO_PRINTER: ReprintRefusal = { why: "no-printer", detail: "the printer is not ready; run `tillway doctor`" };

const bodies = (entries: readonly JournalEntry[]) => entries.map((entry) => entry.body);
