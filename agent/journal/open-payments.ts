/** Which payments a restart must look at: interrupted before a decision, or approved and not yet on paper. */
import { z } from "zod";
import { unreachable } from "../../base/assert.ts";
import type { PaymentId } from "../../base/ids.ts";
import { PaymentIdSchema } from "../../wire/common.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";

/** A terminal with no printer approves for years: beyond this many the oldest are no longer offered for printing. */
export const UNPRINTED_MAX = 1_000;
/** Payments run a few at a time; more open intents than this mean that something appends and never decides. */
export const UNDECIDED_MAX = 1_000;

const SnapshotSchema = z.strictObject({
  upTo: z.int().min(0),
  undecided: z.array(PaymentIdSchema).max(UNDECIDED_MAX),
  unprinted: z.array(PaymentIdSchema).max(UNPRINTED_MAX),
});

export class OpenPayments {
  readonly #undecided = new Set<PaymentId>();
  readonly #unprinted = new Set<PaymentId>();

  apply(body: EntryBody): void {
    switch (body.kind) {
      case "intent":
        addBounded(this.#undecided, body.paymentId, UNDECIDED_MAX);
        break;
      case "decision":
        this.#undecided.delete(body.paymentId);
        if (body.outcome === "approved") addBounded(this.#unprinted, body.paymentId, UNPRINTED_MAX);
        break;
      case "printed":
        if (body.result === "proven") this.#unprinted.delete(body.paymentId);
        break;
      case "void":
        this.#unprinted.delete(body.paymentId);
        break;
      case "online-requested":
      case "online-unknown":
      case "reversal":
      case "completed":
      case "print-intent":
      case "signature":
      case "queue-action":
        break;
      default:
        unreachable(body);
    }
  }

  get undecided(): readonly PaymentId[] {
    return [...this.#undecided];
  }

  get unprinted(): readonly PaymentId[] {
    return [...this.#unprinted];
  }

  /** What holds after the entry `upTo`, so that opening need not read the years before it. */
  snapshot(upTo: number): string {
    return JSON.stringify({ upTo, undecided: this.undecided, unprinted: this.unprinted });
  }

  /**
   * Takes a snapshot over; returns the sequence that it speaks for, 0 when there is none that can be read. One from before
   * `cut` says nothing: what closed its payments may be in an archive, and all that is open stands after the cut.
   */
  restore(text: string | undefined, cut: number): number {
    if (text === undefined) return 0;
    const parsed = SnapshotSchema.safeParse(JSON.parse(text));
    if (!parsed.success || parsed.data.upTo < cut) return 0;
    for (const id of parsed.data.undecided) this.#undecided.add(id);
    for (const id of parsed.data.unprinted) this.#unprinted.add(id);
    return parsed.data.upTo;
  }
}

function addBounded(set: Set<PaymentId>, id: PaymentId, limit: number): void {
  set.add(id);
  if (set.size <= limit) return;
  for (const oldest of set) {
    set.delete(oldest);
    return;
  }
}
