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
        resolveRequest: (within, input) => service.resolve(within, input),
        settle: (within, key, outcome) => service.settle(within, key, outcome),
      },
      phone: {
        types: ["authorisation-request"],
        async answer(within, message, device) {
          assert(message.type === "authorisation-request", `a ${message.type} is not for pre-authorised codes`);
          return await service.register(within, message.body, device);
        },
      },
      answer: () => Promise.resolve(undefined),
      routes: operatorRoutes(service),
    };
  },
};
