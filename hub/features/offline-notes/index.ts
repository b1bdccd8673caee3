/** Offline notes as the rest of the hub sees them. */
import type { PhoneDesk, ServiceCore, ServiceDefinition } from "../../service.ts";
import { answerRequest, answerReturn, closeDue } from "./allowances.ts";
import { resolveNote } from "./notes.ts";
import { operatorRoutes } from "./routes.ts";
import { offlineNotesMigrations } from "./schema.ts";

export const offlineNotes: ServiceDefinition = {
  name: "offline-notes",
  migrations: offlineNotesMigrations,
  define(core) {
    return {
      phone: phoneDesk(core),
      means: { resolveAdvice: (within, input) => resolveNote(core, within, input) },
      sweep: (within) => closeDue(core, within),
      answer: () => Promise.resolve(undefined),
      routes: operatorRoutes,
    };
  },
};

const phoneDesk = (core: ServiceCore): PhoneDesk => ({
  types: ["allowance-request", "allowance-return"],
  async answer(within, message, device) {
    switch (message.type) {
      case "allowance-request":
        return await answerRequest(core, within, { body: message.body, device });
      case "allowance-return":
        return await answerReturn(core, within, { body: message.body, device });
      default:
        throw new Error(`broken invariant: ${message.type} is not for offline notes`);
    }
  },
});
