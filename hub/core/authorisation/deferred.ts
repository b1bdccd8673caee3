/**
 * Deferred authorisation (RM9): a sale that its card declined for want of an answer, and that the merchant made all the
 * same. Its journal entry brings the card's ARQC, which is a late request and decided as one.
 */

import { RESPONSE_CODES } from "../../../wire/authorisation.ts";
import type { EntryOf } from "../../../wire/journal-entry.ts";
import type { Reading } from "../../store/store.ts";
import { type Answer, decline } from "./answers.ts";
import { type AttemptInput, decideLate, type RequestParts } from "./request.ts";
import type { PaymentKey, PaymentRecord } from "./store.ts";

/** One above the highest that a terminal may give, so that it stands beside every online attempt and after them. */
export const DEFERRED_ATTEMPT = 100;

export interface DeferredParts extends RequestParts {
  /** Whether the lease that the sale was made under permits it. */
  permitsDeferred(
    reading: Reading,
    terminalId: PaymentKey["terminalId"],
    leaseId: string | undefined,
  ): Promise<boolean>;
  /** How old a sale may be, by its terminal's time, to be asked for at all; 168 hours when not said. */
  readonly deferredMaxMs?: number;
}

export interface DeferredInput extends Pick<AttemptInput, "key" | "card" | "now"> {
  readonly body: EntryOf<"decision">;
}

/** Within the caller's transaction. A repeat gets the first answer, whatever has changed since. */
export async function askDeferred(parts: DeferredParts, input: DeferredInput, payment: PaymentRecord): Promise<Answer> {
  const { key, body, card, now } = input;
  await parts.store.setDeferred(parts.within, payment.number, {
    businessDate: body.businessDate,
    ...(body.card === undefined ? {} : { maskedPan: body.card.maskedPan }),
  });
  const request = {
    attempt: DEFERRED_ATTEMPT,
    kind: "purchase" as const,
    amount: body.amount,
    ...(body.card === undefined ? {} : { entryMode: body.card.entryMode, iccData: body.card.iccData }),
  };
  const refusal = await refusalOf(parts, input);
  return await decideLate(parts, { key, request, card, now, ...(refusal === undefined ? {} : { refusal }) });
}

async function refusalOf(parts: DeferredParts, { key, body, card, now }: DeferredInput): Promise<Answer | undefined> {
  if (!(await parts.permitsDeferred(parts.within, key.terminalId, body.leaseId))) return NOT_PERMITTED;
  if (typeof card === "object" && card.routed) return NOT_ASKED_LATE;
  const maxMs = parts.deferredMaxMs ?? DEFERRED_MAX_MS;
  if (now - Date.parse(body.at) <= maxMs) return undefined;
  return decline(RESPONSE_CODES.doNotHonour, "E_EXPIRED", `${TOO_OLD} ${Math.round(maxMs / HOUR_MS)} hours`);
}

/** Whether a sale was refused for its age alone, and nobody was asked. */
export const cameTooLate = ({ reason, detail }: Answer): boolean =>
  reason === "E_EXPIRED" && detail?.startsWith(TOO_OLD) === true;

const HOUR_MS = 3_600_000;
const DEFERRED_MAX_MS = 168 * HOUR_MS;
const TOO_OLD = "the sale came for authorisation after more than";

const NOT_ASKED_LATE = decline(
  RESPONSE_CODES.notPermittedToCard,
  "E_DENIED",
  "cards of other institutions are not authorised afterwards",
);

const NOT_PERMITTED = decline(
  RESPONSE_CODES.doNotHonour,
  "E_DENIED",
  "the terminal's lease does not permit deferred authorisation",
);
