/** What every purchase does, whatever it is paid with: stores its entries in order, tells its stages, measures its waits. */
import { toWireMoney } from "../../wire/common.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import type { NewEntry } from "../journal/journal.ts";
import type { PaymentStage, PurchaseRequest, SaleTimings } from "./payments.ts";
import type { PurchaseDeps } from "./purchase-deps.ts";

export class PurchaseSteps {
  readonly #deps: Pick<PurchaseDeps, "journal" | "clock" | "now" | "onStage" | "businessDate">;
  readonly request: PurchaseRequest;
  /** Measured around each wait, so that what is left of the whole is the agent's own. */
  readonly timings = { cardMs: 0, journalMs: 0, hubMs: 0 };
  /** The payment's own entries, in order. */
  readonly stored: EntryBody[] = [];

  constructor(deps: PurchaseDeps, request: PurchaseRequest) {
    this.#deps = deps;
    this.request = request;
  }

  async storeIntent(): Promise<void> {
    const { amount, cashback, reference, operation = "purchase" } = this.request;
    const body: EntryBody = {
      ...this.#head(),
      kind: "intent",
      operation,
      amount: toWireMoney(amount),
      ...(cashback === undefined ? {} : { cashback: toWireMoney(cashback) }),
      ...(reference === undefined ? {} : { reference }),
    };
    await this.append([{ body }]);
    this.stage("intent-stored");
  }

  /** Fsynced before the request leaves: after a crash it tells that one may have. */
  async storeRequest(attempt: number): Promise<void> {
    await this.append([{ body: { ...this.#head(), kind: "online-requested", attempt } }]);
    this.stage("online-request-stored");
  }

  async storeUnknown(attempt: number): Promise<void> {
    await this.append([{ body: { ...this.#head(), kind: "online-unknown", attempt } }]);
    this.stage("online-unknown-stored");
  }

  async append(entries: readonly NewEntry[]): Promise<void> {
    await this.timed("journalMs", () => this.#deps.journal.append(entries));
    this.stored.push(...entries.map((entry) => entry.body));
  }

  /** ISO time of an entry. */
  at(): string {
    return new Date(this.#deps.now()).toISOString();
  }

  /** When a decision is made, and the day in the site's time zone that it counts on: of one instant. */
  moment(): { readonly at: string; readonly businessDate: string } {
    const now = this.#deps.now();
    return { at: new Date(now).toISOString(), businessDate: this.#deps.businessDate(now) };
  }

  stage(stage: PaymentStage): void {
    this.#deps.onStage(this.request.id, stage);
  }

  async timed<T>(part: keyof SaleTimings, work: () => Promise<T>): Promise<T> {
    const began = this.#deps.clock.monotonic();
    try {
      return await work();
    } finally {
      this.timings[part] += this.#deps.clock.monotonic() - began;
    }
  }

  #head() {
    return { paymentId: this.request.id, at: this.at() };
  }
}
