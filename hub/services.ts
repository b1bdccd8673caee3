/** The features of this hub, one line each. Nothing else imports a feature. */
import { cardVerification } from "./features/card-verification/index.ts";
import type { ServiceDefinition } from "./service.ts";

export const SERVICES: readonly ServiceDefinition[] = [cardVerification];
