/** Issuers: links to them over ISO 8583, what is said on these, and what their answers mean. */
export { acknowledgementOf, decisionOf, type IssuerDecision } from "./answers.ts";
export { issuerObjects } from "./icc-data.ts";
export { IssuerLink, type IssuerLinkOptions, type LinkAnswer } from "./issuer-link.ts";
export { adviceMessage, type IssuerPayment, requestMessage, reversalMessage, rrnOf } from "./messages.ts";
export type { Trace } from "./network.ts";
export { reconciliationAnswer, reconciliationMessage } from "./reconciliation.ts";
