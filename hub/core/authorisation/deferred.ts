/**
 * Deferred authorisation (RM9): a sale that its card declined for want of an answer, and that the merchant made all the
 * same. Its journal entry brings the card's ARQC, which is a late request and decided as one.
 */
import { RESPONSE_CODES } from "../../../wire/authorisation.ts";
import type { EntryOf } from "../../../wire/journal-entry.ts";
import { type Answer, type AttemptInput, decideLate, decline, type RequestParts } from "./request.ts";
import type { PaymentKey, PaymentRecord } from "./store.ts";

/** One above the highest that a terminal may give, so that it stands beside every online attempt and after them. */
export const DEFERRED_ATTEMPT = 100;

export interface DeferredParts extends RequestParts {
  /** Whether the lease that the sale was made under permits it. */
  permitsDeferred(terminalId: PaymentKey["terminalId"], leaseId: string | undefined): boolean;
}

export interface DeferredInput extends Pick<AttemptInput, "key" | "card" | "now"> {
  readonly body: EntryOf<"decision">;
}

/** Within the caller's transaction. A repeat gets the first answer, whatever has changed since. */
export function askDeferred(parts: DeferredParts, input: DeferredInput, payment: PaymentRecord): Answer {
  const { key, body, card, now } = input;
  parts.store.setDeferred(payment.number, {
    businessDate: body.businessDate,
    ...(body.card === undefined ? {} : { maskedPan: body.card.maskedPan }),
  });
  const request = {
    attempt: DEFERRED_ATTEMPT,
    kind: "purchase" as const,
    amount: body.amount,
    ...(body.card === undefined ? {} : { entryMode: body.card.entryMode, iccData: body.card.iccData }),
  };
  if (parts.permitsDeferred(key.terminalId, body.leaseId)) return decideLate(parts, { key, request, card, now });
  return decideLate(parts, { key, request, card, now, refusal: NOT_PERMITTED });
}

const NOT_PERMITTED = decline(
  RESPONSE_CODES.doNotHonour,
  "E_DENIED",
  "the terminal's lease does not permit deferred authorisation",
);
