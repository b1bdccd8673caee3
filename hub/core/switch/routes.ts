/** What an operator sees and does of issuers over HTTPS: their state, stand-in parameters, the advice log and its exceptions. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { InstitutionIdSchema, PARAMETERS_TEXT_MAX } from "../../../wire/stand-in.ts";
import { HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import type { HubStore } from "../../store/store.ts";
import { netMinor, type ReconciliationTotals, type Total } from "../issuers/index.ts";
import type { Advice } from "./advice-store.ts";
import { RECONCILIATION_STATES, type Reconciliation } from "./reconciliation-store.ts";
import type { IssuerView, SwitchDesk } from "./switch.ts";

const security = [{ operator: [] }];
const IdParams = z.strictObject({ id: InstitutionIdSchema });
const AdviceParams = z.strictObject({ id: InstitutionIdSchema, number: z.coerce.number().int().min(1) });
const idParams = { type: "object", properties: { id: { type: "string" } } };
const adviceParams = { type: "object", properties: { id: { type: "string" }, number: { type: "integer" } } };
const WhySchema = z.string().trim().min(1).max(200);

const ParametersBody = z.strictObject({ text: z.string().min(1).max(PARAMETERS_TEXT_MAX) });
const AsideBody = z.strictObject({ why: WhySchema });
const CursorSchema = z.string().regex(/^\d{1,15}$/, "not a cursor that this list gave");
const AdvicesQuery = z.strictObject({
  only: z.literal("exception").optional(),
  cursor: CursorSchema.optional(),
  limit: LimitSchema,
});
const ReconciliationsQuery = z.strictObject({ cursor: CursorSchema.optional(), limit: LimitSchema });

const IssuerShape = z.object({
  id: z.string(),
  availability: z.enum(["up", "down", "recovering"]),
  link: z.enum(["down", "up", "signed-off"]),
  inFlight: z.int().describe("messages whose answer is waited for"),
  parametersVersion: z.int().optional(),
  parametersValidTo: z.string().optional(),
  stoodInMinor: z.string().describe("approved in its name and not told yet, in minor units"),
  advices: z.object({ open: z.int(), exceptions: z.int() }),
});
const AdviceShape = z.object({
  number: z.int(),
  kind: z.enum(["advice", "reversal"]),
  terminalId: z.string(),
  paymentId: z.string(),
  attempt: z.int().describe("0: the payment was decided by its terminal"),
  reason: z.string(),
  approved: z.boolean(),
  responseCode: z.string(),
  decidedBy: z.string().optional(),
  at: z.string(),
  state: z.enum(["waiting", "sent", "delivered", "exception"]),
  sends: z.int(),
  refusals: z.int(),
  refusedWith: z.string().optional(),
});
const TotalShape = z.object({ count: z.int(), minor: z.string().describe("minor units") });
const TotalsShape = z.object({
  debits: TotalShape,
  debitReversals: TotalShape,
  credits: TotalShape,
  creditReversals: TotalShape,
  netMinor: z.string().describe("what the issuer owes, in minor units; below zero what he is owed"),
});
const ReconciliationShape = z.object({
  day: z.string(),
  currency: z.string(),
  state: z.enum(RECONCILIATION_STATES),
  ours: TotalsShape,
  theirs: TotalsShape.optional().describe("where they are not ours"),
  sends: z.int(),
  refusedWith: z.string().optional(),
  closedAt: z.string(),
  endedAt: z.string().optional().describe("when the issuer answered, or was given up"),
});
const ReconciliationsShape = z.object({ reconciliations: z.array(ReconciliationShape), cursor: z.string().optional() });
const ParametersShape = z.object({ outcome: z.enum(["taken", "known"]), version: z.int() });

const IssuersShape = z.object({ issuers: z.array(IssuerShape) });
const AdvicesShape = z.object({ advices: z.array(AdviceShape), cursor: z.string().optional() });
/** A full set as JSON, with its quotes escaped. */
const PARAMETERS_BODY_BYTES_MAX = 2 * PARAMETERS_TEXT_MAX;

export interface IssuerRouteParts {
  readonly store: HubStore;
  readonly issuers: SwitchDesk;
  /** Terminals get what institutions delegate with their leases. */
  readonly renewal: { all(): void };
}

export function registerIssuerRoutes(app: FastifyInstance, parts: IssuerRouteParts): void {
  readingRoutes(app, parts);
  reconciliationRoutes(app, parts);
  changingRoutes(app, parts);
}

function readingRoutes(app: FastifyInstance, { store, issuers }: IssuerRouteParts): void {
  app.get(
    "/v1/issuers",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Issuers of other institutions: whether they can be asked, and what they have yet to hear",
        security,
        response: { 200: jsonSchema(IssuersShape) },
      },
    },
    async (): Promise<z.output<typeof IssuersShape>> => {
      const views = await store.read((reading) => issuers.list(reading));
      return { issuers: views.map(showIssuer) };
    },
  );
  app.get(
    "/v1/issuers/:id/advices",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What was decided without an issuer, oldest first: all of it, or what he refused to post",
        params: idParams,
        querystring: jsonSchema(AdvicesQuery),
        security,
        response: { 200: jsonSchema(AdvicesShape) },
      },
    },
    async (request): Promise<z.output<typeof AdvicesShape>> => {
      const { id } = parseInput(IdParams, request.params);
      const { only, limit, cursor = "0" } = parseInput(AdvicesQuery, request.query);
      const filter = { afterNumber: Number(cursor), limit, ...(only === undefined ? {} : { only }) };
      const advices = await store.read((reading) => issuers.advices(reading, id, filter));
      if (!advices) throw unknownIssuer(id);
      const last = advices.length === limit ? advices.at(-1) : undefined;
      return { advices: advices.map(showAdvice), ...(last ? { cursor: String(last.number) } : {}) };
    },
  );
}

