/**
 * The tills of a simulated shop. A till owns the id of its sale and asks until it is told what became of it, whatever
 * crashes meanwhile; what it was told is what the customer was told, and must stay true.
 */
import type { AgentCore } from "../../agent/agent-core.ts";
import type { PaymentView, StartRefusal } from "../../agent/payment/payments.ts";
import type { PaymentId } from "../../base/ids.ts";
import { type Money, money } from "../../base/money.ts";
import type { Result } from "../../base/result.ts";
import type { World } from "../../sim/world/world.ts";
import type { Operation } from "../../wire/common.ts";
import { LeaseWatch } from "./lease-watch.ts";
import type { PlannedHold, PlannedRefund, PlannedSale } from "./plan.ts";
import type { Shop, Terminal } from "./shop.ts";

export type Told = Pick<PaymentView, "status" | "mode" | "operation"> & { readonly atMs: number };

/** One payment as its till knows it. */
export interface SaleRecord {
  readonly id: PaymentId;
  readonly terminal: Terminal;
  readonly operation: Operation;
  readonly minor: bigint;
  /** What it was told; several times where it asked again. */
  readonly told: Told[];
  /** The till was told that the sale is taken back. */
  voided: boolean;
  /** The hub breaks where it posts it. */
  readonly bad: boolean;
  /** The code that the phone showed for it. */
  grantId?: string;
}

/** Between two tries of a till whose terminal does not answer. */
const ASK_AGAIN_MS = 7_000;
/** How long a customer takes to present a card. */
const PRESENT_MS = { least: 500, most: 4_000 };

export class Cashier {
  /** By terminal and payment. */
  readonly records = new Map<string, SaleRecord>();
  readonly leases: LeaseWatch;
  readonly #shop: Shop;
  readonly #world: World;
  /** Of this shop alone: what waits on it for ever is gone with the shop. */
  readonly #never = new AbortController().signal;
  #open = 0;

  constructor(shop: Shop) {
    this.#shop = shop;
    this.#world = shop.world;
    this.leases = new LeaseWatch(shop);
  }

  /** Nobody waits to be told any more. */
  get idle(): boolean {
    return this.#open === 0;
  }

  /** Puts all sales of the day on the world's timeline. */
  begin(sales: readonly PlannedSale[]): void {
    for (const sale of sales) {
      this.#open += 1;
      this.#world.timeline.after(sale.at, () => void this.#day(sale));
    }
  }

