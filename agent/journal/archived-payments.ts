/** What stays known of payments whose entries left the file: what was asked, and what became of it. Their ids never pay again. */
import { z } from "zod";
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import { MoneySchema, OperationSchema, PaymentIdSchema, TimeSchema } from "../../wire/common.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import { parseJson } from "../../wire/signing.ts";

const ArchivedSchema = z.strictObject({
  operation: OperationSchema,
  amount: MoneySchema,
  cashback: MoneySchema.optional(),
  reference: z.string().optional(),
  originalPaymentId: PaymentIdSchema.optional(),
  outcome: z.enum(["approved", "declined", "aborted", "voided"]),
  /** ISO time of the intent. */
  at: TimeSchema,
});
export type ArchivedPayment = z.infer<typeof ArchivedSchema>;

/** Gathers the facts of payments from their entries, oldest first. */
export class ArchivedFacts {
  readonly #facts = new Map<PaymentId, ArchivedPayment>();

  take(body: EntryBody): void {
    const known = this.#facts.get(body.paymentId);
    if (body.kind === "intent" && !known) {
      const { operation, amount, cashback, reference, originalPaymentId, at } = body;
      this.#facts.set(body.paymentId, {
        ...{ operation, amount, outcome: "aborted", at },
        ...(cashback === undefined ? {} : { cashback }),
        ...(reference === undefined ? {} : { reference }),
        ...(originalPaymentId === undefined ? {} : { originalPaymentId }),
      });
    } else if (body.kind === "decision") {
      const { operation, amount, outcome, at } = body;
      this.#facts.set(body.paymentId, { ...(known ?? { operation, amount, at }), outcome });
    } else if (body.kind === "void" && known) {
      this.#facts.set(body.paymentId, { ...known, outcome: "voided" });
    }
  }

  get all(): readonly (readonly [PaymentId, ArchivedPayment])[] {
    return [...this.#facts];
  }
}

export class ArchivedPayments {
  readonly #find;
  readonly #put;

  constructor(database: Sqlite) {
    this.#find = database
      .prepare<[PaymentId], string>("SELECT facts FROM journal__archived WHERE payment_id = ?")
      .pluck();
    this.#put = database.prepare("INSERT OR REPLACE INTO journal__archived (payment_id, facts) VALUES (?, ?)");
  }

  get(id: PaymentId): ArchivedPayment | undefined {
    const facts = this.#find.get(id);
    return facts === undefined ? undefined : ArchivedSchema.parse(parseJson(facts));
  }

  /** Runs inside a transaction. */
  put(id: PaymentId, facts: ArchivedPayment): void {
    this.#put.run(id, JSON.stringify(facts));
  }
}
