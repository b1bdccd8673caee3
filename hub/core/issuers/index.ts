/** Issuers: links to them over ISO 8583, what is said on these, and what their answers mean. */
export { type Acknowledgement, acknowledgementOf, decisionOf, type IssuerDecision } from "./answers.ts";
export { issuerObjects } from "./icc-data.ts";
export { IssuerLink, type IssuerLinkOptions, type LinkAnswer } from "./issuer-link.ts";
export {
  type AdviceReason,
  adviceMessage,
  type IssuerPayment,
  type MessageClass,
  type Original,
  requestMessage,
  reversalMessage,
  rrnOf,
} from "./messages.ts";
export type { Trace } from "./network.ts";
export { type Posting, postingOf } from "./posting.ts";
export {
  netMinor,
  type ReconciliationMessage,
  type ReconciliationTotals,
  reconciliationAnswer,
  reconciliationMessage,
  type Total,
} from "./reconciliation.ts";
