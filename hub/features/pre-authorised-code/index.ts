/** Pre-authorised codes as the rest of the hub sees them. */
import { assert } from "../../../base/assert.ts";
import type { ServiceDefinition } from "../../service.ts";
import { operatorRoutes } from "./routes.ts";
import { preAuthorisedCodeMigrations } from "./schema.ts";
import { createPreAuthorisedCodes } from "./service.ts";

export const preAuthorisedCode: ServiceDefinition = {
  name: "pre-authorised-code",
  migrations: preAuthorisedCodeMigrations,
  define(core) {
    const service = createPreAuthorisedCodes(core);
    return {
      means: {
        resolveRequest: (input) => service.resolve(input),
        settle: (key, outcome) => service.settle(key, outcome),
      },
      phone: {
        types: ["authorisation-request"],
        answer(message, device) {
          assert(message.type === "authorisation-request", `a ${message.type} is not for pre-authorised codes`);
          return service.register(message.body, device);
        },
      },
      answer: () => undefined,
      routes: operatorRoutes(service),
    };
  },
};