function reconciliationRoutes(app: FastifyInstance, { store, issuers }: IssuerRouteParts): void {
  app.get(
    "/v1/issuers/:id/reconciliations",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Business days of an issuer, newest first: what he posted as we count it, and what he said of that",
        params: idParams,
        querystring: jsonSchema(ReconciliationsQuery),
        security,
        response: { 200: jsonSchema(ReconciliationsShape) },
      },
    },
    async (request): Promise<z.output<typeof ReconciliationsShape>> => {
      const { id } = parseInput(IdParams, request.params);
      const { limit, cursor } = parseInput(ReconciliationsQuery, request.query);
      const page = { beforeNumber: Number(cursor ?? Number.MAX_SAFE_INTEGER), limit };
      const found = await store.read((reading) => issuers.reconciliations(reading, id, page));
      if (!found) throw unknownIssuer(id);
      const last = found.length === limit ? found.at(-1) : undefined;
      return { reconciliations: found.map(showReconciliation), ...(last ? { cursor: String(last.number) } : {}) };
    },
  );
}

function changingRoutes(app: FastifyInstance, { issuers, renewal }: IssuerRouteParts): void {
  app.post(
    "/v1/issuers/:id/parameters",
    {
      config: { role: "operator", named: ["answer.version", "answer.outcome"] },
      bodyLimit: PARAMETERS_BODY_BYTES_MAX,
      schema: {
        summary: "Stand-in parameters as the institution signed them: what may be decided while it is away",
        params: idParams,
        body: jsonSchema(ParametersBody),
        security,
        response: { 200: jsonSchema(ParametersShape) },
      },
    },
    async (request): Promise<z.output<typeof ParametersShape>> => {
      const { id } = parseInput(IdParams, request.params);
      const { text } = parseInput(ParametersBody, request.body);
      const answer = await request.change(async (within): Promise<z.output<typeof ParametersShape>> => {
        const event = await issuers.offerParameters(within, id, text);
        if (!event) throw unknownIssuer(id);
        if (event.on === "refused")
          throw new HttpRefusal(409, event.refusal.reason, `text: ${event.refusal.detail}`, "text");
        return { outcome: event.on, version: event.version };
      });
      renewal.all();
      return answer;
    },
  );
  app.post(
    "/v1/issuers/:id/advices/:number/set-aside",
    {
      config: { role: "operator", named: ["body.why", "answer.paymentId", "answer.kind"] },
      schema: {
        summary: "Puts an entry on the exception list that the issuer does not answer: it is settled with him by hand",
        params: adviceParams,
        body: jsonSchema(AsideBody),
        security,
        response: { 200: jsonSchema(AdviceShape) },
      },
    },
    async (request): Promise<z.output<typeof AdviceShape>> => {
      const { id, number } = parseInput(AdviceParams, request.params);
      parseInput(AsideBody, request.body);
      return await request.change(async (within) => {
        const advice = await issuers.setAside(within, id, number);
        if (!advice) throw new HttpRefusal(404, "E_UNKNOWN", `${id} has no open entry ${number}`);
        return showAdvice(advice);
      });
    },
  );
}

const unknownIssuer = (id: string): HttpRefusal =>
  new HttpRefusal(
    404,
    "E_UNKNOWN",
    `the configuration has no institution ${id} here; see issuers in the hub's configuration`,
  );

const showIssuer = ({ stoodInMinor, ...view }: IssuerView): z.output<typeof IssuerShape> => ({
  ...view,
  stoodInMinor: stoodInMinor.toString(),
});

function showAdvice(advice: Advice): z.output<typeof AdviceShape> {
  const { number, kind, terminalId, paymentId, attempt, reason, approved, responseCode, decidedBy, at, state } = advice;
  return {
    ...{ number, kind, terminalId, paymentId, attempt, reason, approved, responseCode },
    ...(decidedBy === undefined ? {} : { decidedBy }),
    ...{ at: isoTime(at), state: state.at, sends: state.sends, refusals: state.refusals },
    ...(state.at === "exception" && state.responseCode !== undefined ? { refusedWith: state.responseCode } : {}),
  };
}

function showReconciliation(reconciliation: Reconciliation): z.output<typeof ReconciliationShape> {
  const { day, currency, state, ours, theirs, sends, refusedWith, closedAt, endedAt } = reconciliation;
  return {
    ...{ day, currency, state, sends, ours: showTotals(ours), closedAt: isoTime(closedAt) },
    ...(theirs ? { theirs: showTotals(theirs) } : {}),
    ...(refusedWith === undefined ? {} : { refusedWith }),
    ...(endedAt === undefined ? {} : { endedAt: isoTime(endedAt) }),
  };
}

function showTotals(totals: ReconciliationTotals): z.output<typeof TotalsShape> {
  const shown = ({ count, minor }: Total) => ({ count, minor: minor.toString() });
  return {
    debits: shown(totals.debits),
    debitReversals: shown(totals.debitReversals),
    credits: shown(totals.credits),
    creditReversals: shown(totals.creditReversals),
    netMinor: netMinor(totals).toString(),
  };
}
