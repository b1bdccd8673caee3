/**
 * Payments that come into being within a batch, and the attempts at them: kept in memory until its end and written as one
 * row each, where every step of a payment would else be a statement of its own.
 */
import type { Reading, Within } from "../../store/store.ts";
import type { AttemptRecord, PaymentContent, PaymentKey, PaymentOutcome, PaymentRecord } from "./store.ts";

/** What the tables of payments offer, one statement for each call. */
export interface PaymentTables {
  payment(reading: Reading, key: PaymentKey): Promise<PaymentRecord | undefined>;
  insertPayment(within: Within, key: PaymentKey, at: number): Promise<PaymentRecord>;
  /** One row with all that is known. */
  insertWhole(within: Within, payment: PaymentRecord): Promise<void>;
  /** 0 where there is none. */
  newestNumber(reading: Reading): Promise<number>;
  setContent(within: Within, number: number, content: PaymentContent): Promise<void>;
  setCryptogram(within: Within, number: number, cryptogram: "held" | "failed"): Promise<void>;
  setDeferred(within: Within, number: number, sale: Pick<PaymentOutcome, "maskedPan" | "businessDate">): Promise<void>;
  /** Of a pre-authorisation: its terminal has said that it stands. */
  setHeld(within: Within, number: number, told: HeldPayment): Promise<void>;
  endPayment(within: Within, number: number, ended: EndedPayment): Promise<void>;
  attempts(reading: Reading, number: number): Promise<readonly AttemptRecord[]>;
  insertAttempt(within: Within, number: number, attempt: AttemptRecord): Promise<void>;
}

export type HeldPayment = Pick<PaymentOutcome, "approvalCode" | "maskedPan" | "businessDate">;

export type EndedPayment = PaymentOutcome & { readonly state: "confirmed" | "voided"; readonly at: number };

export interface FreshPayments extends Omit<PaymentTables, "insertWhole" | "newestNumber"> {
  /** The caller undoes the transaction if this throws. */
  batched<T>(within: Within, work: () => Promise<T>): Promise<T>;
  /** Before whatever reads or names payments in the tables. */
  saveAll(reading: Reading): Promise<void>;
}

const keyText = ({ terminalId, paymentId }: PaymentKey): string => `${terminalId}\n${paymentId}`;

export function createFreshPayments(tables: PaymentTables): FreshPayments {
  let open: Batch | undefined;
  /** Nobody but the transaction that began it sees what is not written yet. */
  const batchOf = (reading: Reading) => (open?.within === reading ? open : undefined);
  /** False where the tables have it. */
  const change = (within: Within, number: number, to: (payment: PaymentRecord) => PaymentRecord): boolean =>
    batchOf(within)?.change(number, to) ?? false;
  return {
    saveAll: async (reading) => await batchOf(reading)?.saveAll(),
    async batched(within, work) {
      if (batchOf(within)) return await work();
      const batch = new Batch(tables, within);
      open = batch;
      try {
        const result = await work();
        await batch.saveAll();
        return result;
      } finally {
        // One that ends late, behind a transaction that failed, leaves the next one's alone.
        if (open === batch) open = undefined;
      }
    },
    payment: async (reading, key) => batchOf(reading)?.find(key) ?? (await tables.payment(reading, key)),
    insertPayment: async (within, key, at) =>
      (await batchOf(within)?.insert(key, at)) ?? (await tables.insertPayment(within, key, at)),
    async setContent(within, number, content) {
      if (!change(within, number, (payment) => ({ ...payment, content })))
        await tables.setContent(within, number, content);
    },
    async setCryptogram(within, number, cryptogram) {
      if (!change(within, number, (payment) => ({ ...payment, cryptogram })))
        await tables.setCryptogram(within, number, cryptogram);
    },
    async setDeferred(within, number, sale) {
      if (!change(within, number, (payment) => ({ ...payment, ...sale, deferred: true, mode: "offline" })))
        await tables.setDeferred(within, number, sale);
    },
    async setHeld(within, number, told) {
      if (!change(within, number, (payment) => ({ ...payment, ...told, mode: "online" })))
        await tables.setHeld(within, number, told);
    },
    async endPayment(within, number, ended) {
      if (!change(within, number, (payment) => endedPayment(payment, ended)))
        await tables.endPayment(within, number, ended);
    },
    attempts: async (reading, number) => batchOf(reading)?.attempts(number) ?? (await tables.attempts(reading, number)),
    async insertAttempt(within, number, attempt) {
      const known = batchOf(within)?.attempts(number);
      if (known) known.push(attempt);
      else await tables.insertAttempt(within, number, attempt);
    },
  };
}

function endedPayment(payment: PaymentRecord, { at, ...ended }: EndedPayment): PaymentRecord {
  return payment.state === "open" ? { ...payment, ...ended, endedAt: at } : payment;
}

class Batch {
  readonly within: Within;
  readonly #tables: PaymentTables;
  readonly #byNumber = new Map<number, PaymentRecord>();
  readonly #numbers = new Map<string, number>();
  readonly #attempts = new Map<number, AttemptRecord[]>();
  #newest: number | undefined;

  constructor(tables: PaymentTables, within: Within) {
    this.#tables = tables;
    this.within = within;
  }

  /** Undefined for a payment that the tables have. */
  attempts(number: number): AttemptRecord[] | undefined {
    return this.#attempts.get(number);
  }

  find(key: PaymentKey): PaymentRecord | undefined {
    const number = this.#numbers.get(keyText(key));
    return number === undefined ? undefined : this.#byNumber.get(number);
  }

  async insert({ terminalId, paymentId }: PaymentKey, createdAt: number): Promise<PaymentRecord> {
    const number = (this.#newest ?? (await this.#tables.newestNumber(this.within))) + 1;
    this.#newest = number;
    const payment: PaymentRecord = { number, terminalId, paymentId, state: "open", createdAt };
    this.#byNumber.set(payment.number, payment);
    this.#numbers.set(keyText(payment), payment.number);
    this.#attempts.set(payment.number, []);
    return payment;
  }

  change(number: number, to: (payment: PaymentRecord) => PaymentRecord): boolean {
    const payment = this.#byNumber.get(number);
    if (!payment) return false;
    this.#byNumber.set(number, to(payment));
    return true;
  }

  /** Sent at once, and in this order: an attempt names its payment. */
  async saveAll(): Promise<void> {
    const [payments, attempts] = [[...this.#byNumber.values()], [...this.#attempts]];
    this.#byNumber.clear();
    this.#numbers.clear();
    this.#attempts.clear();
    await Promise.all([
      ...payments.map((payment) => this.#tables.insertWhole(this.within, payment)),
      ...attempts.flatMap(([number, of]) => of.map((one) => this.#tables.insertAttempt(this.within, number, one))),
    ]);
  }
}
