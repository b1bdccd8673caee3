/** What the hub is told of online attempts that do not count: each is taken back, and what became of the issuer's scripts goes with it. */
import type { PaymentId } from "../../base/ids.ts";
import type { NewEntry } from "../journal/journal.ts";
import type { PurchaseDecision } from "./purchase-machine.ts";

export interface Undone extends Pick<PurchaseDecision, "outcome" | "attempts" | "reversals"> {
  readonly paymentId: PaymentId;
  /** ISO time. */
  readonly at: string;
  /** Tag 9F5B in hex, where the issuer had sent the card scripts. */
  readonly scriptResults: string | undefined;
}

/** Of an attempt that was declined there is nothing to take back: its reversal brings the issuer the results alone (RM13). */
export function reversalEntries({ paymentId, at, scriptResults, ...decision }: Undone): readonly NewEntry[] {
  const { outcome, attempts, reversals } = decision;
  const onlyResults = scriptResults !== undefined && outcome !== "approved" && reversals.length === 0;
  const undone = onlyResults ? attempts.map((attempt) => ({ attempt, reason: "script results" })) : reversals;
  const scripted = scriptResults === undefined ? {} : { scriptResults };
  return undone.map(({ attempt, reason }) => ({
    body: { kind: "reversal", paymentId, at, attempt, reason, ...scripted },
    forward: true,
  }));
}
