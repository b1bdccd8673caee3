/** What an online request is answered: the forms that several deciders share. */
import { type AuthorisationResponse, RESPONSE_CODES } from "../../../wire/authorisation.ts";
import type { ReasonCode } from "../../../wire/common.ts";

export type Answer = Pick<
  AuthorisationResponse,
  | "outcome"
  | "responseCode"
  | "reason"
  | "detail"
  | "approvalCode"
  | "heldUntil"
  | "maskedAccount"
  | "issuerAuthenticationData"
  | "issuerScripts"
>;
/** What an issuer says to his card. */
export type ForCard = Pick<Answer, "issuerAuthenticationData" | "issuerScripts">;

export const STALE_ANSWER: Answer = {
  outcome: "stale",
  responseCode: RESPONSE_CODES.systemMalfunction,
  reason: "E_STALE",
};

export const decline = (responseCode: string, reason: ReasonCode, detail: string): Answer => ({
  outcome: "declined",
  responseCode,
  reason,
  detail,
});
export const refuseState = (detail: string): Answer => decline(RESPONSE_CODES.doNotHonour, "E_STATE", detail);
export const conflict = (field: string): Answer =>
  decline(RESPONSE_CODES.duplicate, "E_CONFLICT", `${field} differs from what came under this id before`);
