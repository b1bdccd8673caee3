/** The operator's way to bring in a terminal's journal while the hub runs: its file in parts, checked and then applied. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { isFault, reasonOf } from "../base/fault.ts";
import { EntryReceiptSchema } from "../wire/advice.ts";
import { MESSAGE_BYTES_MAX } from "../wire/envelope.ts";
import { EXPORT_LINE_MAX } from "../wire/journal-export.ts";
import { HttpRefusal, jsonSchema, parseInput } from "./http.ts";
import { type AppliedPart, type CheckedImport, type ImportSink, PART_LINES_MAX } from "./import-sessions.ts";
import type { OperatorClient } from "./operator-client.ts";

const BegunShape = z.object({ id: z.string() });
const CheckedShape = z.object({
  terminalId: z.string(),
  epoch: z.string(),
  entries: z.int(),
  firstBad: z.object({ sequence: z.int(), why: z.string() }).optional(),
});
const AppliedShape = z.object({ skipped: z.int(), held: z.int(), results: z.array(EntryReceiptSchema) });
const LinesBody = z.strictObject({ lines: z.array(z.string().max(EXPORT_LINE_MAX)).min(1).max(PART_LINES_MAX) });
const IdParams = z.strictObject({ id: z.string().regex(/^[0-9a-f]{16}$/) });

const security = [{ operator: [] }];
const params = { type: "object", properties: { id: { type: "string" } } };
const refusals = {
  "message.invalid": [400, "E_FORMAT"],
  "signature.invalid": [409, "E_SIG"],
  "identity.invalid": [409, "E_UNKNOWN"],
  "queue.full": [429, "E_UNAVAILABLE"],
} as const;

export function registerImportRoutes(app: FastifyInstance, imports: ImportSink): void {
  const lines = jsonSchema(LinesBody);
  app.post(
    "/v1/imports",
    {
      config: { role: "operator", audit: "steps", named: ["answer.id"] },
      schema: { summary: "Begins to import a terminal's journal", response: { 201: jsonSchema(BegunShape) }, security },
    },
    async (_request, reply) => {
      const id = await told(imports.begin());
      void reply.code(201);
      return { id };
    },
  );
  app.post(
    "/v1/imports/:id/check",
    {
      bodyLimit: MESSAGE_BYTES_MAX,
      config: { role: "operator", audit: "none" },
      schema: { summary: "The next lines of the file, to be checked", params, body: lines, security },
    },
    async (request) => {
      await told(imports.check(idOf(request), linesOf(request)));
      return {};
    },
  );
  app.post(
    "/v1/imports/:id/checked",
    {
      config: { role: "operator", audit: "steps", named: ["answer.terminalId", "answer.epoch", "answer.entries"] },
      schema: {
        summary: "The file has been sent: whether its signature, its key and its chain hold",
        params,
        response: { 200: jsonSchema(CheckedShape) },
        security,
      },
    },
    (request) => told(imports.checked(idOf(request))),
  );
  app.post(
    "/v1/imports/:id/apply",
    {
      bodyLimit: MESSAGE_BYTES_MAX,
      config: { role: "operator", audit: "steps", named: ["answer.held", "answer.skipped"] },
      schema: {
        summary: "The same lines in the same parts once more, to be applied",
        params,
        body: lines,
        response: { 200: jsonSchema(AppliedShape) },
        security,
      },
    },
    (request) => told(imports.apply(idOf(request), linesOf(request))),
  );
}

const idOf = ({ params: given }: FastifyRequest): string => parseInput(IdParams, given).id;
const linesOf = ({ body }: FastifyRequest): readonly string[] => parseInput(LinesBody, body).lines;

/** A file that is not what it should be is the sender's matter, in words for the person who sent it. */
async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const refusal =
      isFault(error) && error.code in refusals ? refusals[error.code as keyof typeof refusals] : undefined;
    if (refusal === undefined) throw error;
    throw new HttpRefusal(refusal[0], refusal[1], reasonOf(error));
  }
}

/** The other end of the line: speaks to a running hub. */
export const remoteImports = (client: OperatorClient): ImportSink => ({
  begin: async () => BegunShape.parse(await client.post("/v1/imports", {})).id,
  async check(id, lines) {
    await client.post(`/v1/imports/${id}/check`, { lines });
  },
  checked: async (id) => CheckedShape.parse(await client.post(`/v1/imports/${id}/checked`, {})) as CheckedImport,
  apply: async (id, lines) =>
    AppliedShape.parse(await client.post(`/v1/imports/${id}/apply`, { lines })) as AppliedPart,
});
