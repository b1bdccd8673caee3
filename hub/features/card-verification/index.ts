/** Card verification as the rest of the hub sees it. */
import type { ServiceDefinition } from "../../service.ts";
import { operatorRoutes } from "./routes.ts";
import { cardVerificationMigrations } from "./schema.ts";
import { createCardVerification } from "./service.ts";

export const cardVerification: ServiceDefinition = {
  name: "card-verification",
  migrations: cardVerificationMigrations,
  define(core) {
    const service = createCardVerification(core);
    return { answer: (within, message) => service.answer(within, message), routes: operatorRoutes(service) };
  },
};