  async #day(sale: PlannedSale): Promise<void> {
    const terminal = this.#terminalOf(sale);
    const customer = this.#shop.customers[sale.customer];
    if (!terminal || !customer) throw new Error("broken invariant: the plan names what there is");
    const phone = this.#shop.phones[sale.customer];
    const operation = sale.hold ? "pre-authorisation" : "purchase";
    const record = this.#record(sale.id, terminal, { operation, minor: sale.minor, bad: sale.bad });
    const amount = money(sale.minor, "EUR");
    if (sale.cancelledAfterMs !== undefined) void this.#cancel(record, sale.cancelledAfterMs);
    const view = await this.#ask(record, {
      begin: (core) => {
        const begun = core.desk.begin({ id: record.id, operation, amount });
        return sale.twice ? core.desk.begin({ id: record.id, operation, amount }) : begun;
      },
      present: () => this.#present(sale, record),
    });
    if (view.status === "approved" && record.grantId !== undefined) phone?.phone.markSpent(record.grantId);
    if (view.status === "approved") await this.#afterwards(sale, record);
    this.#open -= 1;
  }

  async #afterwards(sale: PlannedSale, record: SaleRecord): Promise<void> {
    if (sale.reprinted) await this.#reprint(record);
    if (sale.hold) return await this.#endHold(record, sale.hold, sale.refunds);
    if (sale.voided) return await this.#void(record);
    for (const [index, refund] of sale.refunds.entries()) await this.#refund(record, index, refund);
  }

  /** Whoever holds a customer's money sees to it that it is charged or given back, however often the till must ask. */
  async #endHold(held: SaleRecord, { afterMs, minor }: PlannedHold, refunds: readonly PlannedRefund[]): Promise<void> {
    await this.#sleep(afterMs);
    if (minor === undefined) return await this.#cancelHold(held);
    const { terminal, id: originalId } = held;
    const record = this.#record(`bill-of-${originalId}`, terminal, { operation: "completion", minor, bad: false });
    const amount = money(minor, "EUR");
    const view = await this.#ask(record, {
      begin: (core) => core.desk.beginCompletion({ id: record.id, originalId, amount }),
      present: () => undefined,
    });
    if (view.status !== "approved") return;
    for (const [index, refund] of refunds.entries()) await this.#refund(record, index, refund);
  }

  async #cancelHold(held: SaleRecord): Promise<void> {
    for (;;) {
      await this.#void(held);
      if (held.voided || isGone(held)) return;
      await this.#sleep(ASK_AGAIN_MS);
    }
  }

  async #cancel({ id, terminal }: SaleRecord, afterMs: number): Promise<void> {
    await this.#sleep(afterMs);
    // Too late is an answer as well; the till goes on waiting either way.
    terminal.core?.desk.cancel(id);
  }

  async #reprint({ id, terminal }: SaleRecord): Promise<void> {
    await Promise.race([terminal.core?.desk.reprint(id).catch(() => undefined), terminal.lifeEnds()]);
  }

  /** The one that is planned, or its double if there is one by now. */
  #terminalOf({ terminal }: PlannedSale): Terminal | undefined {
    const planned = this.#shop.terminals[terminal];
    if (!planned?.forked) return planned;
    return this.#world.chance.stream("customers").pick(this.#shop.terminals.filter(({ id }) => id === planned.id));
  }

  /** What the customer wants to pay with, if the phone has it; else the card. */
  #present({ means, customer, pulledAfter }: PlannedSale, record: SaleRecord): void {
    const { counter, core } = record.terminal;
    const phone = this.#shop.phones[customer];
    const code = means === "code" ? phone?.code() : undefined;
    if (code) {
      record.grantId = code.grantId;
      counter.present({ code: code.text });
      return;
    }
    const challenge = means === "note" ? core?.desk.get(record.id)?.challenge : undefined;
    const note = challenge === undefined ? undefined : phone?.note(challenge);
    const card = note === undefined ? this.#shop.customers[customer]?.card(pulledAfter) : undefined;
    counter.present({ ...(note === undefined ? {} : { code: note }), ...(card === undefined ? {} : { card }) });
  }

  async #void(record: SaleRecord): Promise<void> {
    const { core } = record.terminal;
    if (!core) return;
    const ended = record.terminal.lifeEnds();
    const voided = await Promise.race([core.desk.void(record.id, "changed mind").catch(() => undefined), ended]);
    if (voided?.ok) record.voided = true;
  }

  async #refund(original: SaleRecord, index: number, { afterMs, minor }: PlannedRefund): Promise<void> {
    await this.#sleep(afterMs);
    const id = `refund-${index}-of-${original.id}`;
    const record = this.#record(id, original.terminal, { operation: "refund", minor, bad: false });
    const amount = money(minor, "EUR");
    await this.#ask(record, {
      begin: (core) => core.desk.beginRefund({ id: record.id, originalId: original.id, amount }),
      present: () => undefined,
    });
  }

  #record(id: string, terminal: Terminal, asked: Pick<SaleRecord, "operation" | "minor" | "bad">): SaleRecord {
    const record: SaleRecord = { ...asked, id: id as PaymentId, terminal, told: [], voided: false };
    this.records.set(`${terminal.id}/${id}`, record);
    return record;
  }

  async #ask(record: SaleRecord, sale: Asking): Promise<PaymentView> {
    const { terminal } = record;
    for (let tries = 0; ; tries += 1) {
      const view = await this.#askOnce(record, sale, tries);
      terminal.counter.clear();
      if (view) {
        const { status, mode, operation } = view;
        if (status === "approved" && mode === "offline") this.leases.approved(terminal, record.id);
        record.told.push({ status, operation, atMs: this.#world.now, ...(mode === undefined ? {} : { mode }) });
        return view;
      }
      await this.#sleep(ASK_AGAIN_MS);
    }
  }

  /** Undefined when nothing was told: the terminal is gone, or takes nothing now. */
  async #askOnce(record: SaleRecord, sale: Asking, tries: number): Promise<PaymentView | undefined> {
    const { core } = record.terminal;
    if (!core) return undefined;
    const ended = record.terminal.lifeEnds();
    let begun: Result<PaymentView, StartRefusal>;
    try {
      begun = sale.begin(core);
    } catch {
      // The disk failed while it was looked up: the terminal will say so by ending.
      return undefined;
    }
    if (!begun.ok) {
      // A refund or a completion may be refused outright; that is an answer, and nothing was begun.
      if (REFUSED.has(begun.error.why)) return refusedView(record);
      if (begun.error.why === "conflict") throw new Error(`the same sale is a conflict: ${begun.error.field}`);
      return undefined;
    }
    // The customer presents a card once; who comes back to a till that was dead has put it away.
    if (tries === 0) this.#world.timeline.after(this.#draw(PRESENT_MS), sale.present);
    return await Promise.race([core.desk.ended(record.id, this.#never).catch(() => undefined), ended]);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.timeline.after(ms, resolve));
  }

  #draw({ least, most }: { readonly least: number; readonly most: number }): number {
    return this.#world.chance.stream("customers").between(least, most);
  }
}

/** Of a completion also where the disk came back from the past, or was renewed. */
const REFUSED: ReadonlySet<StartRefusal["why"]> = new Set<StartRefusal["why"]>([
  ...(["not-allowed", "not-found", "not-approved", "already-processed", "too-much", "expired"] as const),
]);

interface Asking {
  begin(core: AgentCore): Result<PaymentView, StartRefusal>;
  present(): void;
}

/** An older copy of the disk, or an empty one, knows of no such hold. */
function isGone({ terminal: { core }, id }: SaleRecord): boolean {
  try {
    return core !== undefined && core.desk.get(id)?.status !== "approved";
  } catch {
    // The disk failed while it was looked up: the terminal will say so by ending.
    return false;
  }
}

const refusedView = (record: SaleRecord): PaymentView => ({
  id: record.id,
  operation: record.operation,
  status: "aborted",
  amount: money(record.minor, "EUR") satisfies Money,
  ticket: "none",
  startedAt: "",
});
