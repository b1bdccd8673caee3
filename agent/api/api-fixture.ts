/** What the API's tests put behind it: a terminal's status, and a desk whose payments end at a word. */
import { abortable } from "../../base/clock.ts";
import type { PaymentId } from "../../base/ids.ts";
import { fail, ok } from "../../base/result.ts";
import type { Status } from "../health/health.ts";
import type {
  PaymentEvent,
  Payments,
  PaymentView,
  PurchaseRequest,
  StartRefusal,
  TipRequest,
} from "../payment/payments.ts";
import type { SignatureCheck } from "../payment/signature.ts";

export const STATUS = {
  selling: "online",
  version: "0.1.0",
  terminalId: "shop-1",
  uptimeSec: 5,
  running: 0,
  hub: { state: "up", via: "mqtt", silent: false, advicesOnly: false },
  queue: { depth: 1, oldestAgeSec: 0, quarantined: 0, outstandingCount: 0, outstandingMinor: "0" },
  journal: { epoch: "e", sequence: 1, hash: "h" },
  devices: [{ id: "reader", uri: "pcsc:*", state: "ready", detail: "a reader", since: "now" }],
  disk: { freeMb: 1, reserveMb: 1 },
  clock: { now: "now" },
} as const satisfies Status;

/** A desk on which payments end when the test says so. */
export class FakePayments implements Payments {
  readonly views = new Map<string, PaymentView>();
  readonly ends = new Map<string, (view: PaymentView) => void>();
  readonly requests: PurchaseRequest[] = [];
  refusal: StartRefusal | undefined;
  readonly tips: TipRequest[] = [];
  /** What the cashier said of signatures, and what comes of the next word. */
  readonly checks: SignatureCheck[] = [];
  signatures: "not-asked" | "taken" | "answered" = "not-asked";
  running = 0;
  #listeners = new Set<(event: PaymentEvent) => void>();
  #promises = new Map<string, Promise<PaymentView>>();

  begin(request: PurchaseRequest) {
    if (this.refusal) return fail(this.refusal);
    const known = this.views.get(request.id);
    if (known) return ok(known);
    this.requests.push(request);
    const view: PaymentView = {
      ...request,
      operation: request.operation ?? "purchase",
      status: "processing",
      ticket: "none",
      startedAt: "2026-01-05T09:00:00.000Z",
    };
    this.views.set(request.id, view);
    this.#promises.set(request.id, new Promise((resolve) => this.ends.set(request.id, resolve)));
    this.emit({ type: "payment.stage", id: request.id, stage: "accepted" });
    return ok(view);
  }
  beginRefund() {
    return fail({ why: "not-found", detail: "no payment p-0 is known here" } as const);
  }
  beginCompletion() {
    return fail({ why: "too-much", detail: "a completion never exceeds what was authorised" } as const);
  }
  beginTip(request: TipRequest) {
    this.tips.push(request);
    return fail({ why: "not-allowed", detail: "payment p-0 is a refund, and no sale" } as const);
  }
  end(id: string, over: Partial<PaymentView>) {
    const view = { ...(this.views.get(id) as PaymentView), ...over };
    this.views.set(id, view);
    this.ends.get(id)?.(view);
    this.emit({ type: "payment.ended", payment: view });
  }
  async ended(id: PaymentId, signal: AbortSignal) {
    return abortable(this.#promises.get(id) ?? Promise.reject(new Error("unknown")), signal);
  }
  timingsOf = () => undefined;
  async checkSignature(check: SignatureCheck) {
    this.checks.push(check);
    const view = this.views.get(check.id);
    if (this.signatures === "taken" && view) return ok(view);
    if (this.signatures === "answered") return fail({ why: "answered", detail: "it was accepted before" } as const);
    return fail({ why: "not-asked", detail: "no signature is asked for" } as const);
  }
  get = (id: PaymentId) => this.views.get(id);
  recent = (limit: number) => [...this.views.values()].slice(0, limit);
  cancel = () => fail({ why: "too-late", detail: "the card is being worked with" } as const);
  cancelling = async <T>(_id: PaymentId, work: () => Promise<T>) => ok(await work());
  void = async () => fail({ why: "forwarding", detail: "the hub may have it; refund it" } as const);
  reprint = async () => fail({ why: "no-printer", detail: "no printer is ready" } as const);
  printChallenge = async () => fail({ why: "nothing-to-print", detail: "no phone is awaited" } as const);
  onEvent(listener: (event: PaymentEvent) => void) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  emit(event: PaymentEvent) {
    for (const listener of this.#listeners) listener(event);
  }
}
