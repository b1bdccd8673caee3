/** Offline notes as the rest of the hub sees them. */
import type { PayerDevice } from "../../core/payers/index.ts";
import type { PhoneDesk, ServiceDefinition } from "../../service.ts";
import { answerRequest, answerReturn, closeDue, type NoteParts } from "./allowances.ts";
import { resolveNote } from "./notes.ts";
import { operatorRoutes } from "./routes.ts";
import { offlineNotesMigrations } from "./schema.ts";
import { createNoteStore } from "./store.ts";

export const offlineNotes: ServiceDefinition = {
  name: "offline-notes",
  migrations: offlineNotesMigrations,
  define(core) {
    const parts: NoteParts = { ...core, store: createNoteStore(core.database) };
    return {
      phone: phoneDesk(parts),
      means: { resolveAdvice: (input) => resolveNote(parts, input) },
      sweep: () => closeDue(parts),
      answer: () => undefined,
      routes: operatorRoutes(parts.store),
    };
  },
};

const phoneDesk = (parts: NoteParts): PhoneDesk => ({
  types: ["allowance-request", "allowance-return"],
  answer(message, device: PayerDevice) {
    switch (message.type) {
      case "allowance-request":
        return answerRequest(parts, message, device);
      case "allowance-return":
        return answerReturn(parts, message, device);
      default:
        throw new Error(`broken invariant: ${message.type} is not for offline notes`);
    }
  },
});
