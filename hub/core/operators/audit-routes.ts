/** The audit log over HTTPS: what was done, and whether the log is whole. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { HttpRefusal, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import type { AuditEntry, AuditVerdict } from "./audit.ts";
import type { Operators } from "./service.ts";

const NumberText = z.string().regex(/^\d{1,15}$/, "not a number of an entry");
const ListQuery = z.strictObject({
  cursor: NumberText.optional(),
  order: z.enum(["newest-first", "oldest-first"]).default("newest-first"),
  limit: LimitSchema,
});
const EntryShape = z.object({
  number: z.int(),
  hash: z.string().describe("SHA-256 over number, hash of the entry before, and text"),
  text: z.string().describe("the bytes that were written: JSON"),
});
const EntriesShape = z.object({ entries: z.array(EntryShape), cursor: z.string().optional() });

const VerifyQuery = z.strictObject({
  known: z
    .string()
    .regex(/^\d{1,15}:[0-9a-f]{64}$/, "number:hash, as an earlier verification named its head")
    .optional(),
});
const VerdictShape = z.object({
  entries: z.int(),
  head: z.object({ number: z.int(), hash: z.string() }),
  firstBroken: z.object({ number: z.int(), why: z.string() }).optional(),
});
const security = [{ operator: [] }];

export function registerAuditRoutes(app: FastifyInstance, { store, audit }: Operators): void {
  app.get(
    "/v1/audit",
    {
      config: { role: "admin" },
      schema: {
        summary: "What operators did",
        querystring: jsonSchema(ListQuery),
        response: { 200: jsonSchema(EntriesShape) },
        security,
      },
    },
    async (request) => {
      const { cursor, order, limit } = parseInput(ListQuery, request.query);
      const found = await store.read((reading) =>
        order === "oldest-first"
          ? audit.after(reading, Number(cursor ?? 0), limit)
          : audit.before(reading, Number(cursor ?? Number.MAX_SAFE_INTEGER), limit),
      );
      return { entries: found, ...cursorOf(found, limit) };
    },
  );
  let running: Promise<AuditVerdict> | undefined;
  app.get(
    "/v1/audit/verify",
    {
      config: { role: "admin" },
      schema: {
        summary: "Whether the log is as it was written, from its first entry to its signed head",
        querystring: jsonSchema(VerifyQuery),
        response: { 200: jsonSchema(VerdictShape) },
        security,
      },
    },
    async (request): Promise<AuditVerdict> => {
      const { known } = parseInput(VerifyQuery, request.query);
      const [number = "0", hash = ""] = known?.split(":") ?? [];
      if (running) throw new HttpRefusal(409, "E_STATE", "somebody else has it checked at this moment");
      running = audit.verify(known === undefined ? undefined : { number: Number(number), hash });
      return await running.finally(() => {
        running = undefined;
      });
    },
  );
}

const cursorOf = (found: readonly AuditEntry[], limit: number): { cursor?: string } => {
  const last = found.length === limit ? found.at(-1) : undefined;
  return last ? { cursor: String(last.number) } : {};
};
