/** What the operator sees of findings and of entries set aside, and how a person decides on them, over HTTPS. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Clock } from "../../../base/clock.ts";
import { HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import type { HubStore } from "../../store/store.ts";
import { FINDING_KINDS, type Finding } from "./finding-store.ts";
import type { Decision } from "./quarantine.ts";
import type { SetAside } from "./quarantine-store.ts";
import type { Ingest } from "./service.ts";

export interface IngestRouteParts {
  readonly store: HubStore;
  readonly ingest: Ingest;
  readonly clock: Clock;
}

const ClosedShape = z.object({ at: z.string(), by: z.string(), why: z.string() });
const FindingShape = z.object({
  number: z.int(),
  terminalId: z.string(),
  epoch: z.string(),
  kind: z.enum(FINDING_KINDS),
  sequence: z.int().describe("of the first entry that showed it; for a gap, the missing number of the queue"),
  detail: z.string().describe("what is wrong and what to do"),
  times: z.int().describe("how often it was seen"),
  firstSeenAt: z.string(),
  lastSeenAt: z.string(),
  closed: ClosedShape.optional(),
});
const FindingsShape = z.object({ findings: z.array(FindingShape), cursor: z.string().optional() });

const SetAsideShape = z.object({
  number: z.int(),
  terminalId: z.string(),
  epoch: z.string(),
  sequence: z.int(),
  hash: z.string(),
  reason: z.string(),
  detail: z.string(),
  receivedAt: z.string(),
  text: z.string().optional().describe("the entry as the terminal wrote it; where one is asked for"),
  closed: ClosedShape.extend({ status: z.string(), detail: z.string().optional() }).optional(),
});
const SetAsidesShape = z.object({ entries: z.array(SetAsideShape), cursor: z.string().optional() });

const ListQuery = z.strictObject({
  terminalId: z.string().max(64).optional(),
  only: z.literal("open").optional(),
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, "not a cursor that this list gave")
    .optional(),
  limit: LimitSchema,
});
const DecisionBody = z.strictObject({
  by: z.string().trim().min(1).max(64).describe("who decides"),
  why: z.string().trim().min(1).max(200).describe("for those who look into it later"),
});
const NumberParams = z.strictObject({ number: z.coerce.number().int().min(1) });

const STATUS_OF = { unknown: 404, decided: 409, "not-possible": 409 } as const;
const CODE_OF = { unknown: "E_UNKNOWN", decided: "E_STATE", "not-possible": "E_CONFLICT" } as const;
const security = [{ operator: [] }];
const params = { type: "object", properties: { number: { type: "integer" } } };

export function registerIngestRoutes(app: FastifyInstance, parts: IngestRouteParts): void {
  registerFindings(app, parts);
  registerQuarantine(app, parts);
}

function filterOf(query: unknown) {
  const { cursor, ...rest } = parseInput(ListQuery, query);
  return { ...rest, afterNumber: Number(cursor ?? 0) };
}

const cursorOf = (found: readonly { readonly number: number }[], limit: number): { cursor?: string } => {
  const last = found.length === limit ? found.at(-1) : undefined;
  return last ? { cursor: String(last.number) } : {};
};

function registerFindings(app: FastifyInstance, { store, ingest, clock }: IngestRouteParts): void {
  app.get(
    "/v1/findings",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What is wrong with terminals' journals: gaps, forks, restored and cloned disks",
        querystring: jsonSchema(ListQuery),
        response: { 200: jsonSchema(FindingsShape) },
        security,
      },
    },
    async (request) => {
      const filter = filterOf(request.query);
      const found = await store.read((reading) => ingest.findings.list(reading, filter));
      return { findings: found.map(showFinding), ...cursorOf(found, filter.limit) };
    },
  );
  app.post(
    "/v1/findings/:number/close",
    {
      config: { role: "operator", named: ["body.by", "body.why"] },
      schema: {
        summary: "Closes a finding: somebody has looked into it",
        params,
        body: jsonSchema(DecisionBody),
        response: { 200: jsonSchema(FindingShape) },
        security,
      },
    },
    async (request) => {
      const { number } = parseInput(NumberParams, request.params);
      const by = { ...parseInput(DecisionBody, request.body), now: clock.now() };
      return await request.change(async (within) => {
        const closed = await ingest.findings.close(within, number, by);
        if (closed.ok) return showFinding(closed.value);
        if (closed.error === "unknown") throw new HttpRefusal(404, "E_UNKNOWN", `there is no finding ${number}`);
        throw new HttpRefusal(409, "E_STATE", `finding ${number} was closed before`);
      });
    },
  );
}

function registerQuarantine(app: FastifyInstance, { store, ingest, clock }: IngestRouteParts): void {
  const { quarantine } = ingest;
  app.get(
    "/v1/quarantine",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Entries that were set aside, and what became of them",
        querystring: jsonSchema(ListQuery),
        response: { 200: jsonSchema(SetAsidesShape) },
        security,
      },
    },
    async (request) => {
      const filter = filterOf(request.query);
      const found = await store.read((reading) => quarantine.list(reading, filter));
      return { entries: found.map((aside) => showAside(aside)), ...cursorOf(found, filter.limit) };
    },
  );
  app.get(
    "/v1/quarantine/:number",
    {
      config: { role: "viewer" },
      schema: {
        summary: "One entry that was set aside, with its text",
        params,
        response: { 200: jsonSchema(SetAsideShape) },
        security,
      },
    },
    async (request) => {
      const { number } = parseInput(NumberParams, request.params);
      const aside = await store.read((reading) => quarantine.get(reading, number));
      if (!aside) throw new HttpRefusal(404, "E_UNKNOWN", `nothing with the number ${number} was set aside`);
      return { ...showAside(aside), text: aside.text };
    },
  );
  const decide =
    (what: "accept" | "drop") =>
    async (request: FastifyRequest): Promise<z.output<typeof SetAsideShape>> => {
      const { number } = parseInput(NumberParams, request.params);
      const by = { ...parseInput(DecisionBody, request.body), now: clock.now() };
      return await request.change(async (within) => showAside(orRefuse(await quarantine[what](within, number, by))));
    };
  const schemaOf = (summary: string) => ({
    summary,
    params,
    body: jsonSchema(DecisionBody),
    response: { 200: jsonSchema(SetAsideShape) },
    security,
  });
  app.post(
    "/v1/quarantine/:number/accept",
    {
      config: { role: "operator", idempotent: true, named: ["body.by", "body.why"] },
      schema: schemaOf("Applies an entry that was set aside, once, under its payment's id"),
    },
    decide("accept"),
  );
  app.post(
    "/v1/quarantine/:number/drop",
    {
      config: { role: "operator", named: ["body.by", "body.why"] },
      schema: schemaOf("Lays an entry that was set aside to rest: it moves nothing"),
    },
    decide("drop"),
  );
}

function orRefuse(decided: Decision): SetAside {
  if (decided.ok) return decided.value;
  const { reason, detail } = decided.error;
  throw new HttpRefusal(STATUS_OF[reason], CODE_OF[reason], detail);
}

const showFinding = ({ firstSeenAt, lastSeenAt, closed, ...rest }: Finding): z.output<typeof FindingShape> => ({
  ...rest,
  firstSeenAt: isoTime(firstSeenAt),
  lastSeenAt: isoTime(lastSeenAt),
  ...(closed === undefined ? {} : { closed: { ...closed, at: isoTime(closed.at) } }),
});

function showAside(aside: SetAside): z.output<typeof SetAsideShape> {
  const { number, terminalId, epoch, sequence, hash, reason, detail, receivedAt, closed } = aside;
  return {
    number,
    terminalId,
    epoch,
    sequence,
    hash,
    reason,
    detail,
    receivedAt: isoTime(receivedAt),
    ...(closed === undefined ? {} : { closed: showClosed(closed) }),
  };
}

const showClosed = ({ at, by, why, status, detail }: NonNullable<SetAside["closed"]>) => ({
  at: isoTime(at),
  by,
  why,
  status,
  ...(detail === undefined ? {} : { detail }),
});
