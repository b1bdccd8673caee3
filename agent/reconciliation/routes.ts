/** The local API of reconciliation: compares one day with the hub. */
import type { FastifyInstance, FastifyReply } from "fastify";
import { z } from "zod";
import { isFault } from "../../base/fault.ts";
import type { DayReport } from "../../wire/reconciliation.ts";
import { parse, refuse } from "../api/api-errors.ts";
import type { ErrorJson } from "../api/api-schemas.ts";
import type { Reconciler } from "./reconciler.ts";

export const ReconciliationBodySchema = z.strictObject({
  /** In the site's time zone; today when not said. */
  day: z.iso.date("must be a day such as 2026-01-31").optional(),
});

export interface ReconciliationRoutesOptions {
  readonly reconciler: Reconciler;
  /** Ends the wait when the API stops. */
  readonly stopping: AbortSignal;
}

export function reconciliationRoutes(app: FastifyInstance, options: ReconciliationRoutesOptions): void {
  app.post("/v1/reconciliation", async (request, reply): Promise<DayReport | ErrorJson | FastifyReply> => {
    const body = parse(reply, ReconciliationBodySchema, request.body ?? {});
    if (body === undefined) return reply;
    try {
      return await options.reconciler.reconcile(body.day, options.stopping);
    } catch (error) {
      if (!isFault(error, "uplink.down", "uplink.timeout", "uplink.refused")) throw error;
      return refuse(reply, { status: 503, code: "E_UNAVAILABLE", message: error.message });
    }
  });
}
