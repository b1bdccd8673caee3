/** After a restart: what was begun and not decided is aborted, and reversed if a request may have left (RM3). */
import type { PaymentId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { EntryBody, EntryOf } from "../../wire/journal-entry.ts";
import type { Journal, NewEntry } from "../journal/journal.ts";

export interface RecoveryDeps {
  readonly journal: Journal;
  readonly log: Log;
  readonly now: () => number;
  readonly businessDate: (atMs: number) => string;
}

/** Card commands are never repeated, so nothing is taken up again. Returns what was aborted. */
export async function abortInterrupted(deps: RecoveryDeps): Promise<readonly PaymentId[]> {
  const interrupted = deps.journal.undecided();
  for (const id of interrupted) {
    const entries = abortion(
      deps.journal.entriesOf(id).map((entry) => entry.body),
      deps.now(),
      deps.businessDate,
    );
    await deps.journal.append(entries);
    deps.log.warn("a payment was interrupted and is aborted", { paymentId: id, reversals: entries.length - 1 });
  }
  return interrupted;
}

/** The decision and the reversals that end an interrupted payment. */
export function abortion(
  entries: readonly EntryBody[],
  nowMs: number,
  businessDate: (atMs: number) => string,
): NewEntry[] {
  const intent = entries.find((entry): entry is EntryOf<"intent"> => entry.kind === "intent");
  if (!intent) throw new Error("broken invariant: an undecided payment has an intent");
  const attempts = entries.flatMap((entry) => (entry.kind === "online-requested" ? [entry.attempt] : []));
  const at = new Date(nowMs).toISOString();
  const decision: EntryBody = {
    kind: "decision",
    paymentId: intent.paymentId,
    at,
    outcome: "aborted",
    mode: attempts.length > 0 ? "online" : "offline",
    operation: intent.operation,
    amount: intent.amount,
    ...(intent.cashback === undefined ? {} : { cashback: intent.cashback }),
    reason: "E_STATE",
    detail: "the terminal stopped before it had decided; nothing was charged",
    attempts,
    businessDate: businessDate(nowMs),
  };
  return [
    { body: decision },
    ...attempts.map(
      (attempt): NewEntry => ({
        body: { kind: "reversal", paymentId: intent.paymentId, at, attempt, reason: "interrupted" },
        forward: true,
      }),
    ),
  ];
}
