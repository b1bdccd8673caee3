/** The operator's view of a terminal's day: what the hub took, what the terminal listed, and every difference. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { TerminalIdSchema } from "../../../wire/common.ts";
import { DayReportSchema } from "../../../wire/reconciliation.ts";
import { isoTime, jsonSchema, parseInput } from "../../http.ts";
import type { Reconciliation } from "./service.ts";

const Query = z.strictObject({ terminalId: TerminalIdSchema, businessDate: z.iso.date() });
export const DayShape = z.object({
  terminalId: z.string(),
  businessDate: z.string(),
  from: z.string(),
  to: z.string(),
  entries: z.array(
    z.object({
      epoch: z.string(),
      sequence: z.int(),
      hash: z.string(),
      state: z.string(),
      kind: z.string().optional(),
      paymentId: z.string().optional(),
      reason: z.string().optional(),
      detail: z.string().optional(),
      decidedMinor: z.string().optional(),
    }),
  ),
  moreEntries: z.int(),
  compared: z
    .object({ listedAt: z.string(), epoch: z.string(), listed: z.int(), report: DayReportSchema })
    .optional()
    .describe("absent where the terminal has sent no list of the day"),
});

export function registerReconciliationRoutes(app: FastifyInstance, reconciliation: Reconciliation): void {
  app.get(
    "/v1/reconciliation",
    {
      config: { role: "viewer" },
      schema: {
        summary: "One day of a terminal: the hub's entries, compared with the terminal's last list of the day",
        querystring: jsonSchema(Query),
        response: { 200: jsonSchema(DayShape) },
        security: [{ operator: [] }],
      },
    },
    async (request): Promise<z.output<typeof DayShape>> => {
      const { terminalId, businessDate } = parseInput(Query, request.query);
      const { from, to, entries, moreEntries, compared } = await reconciliation.look(terminalId, businessDate);
      return {
        terminalId,
        businessDate,
        from,
        to,
        entries: entries.map(({ decidedMinor, closedWhy: _, ...entry }) => ({
          ...entry,
          ...(decidedMinor === undefined ? {} : { decidedMinor: decidedMinor.toString() }),
        })),
        moreEntries,
        ...(compared && { compared: { ...compared, listedAt: isoTime(compared.listedAt) } }),
      };
    },
  );
}
