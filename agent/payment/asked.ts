/** What a till asked for first: a repeat is compared with it (RM4). */
import type { PaymentId } from "../../base/ids.ts";
import type { Money } from "../../base/money.ts";
import { fromWireMoney, type Operation } from "../../wire/common.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import type { ArchivedPayment } from "../journal/archived-payments.ts";
import type { Journal, JournalEntry } from "../journal/journal.ts";
import type { Conflict, PaymentView } from "./payments.ts";

/** What the caller asked for, to compare a repeat with. */
export interface Asked {
  readonly operation: Operation;
  readonly amount: Money;
  readonly cashback?: Money;
  readonly reference?: string;
  readonly originalId?: PaymentId;
}

/** What an id was asked for first, however long ago. */
export function askedFirst(
  journal: Pick<Journal, "knows" | "entriesOf" | "archived">,
  id: PaymentId,
): Asked | undefined {
  if (!journal.knows(id)) return undefined;
  const archived = journal.archived(id);
  return archived ? askedOf(archivedView(id, archived)) : askedIn(journal.entriesOf(id));
}

function askedIn(entries: readonly JournalEntry[]): Asked | undefined {
  const intent = entries.map(({ body }) => body).find((body): body is EntryOf<"intent"> => body.kind === "intent");
  if (!intent) return undefined;
  return {
    operation: intent.operation,
    amount: fromWireMoney(intent.amount),
    ...(intent.cashback === undefined ? {} : { cashback: fromWireMoney(intent.cashback) }),
    ...(intent.reference === undefined ? {} : { reference: intent.reference }),
    ...(intent.originalPaymentId === undefined ? {} : { originalId: intent.originalPaymentId }),
  };
}

/** A payment whose entries have moved to an archive: what is left of it here. */
export function archivedView(id: PaymentId, archived: ArchivedPayment): PaymentView {
  const { operation, outcome, amount, cashback, at, reference, originalPaymentId } = archived;
  return {
    id,
    operation,
    status: outcome,
    amount: fromWireMoney(amount),
    ...(cashback === undefined ? {} : { cashback: fromWireMoney(cashback) }),
    ...(reference === undefined ? {} : { reference }),
    ...(originalPaymentId === undefined ? {} : { originalId: originalPaymentId }),
    detail: "its entries are in an archive of the journal",
    ticket: "none",
    startedAt: at,
    decidedAt: at,
  };
}

const askedOf = ({ operation, amount, cashback, reference, originalId }: PaymentView): Asked => ({
  operation,
  amount,
  ...(cashback === undefined ? {} : { cashback }),
  ...(reference === undefined ? {} : { reference }),
  ...(originalId === undefined ? {} : { originalId }),
});

export function differingField(known: Asked, asked: Asked): Conflict["field"] | undefined {
  if (known.operation !== asked.operation) return "operation";
  if (known.originalId !== asked.originalId) return "originalId";
  if (known.amount.currency !== asked.amount.currency) return "amount.currency";
  if (known.amount.minor !== asked.amount.minor) return "amount.minor";
  // Its currency is that of the amount.
  if (known.cashback?.minor !== asked.cashback?.minor) return "cashback";
  return known.reference === asked.reference ? undefined : "reference";
}
