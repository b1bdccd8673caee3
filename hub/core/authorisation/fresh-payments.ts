/**
 * Payments that come into being within a batch: kept in memory until its end and written as one row each, where every step
 * of a payment would else be a statement of its own.
 */
import { present } from "../../../base/assert.ts";
import type { PaymentContent, PaymentKey, PaymentOutcome, PaymentRecord } from "./store.ts";

/** What the tables of payments offer, one statement for each call. */
export interface PaymentTables {
  payment(key: PaymentKey): PaymentRecord | undefined;
  insertPayment(key: PaymentKey, at: number): PaymentRecord;
  /** One row with all that is known. */
  insertWhole(payment: PaymentRecord): void;
  /** 0 where there is none. */
  newestNumber(): number;
  setContent(number: number, content: PaymentContent): void;
  setCryptogram(number: number, cryptogram: "held" | "failed"): void;
  setDeferred(number: number, sale: Pick<PaymentOutcome, "maskedPan" | "businessDate">): void;
  endPayment(number: number, ended: EndedPayment): void;
}

export type EndedPayment = PaymentOutcome & { readonly state: "confirmed" | "voided"; readonly at: number };

export interface FreshPayments extends Omit<PaymentTables, "insertWhole" | "newestNumber"> {
  /** Within a transaction that the caller undoes if this throws. */
  batched<T>(work: () => T): T;
  /** True for a payment that no table knows yet. */
  isFresh(number: number): boolean;
  /** Before whatever reads or names payments in the tables. */
  saveAll(): void;
}

const keyText = ({ terminalId, paymentId }: PaymentKey): string => `${terminalId}\n${paymentId}`;

export function createFreshPayments(tables: PaymentTables): FreshPayments {
  let batch: Batch | undefined;
  /** False where the tables have it. */
  const change = (number: number, to: (payment: PaymentRecord) => PaymentRecord): boolean =>
    batch?.change(number, to) ?? false;
  const saveAll = () => batch?.saveAll();
  return {
    saveAll,
    isFresh: (number) => batch?.get(number) !== undefined,
    batched(work) {
      if (batch) return work();
      batch = new Batch(tables);
      try {
        const result = work();
        batch.saveAll();
        return result;
      } finally {
        batch = undefined;
      }
    },
    payment: (key) => batch?.find(key) ?? tables.payment(key),
    insertPayment: (key, at) => batch?.insert(key, at) ?? tables.insertPayment(key, at),
    setContent(number, content) {
      if (!change(number, (payment) => ({ ...payment, content }))) tables.setContent(number, content);
    },
    setCryptogram(number, cryptogram) {
      if (!change(number, (payment) => ({ ...payment, cryptogram }))) tables.setCryptogram(number, cryptogram);
    },
    setDeferred(number, sale) {
      if (!change(number, (payment) => ({ ...payment, ...sale, deferred: true, mode: "offline" })))
        tables.setDeferred(number, sale);
    },
    endPayment(number, ended) {
      if (!change(number, (payment) => endedPayment(payment, ended))) tables.endPayment(number, ended);
    },
  };
}

function endedPayment(payment: PaymentRecord, { at, ...ended }: EndedPayment): PaymentRecord {
  return payment.state === "open" ? { ...payment, ...ended, endedAt: at } : payment;
}

class Batch {
  readonly #tables: PaymentTables;
  readonly #byNumber = new Map<number, PaymentRecord>();
  readonly #numbers = new Map<string, number>();
  #newest: number | undefined;

  constructor(tables: PaymentTables) {
    this.#tables = tables;
  }

  get(number: number): PaymentRecord | undefined {
    return this.#byNumber.get(number);
  }

  find(key: PaymentKey): PaymentRecord | undefined {
    const number = this.#numbers.get(keyText(key));
    return number === undefined ? undefined : this.#byNumber.get(number);
  }

  insert({ terminalId, paymentId }: PaymentKey, createdAt: number): PaymentRecord {
    this.#newest ??= this.#tables.newestNumber();
    this.#newest += 1;
    const payment: PaymentRecord = { number: this.#newest, terminalId, paymentId, state: "open", createdAt };
    this.#byNumber.set(payment.number, payment);
    this.#numbers.set(keyText(payment), payment.number);
    return payment;
  }

  change(number: number, to: (payment: PaymentRecord) => PaymentRecord): boolean {
    const payment = this.#byNumber.get(number);
    if (!payment) return false;
    this.#byNumber.set(number, to(payment));
    return true;
  }

  saveAll(): void {
    for (const number of this.#numbers.values())
      this.#tables.insertWhole(present(this.#byNumber.get(number), "a payment of this batch"));
    this.#byNumber.clear();
    this.#numbers.clear();
  }
}
