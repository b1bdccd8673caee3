/** The cashier's word on the customer's signature: kept in the journal, and a refused one takes the sale back (RM13). */

import type { PaymentId } from "../../base/ids.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { Journal } from "../journal/journal.ts";
import type { PaymentStatus, Payments, PaymentView, SignatureRefusal, VoidRefusal } from "./payments.ts";

export interface SignatureCheck {
  readonly id: PaymentId;
  readonly accepted: boolean;
}

/** Nobody signs for what was not sold; a sale that was taken back may have been so for its signature. */
const SIGNED: ReadonlySet<PaymentStatus> = new Set<PaymentStatus>(["approved", "voided"]);

export interface SignaturesOptions {
  readonly payments: Pick<Payments, "get" | "void">;
  readonly journal: Journal;
  readonly now: () => number;
}

export class Signatures {
  readonly #options: SignaturesOptions;
  /** One word at a time: of two that come together the second sees what the first was. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: SignaturesOptions) {
    this.#options = options;
  }

  /** The same word again changes nothing; the other word is refused. */
  check(check: SignatureCheck): Promise<Result<PaymentView, VoidRefusal | SignatureRefusal>> {
    const turn = this.#turn.then(() => this.#check(check));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #check({ id, accepted }: SignatureCheck): Promise<Result<PaymentView, VoidRefusal | SignatureRefusal>> {
    const { payments, journal, now } = this.#options;
    const view = payments.get(id);
    if (!view) return fail({ why: "not-found", detail: `no payment ${id} here` });
    if (!view.card?.signature || !SIGNED.has(view.status))
      return fail({ why: "not-asked", detail: `payment ${id} asks for no signature` });
    const before = journal.entriesOf(id).find(({ body }) => body.kind === "signature")?.body;
    if (before?.kind === "signature" && before.accepted !== accepted) {
      const word = before.accepted ? "accepted" : "refused";
      return fail({ why: "answered", detail: `the signature of payment ${id} was ${word} before` });
    }
    if (!before) {
      const at = new Date(now()).toISOString();
      await journal.append([{ body: { kind: "signature", paymentId: id, at, accepted } }]);
    }
    return accepted ? ok(view) : await payments.void(id, "the signature was refused");
  }
}
