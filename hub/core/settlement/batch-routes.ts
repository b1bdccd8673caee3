/** Batches over HTTPS: what is in them, whether the terminals agree, cutover, settlement, and the merchant's statement. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { DayReportSchema } from "../../../wire/reconciliation.ts";
import { HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import type { Reading } from "../../store/store.ts";
import { type Batch, batchStore } from "./batch-store.ts";
import {
  MinorText,
  NumberCursor,
  PartySchema,
  pathOf,
  SumShape,
  security,
  showSum,
  showTotals,
  TotalsShape,
  unknown,
} from "./route-shapes.ts";
import type { SettlementRouteParts } from "./routes.ts";
import type { SettledBatch } from "./settle.ts";
import { type Settlement, settlementStore } from "./settlement-store.ts";
import { type Statement, statementsOf } from "./statement.ts";

const BatchShape = z.object({
  number: z.int(),
  siteId: z.string(),
  merchantId: z.string(),
  businessDate: z.string(),
  state: z.enum(["open", "closed", "settled"]),
  openedAt: z.string(),
  closesAt: z.string().describe("the site's next cutover, when it was opened or the site changed"),
  closedAt: z.string().optional(),
  closedBy: z.string().optional(),
  settledAt: z.string().optional(),
  totals: z.array(TotalsShape).describe("by currency"),
});
const BatchesShape = z.object({ batches: z.array(BatchShape), cursor: z.string().optional() });
const BatchQuery = z.strictObject({
  siteId: PartySchema.optional(),
  state: z.enum(["open", "closed", "settled"]).optional(),
  cursor: NumberCursor,
  limit: LimitSchema,
});
const NumberParams = z.strictObject({ number: z.coerce.number().int().min(1) });
const SiteParams = z.strictObject({ id: PartySchema });

const SettlementShape = z.object({
  currency: z.string(),
  netMinor: MinorText,
  feesMinor: MinorText,
  carriedInMinor: MinorText.describe("debt of earlier batches: zero or below"),
  payableMinor: MinorText,
  carriedMinor: MinorText.describe("debt that later batches make good: zero or below"),
});
const SettledShape = z.object({ batch: z.int(), merchantId: z.string(), settlements: z.array(SettlementShape) });
const SettledBatchesShape = z.object({
  settled: z.array(SettledShape).describe("oldest first"),
  through: z.int().optional().describe("every closed batch up to this number is settled"),
  more: z.boolean().describe("more closed batches wait: ask again"),
});
const TerminalShape = TotalsShape.extend({
  terminalId: z.string(),
  businessDate: z.string().describe("as the terminal told it; before the batch's own where entries came late"),
  agreement: z.enum(["agreed", "differs", "not-compared"]),
  report: DayReportSchema.optional().describe("of the terminal's whole business date; names each difference"),
});
const ShownBatch = BatchShape.extend({
  terminals: z.array(TerminalShape),
  settlements: z.array(SettlementShape),
});
const ClosedShape = z.object({ closed: BatchShape, opened: z.int() });

const StatementQuery = z.strictObject({ merchantId: PartySchema, day: z.iso.date() });
const StatementShape = z.object({
  currency: z.string(),
  openingMinor: MinorText,
  sales: SumShape,
  refunds: SumShape,
  chargebacks: SumShape,
  representments: SumShape,
  feesMinor: MinorText,
  payouts: SumShape,
  closingMinor: MinorText,
  open: z.boolean().describe("a batch of the day is still open: more may come"),
});
const StatementsShape = z.object({ merchantId: z.string(), day: z.string(), statements: z.array(StatementShape) });

export function batchRoutes(app: FastifyInstance, parts: SettlementRouteParts): void {
  readingRoutes(app, parts);
  statementRoute(app, parts);
  changingRoutes(app, parts);
  settleClosedRoute(app, parts);
}

function readingRoutes(app: FastifyInstance, parts: SettlementRouteParts): void {
  const { store } = parts;
  app.get(
    "/v1/batches",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Batches with their totals, newest first",
        querystring: jsonSchema(BatchQuery),
        response: { 200: jsonSchema(BatchesShape) },
        security,
      },
    },
    async (request) => {
      const { cursor = String(Number.MAX_SAFE_INTEGER), ...query } = parseInput(BatchQuery, request.query);
      return await store.read(async (reading) => {
        const found = await batchStore.batches(reading, { ...query, beforeNumber: Number(cursor) });
        const batches: z.output<typeof BatchShape>[] = [];
        for (const batch of found) batches.push(await showBatch(reading, batch));
        const last = found.length === query.limit ? found.at(-1) : undefined;
        return { batches, ...(last ? { cursor: String(last.number) } : {}) };
      });
    },
  );
  app.get(
    "/v1/batches/:number",
    {
      config: { role: "viewer" },
      schema: {
        summary: "A batch, by terminal, with what came of comparing each terminal's day; and how it was settled",
        params: pathOf("number"),
        response: { 200: jsonSchema(ShownBatch) },
        security,
      },
    },
    async (request) => {
      const { number } = parseInput(NumberParams, request.params);
      return await store.read((reading) => wholeBatch(reading, parts, number));
    },
  );
}

function statementRoute(app: FastifyInstance, { store }: SettlementRouteParts): void {
  app.get(
    "/v1/statements",
    {
      config: { role: "viewer" },
      schema: {
        summary: "A merchant's day: opening balance, what changed it, closing balance",
        querystring: jsonSchema(StatementQuery),
        response: { 200: jsonSchema(StatementsShape) },
        security,
      },
    },
    async (request) => {
      const { merchantId, day } = parseInput(StatementQuery, request.query);
      const statements = await store.read((reading) => statementsOf(reading, { merchantId, day }));
      return { merchantId, day, statements: statements.map(showStatement) };
    },
  );
}

function changingRoutes(app: FastifyInstance, { settlement }: SettlementRouteParts): void {
  app.post(
    "/v1/sites/:id/cutover",
    {
      config: { role: "operator", named: ["answer.closed.number"] },
      schema: {
        summary: "Closes the site's batch now and opens the next",
        params: pathOf("id"),
        response: { 200: jsonSchema(ClosedShape) },
        security,
      },
    },
    async (request) => {
      const { id } = parseInput(SiteParams, request.params);
      return await request.change(async (within) => {
        const cut = await settlement.cutover(within, id);
        if (!cut) throw unknown(`site ${id}`);
        return { closed: await showBatch(within, cut.closed), opened: cut.opened };
      });
    },
  );
  app.post(
    "/v1/batches/:number/settle",
    {
      config: { role: "operator", idempotent: true },
      schema: {
        summary: "Settles a closed batch: fees to the fee account, the rest to the merchant's payable account",
        params: pathOf("number"),
        response: { 200: jsonSchema(SettledShape) },
        security,
      },
    },
    async (request) => {
      const { number } = parseInput(NumberParams, request.params);
      return await request.change(async (within) => {
        const settled = await settlement.settle(within, number);
        if (!settled.ok && settled.error === "unknown") throw unknown(`batch ${number}`);
        if (!settled.ok) throw new HttpRefusal(409, "E_STATE", "this batch is open; cut its site over first");
        const batch = await batchStore.batch(within, number);
        return { batch: number, merchantId: batch?.merchantId ?? "", settlements: settled.value.map(showSettlement) };
      });
    },
  );
}

function settleClosedRoute(app: FastifyInstance, { settlement }: SettlementRouteParts): void {
  app.post(
    "/v1/batches/settle",
    {
      config: { role: "operator", idempotent: true, named: ["answer.through"] },
      schema: {
        summary: "Settles closed batches, oldest first, as many as fit one request",
        response: { 200: jsonSchema(SettledBatchesShape) },
        security,
      },
    },
    (request) =>
      request.change(async (within) => {
        const { settled, more } = await settlement.settleClosed(within);
        const last = settled.at(-1);
        return { settled: settled.map(showSettled), ...(last && { through: last.batch.number }), more };
      }),
  );
}

const showSettled = ({ batch, settlements }: SettledBatch): z.output<typeof SettledShape> => ({
  batch: batch.number,
  merchantId: batch.merchantId,
  settlements: settlements.map(showSettlement),
});

async function showBatch(reading: Reading, batch: Batch): Promise<z.output<typeof BatchShape>> {
  const { number, closedAt, closedBy, settledAt, openedAt, closesAt, ...rest } = batch;
  const totals =
    closedAt === undefined ? await batchStore.sums(reading, number) : await batchStore.totals(reading, number);
  return {
    ...{ number, ...rest, openedAt: isoTime(openedAt), closesAt: isoTime(closesAt) },
    state: closedAt === undefined ? "open" : settledAt === undefined ? "closed" : "settled",
    ...(closedAt === undefined ? {} : { closedAt: isoTime(closedAt) }),
    ...(closedBy === undefined ? {} : { closedBy }),
    ...(settledAt === undefined ? {} : { settledAt: isoTime(settledAt) }),
    totals: totals.map(showTotals),
  };
}

async function wholeBatch(
  reading: Reading,
  { reconciliation }: SettlementRouteParts,
  number: number,
): Promise<z.output<typeof ShownBatch>> {
  const batch = await batchStore.batch(reading, number);
  if (!batch) throw unknown(`batch ${number}`);
  const terminals: z.output<typeof TerminalShape>[] = [];
  for (const share of await batchStore.shares(reading, number)) {
    const { terminalId, businessDate } = share;
    const report = await reconciliation.lastReport(reading, terminalId, businessDate);
    const agreement = report === undefined ? "not-compared" : report.differences.length === 0 ? "agreed" : "differs";
    terminals.push({ ...showTotals(share), terminalId, businessDate, agreement, ...(report && { report }) });
  }
  const settlements = (await settlementStore.ofBatch(reading, number)).map(showSettlement);
  return { ...(await showBatch(reading, batch)), terminals, settlements };
}

const showSettlement = (settlement: Settlement): z.output<typeof SettlementShape> => ({
  currency: settlement.currency,
  netMinor: settlement.netMinor.toString(),
  feesMinor: settlement.feesMinor.toString(),
  carriedInMinor: settlement.carriedInMinor.toString(),
  payableMinor: settlement.payableMinor.toString(),
  carriedMinor: settlement.carriedMinor.toString(),
});

const showStatement = (statement: Statement): z.output<typeof StatementShape> => ({
  currency: statement.currency,
  openingMinor: statement.openingMinor.toString(),
  sales: showSum(statement.sales),
  refunds: showSum(statement.refunds),
  chargebacks: showSum(statement.chargebacks),
  representments: showSum(statement.representments),
  feesMinor: statement.feesMinor.toString(),
  payouts: showSum(statement.payouts),
  closingMinor: statement.closingMinor.toString(),
  open: statement.isOpen,
});
