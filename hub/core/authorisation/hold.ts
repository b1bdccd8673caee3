/** An approval as the ledger has it: money held until its confirmation comes. */
import type { RandomBytes } from "../../../base/ids.ts";
import { RESPONSE_CODES } from "../../../wire/authorisation.ts";
import { type Answer, decline } from "./answers.ts";
import type { AttemptInput, RequestParts } from "./request.ts";
import type { PaymentContent, PaymentKey, PaymentRecord } from "./store.ts";

export interface HoldInput {
  readonly debitAccount: string;
  readonly creditAccount: string;
  readonly content: PaymentContent;
}

export async function hold(
  parts: RequestParts,
  { key, request, now }: Pick<AttemptInput, "key" | "request" | "now">,
  accounts: HoldInput,
): Promise<Answer> {
  const { debitAccount, content } = accounts;
  if (content.operation !== "refund" && (await parts.denies?.(parts.within, "account", debitAccount)))
    return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", "this account is on the deny list");
  const refusal = await createHold(parts, { key, attempt: request.attempt, ...accounts });
  return (
    refusal ?? {
      outcome: "approved",
      responseCode: RESPONSE_CODES.approved,
      approvalCode: approvalCode(parts.random),
      ...toldHold(parts, content, now),
    }
  );
}

const WEEK_MS = 7 * 86_400_000;

type HoldTimes = Pick<RequestParts, "holdMs" | "preAuthorisationMs">;
const timeoutOf = ({ holdMs, preAuthorisationMs = WEEK_MS }: HoldTimes, { operation }: PaymentContent): number =>
  operation === "pre-authorisation" ? preAuthorisationMs : holdMs;

/** Its terminal completes it by then. `from`: in milliseconds since 1970, not later than the hold is made. */
export const toldHold = (times: HoldTimes, content: PaymentContent, from: number): Pick<Answer, "heldUntil"> =>
  content.operation === "pre-authorisation"
    ? { heldUntil: new Date(from + timeoutOf(times, content)).toISOString() }
    : {};

/** A pre-authorisation of which its terminal has said that the card's TC stands: nothing but its completion, its void or its time ends it. */
export const isHeld = ({ content, mode }: PaymentRecord): boolean =>
  content?.operation === "pre-authorisation" && mode !== undefined;

/** Undefined when the ledger holds it. */
export async function createHold(
  { postings, within, ...times }: Pick<RequestParts, "postings" | "within" | keyof HoldTimes>,
  { key, attempt, content, ...accounts }: HoldInput & { readonly key: PaymentKey; readonly attempt: number },
): Promise<Answer | undefined> {
  const { operation, minor } = content;
  const status = await postings.hold(within, {
    key,
    attempt,
    operation,
    ...accounts,
    minor,
    timeoutMs: timeoutOf(times, content),
  });
  switch (status) {
    case "created":
      return undefined;
    case "exceeds-credits":
      return decline(RESPONSE_CODES.insufficientFunds, "E_LIMIT", "the account's funds do not suffice");
    case "accounts-must-have-the-same-currency":
      return decline(RESPONSE_CODES.doNotHonour, "E_DENIED", `the account is not kept in ${content.currency}`);
    default:
      return decline(RESPONSE_CODES.systemMalfunction, "E_UNAVAILABLE", `the ledger says ${status}`);
  }
}

/** A card is good to the end of the month that it names. */
export function hasExpired(expiry: string, now: number): boolean {
  const year = 2000 + Number(expiry.slice(0, 2));
  const month = Number(expiry.slice(2, 4));
  return month < 1 || month > 12 || now >= Date.UTC(year, month, 1);
}

const APPROVAL_ALPHABET = "0123456789ABCDEFGHJKLMNPQRSTVWXY";
const APPROVAL_LENGTH = 6;
export function approvalCode(random: RandomBytes): string {
  return Array.from(random(APPROVAL_LENGTH), (byte) => APPROVAL_ALPHABET[byte % APPROVAL_ALPHABET.length]).join("");
}
