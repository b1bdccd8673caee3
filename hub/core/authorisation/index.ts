/** Authorisation as the rest of the hub sees it. */

export type {
  Acquiring,
  Asked,
  Asking,
  OfflineApproval,
  Question,
  QuestionedCard,
  RoutedCard,
  StoodIn,
} from "./acquiring.ts";
export { type Answer, STALE_ANSWER } from "./answers.ts";
export type { Confirmed, EntryOutcome } from "./entries.ts";
export { approvalCode } from "./hold.ts";
export type { CardRange } from "./issuing.ts";
export type { AdvicePayer, Means, MeansAdvice, MeansOutcome, MeansRequest, Payer } from "./means.ts";
export type { ChargedBack, Purchase } from "./purchase.ts";
export type { Decided, Presented } from "./request.ts";
export { registerAuthorisationRoutes } from "./routes.ts";
export { authorisationMigrations } from "./schema.ts";
export { type Authorisation, createAuthorisation } from "./service.ts";
export type { PaymentKey } from "./store.ts";
