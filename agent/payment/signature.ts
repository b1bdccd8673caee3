/** The cashier's word on the customer's signature: kept in the journal, and a refused one takes the sale back (RM13). */

import type { PaymentId } from "../../base/ids.ts";
import { fail, ok, type Result } from "../../base/result.ts";
import type { Journal } from "../journal/journal.ts";
import type { Payments, PaymentView, SignatureRefusal, VoidRefusal } from "./payments.ts";

export interface SignatureCheck {
  readonly id: PaymentId;
  readonly accepted: boolean;
}

/** The same word again changes nothing; the other word is refused. */
export async function checkSignature(
  deps: { readonly payments: Pick<Payments, "get" | "void">; readonly journal: Journal; readonly now: () => number },
  { id, accepted }: SignatureCheck,
): Promise<Result<PaymentView, VoidRefusal | SignatureRefusal>> {
  const { payments, journal, now } = deps;
  const view = payments.get(id);
  if (!view) return fail({ why: "not-found", detail: `no payment ${id} here` });
  if (!view.card?.signature || view.status === "processing") {
    return fail({ why: "not-asked", detail: `payment ${id} asks for no signature` });
  }
  const before = journal.entriesOf(id).find(({ body }) => body.kind === "signature")?.body;
  if (before?.kind === "signature" && before.accepted !== accepted) {
    const word = before.accepted ? "accepted" : "refused";
    return fail({ why: "answered", detail: `the signature of payment ${id} was ${word} before` });
  }
  if (!before) {
    await journal.append([{ body: { kind: "signature", paymentId: id, at: new Date(now()).toISOString(), accepted } }]);
  }
  return accepted ? ok(view) : await payments.void(id, "the signature was refused");
}
