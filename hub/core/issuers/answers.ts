/** What an issuer's answer means. An answer that does not fit its request is taken for none: what the issuer did is not known. */

import { responseCodeOf } from "../../../protocols/iso8583/editions.ts";
import { DE, type Iso8583Message, textOf, tlvOf } from "../../../protocols/iso8583/message.ts";
import { type ForTheCard, forTheCard } from "./icc-data.ts";

/**
 * `unable`: the issuer, or what stands before him, cannot decide now. `mismatched`: an answer about another amount or currency, or
 * without a code: as good as none, and to be reversed where nobody stands in.
 */
export type IssuerDecision =
  | ({ readonly outcome: "approved"; readonly responseCode: string; readonly approvalCode?: string } & ForTheCard)
  /** Less than was asked for (RM26). */
  | ({
      readonly outcome: "partly-approved";
      readonly responseCode: string;
      readonly minor: bigint;
      readonly approvalCode?: string;
    } & ForTheCard)
  | ({ readonly outcome: "declined"; readonly responseCode: string } & ForTheCard)
  | { readonly outcome: "unable"; readonly responseCode: string }
  | { readonly outcome: "mismatched" };

/** Approved; honour with identification; approved (VIP). */
const APPROVALS: readonly string[] = ["00", "08", "11"];
const PARTIAL_APPROVAL = "10";
/** Re-enter, cut-off in process, issuer inoperative, no route to him, system malfunction. */
const UNABLE: readonly string[] = ["19", "90", "91", "92", "96"];
/** Time-out between a switch and the issuer: nobody knows. */
const TIMED_OUT_BEHIND = "68";

/** Reads the answer to a 0100 or a 0200. */
export function decisionOf(request: Iso8583Message, answer: Iso8583Message): IssuerDecision {
  const responseCode = responseCodeOf(answer);
  if (responseCode === undefined || responseCode === TIMED_OUT_BEHIND) return { outcome: "mismatched" };
  if (UNABLE.includes(responseCode)) return { outcome: "unable", responseCode };
  const card = forTheCard(tlvOf(answer, DE.iccData));
  const approvalCode = textOf(answer, DE.approvalCode);
  const approval = { responseCode, ...(approvalCode !== undefined && { approvalCode }), ...card };
  const asked = amountOf(request) ?? 0n;
  const minor = amountOf(answer);
  if (APPROVALS.includes(responseCode)) {
    return sameCurrency(request, answer) && (minor ?? asked) === asked
      ? { outcome: "approved", ...approval }
      : { outcome: "mismatched" };
  }
  if (responseCode !== PARTIAL_APPROVAL) return { outcome: "declined", responseCode, ...card };
  return sameCurrency(request, answer) && minor !== undefined && minor > 0n && minor < asked
    ? { outcome: "partly-approved", minor, ...approval }
    : { outcome: "mismatched" };
}

function amountOf(message: Iso8583Message): bigint | undefined {
  const text = textOf(message, DE.amountTransaction);
  return text === undefined ? undefined : BigInt(text);
}

function sameCurrency(request: Iso8583Message, answer: Iso8583Message): boolean {
  const currency = textOf(answer, DE.currencyTransaction);
  return currency === undefined || currency === textOf(request, DE.currencyTransaction);
}

/** What became of an advice or a reversal: taken, refused for good as far as the issuer is concerned, or to be told again. */
export type Acknowledgement =
  | { readonly what: "taken" }
  /** Of a reversal: it is taken, and changed nothing in his books. */
  | { readonly what: "nothing-to-reverse" }
  | { readonly what: "refused"; readonly responseCode: string }
  | { readonly what: "again"; readonly responseCode?: string };

/** He has it already. */
const DUPLICATE = "94";
/** Of a reversal: there is nothing to take back. */
const ORIGINAL_NOT_FOUND = "25";

/** Reads the answer to a 0120, 0220, 0420 or a repeat of one. */
export function acknowledgementOf(sent: Iso8583Message, answer: Iso8583Message): Acknowledgement {
  const responseCode = responseCodeOf(answer);
  if (responseCode === undefined) return { what: "again" };
  if (responseCode === ORIGINAL_NOT_FOUND && sent.mti[1] === "4") return { what: "nothing-to-reverse" };
  if (APPROVALS.includes(responseCode) || responseCode === DUPLICATE) return { what: "taken" };
  if (UNABLE.includes(responseCode) || responseCode === TIMED_OUT_BEHIND) return { what: "again", responseCode };
  return { what: "refused", responseCode };
}
