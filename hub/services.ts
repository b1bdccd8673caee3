/** The features of this hub, one line each. Nothing else imports a feature. */
import { cardVerification } from "./features/card-verification/index.ts";
import { offlineNotes } from "./features/offline-notes/index.ts";
import { preAuthorisedCode } from "./features/pre-authorised-code/index.ts";
import type { ServiceDefinition } from "./service.ts";

export const SERVICES: readonly ServiceDefinition[] = [cardVerification, preAuthorisedCode, offlineNotes];
