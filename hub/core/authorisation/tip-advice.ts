/** Confirms tips: like a refund, a tip needs the hub, and without an attempt that it approved there is nothing to confirm. */
import {
  type AdviceInput,
  adviseIssuer,
  DUPLICATE,
  declined,
  type EntryOutcome,
  type EntryParts,
  end,
  findPayment,
  honour,
  PROCESSED,
  postNewestHold,
  quarantined,
  UNTOLD,
} from "./entries.ts";
import { hasRunOut } from "./expiry.ts";
import { isIssuerAccount } from "./postings.ts";
import type { PaymentRecord } from "./store.ts";

export async function applyTip(parts: EntryParts, input: AdviceInput): Promise<EntryOutcome> {
  const found = await findPayment(parts, input);
  if ("outcome" in found) return found.outcome;
  const { payment } = found;
  if (payment.state === "confirmed") return DUPLICATE;
  if (payment.state === "voided") return declined("this payment was voided");
  return await confirmTip(parts, input, payment);
}

async function confirmTip(parts: EntryParts, input: AdviceInput, payment: PaymentRecord): Promise<EntryOutcome> {
  const { store, within, riskParties } = parts;
  const { accountId, originalNumber } = payment.content ?? {};
  if (accountId === undefined || originalNumber === undefined)
    return quarantined("E_UNKNOWN", "a tip that this hub never authorised");
  const attempts = await store.attempts(within, payment.number);
  if (await postNewestHold(parts, { input, payment, attempts })) {
    await end(parts, input, payment);
    return PROCESSED;
  }
  if (!attempts.some(hasRunOut)) return quarantined("E_STATE", "no authorisation of this tip stands");
  if ((await store.tippedMinor(within, originalNumber, payment.number)) > 0n)
    return quarantined("E_LIMIT", "its sale has another tip");
  // The issuer was told that it would never be.
  const told = await adviseIssuer(parts, input, { payment, attempts });
  if (!told && isIssuerAccount(accountId)) return UNTOLD;
  return await honour(parts, input, { payment, payer: { riskParty: riskParties.offline, accountId } });
}
