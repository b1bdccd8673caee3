/** Payouts and their files over HTTPS. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { currencyOf } from "../../../base/money.ts";
import { CurrencySchema } from "../../../wire/common.ts";
import { HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import { linesSum, PAYOUT_FORMATS, type PayoutView, payoutFile, payoutView } from "./payouts.ts";
import { MinorText, NumberCursor, PartySchema, pathOf, security, unknown } from "./route-shapes.ts";
import type { SettlementRouteParts } from "./routes.ts";
import { type Payout, settlementStore } from "./settlement-store.ts";

const PayoutBody = z.strictObject({
  currency: CurrencySchema.default(currencyOf("EUR")),
  /** Of one merchant alone. */
  merchantId: PartySchema.optional(),
  /** When the bank is to pay: today in UTC, or later. */
  executionDate: z.iso.date(),
});
const PayoutShape = z.object({
  messageId: z.string(),
  currency: z.string(),
  executionDate: z.string(),
  createdAt: z.string(),
  sumMinor: MinorText,
  lines: z.array(
    z.object({
      endToEndId: z.string(),
      merchantId: z.string(),
      name: z.string(),
      iban: z.string(),
      bic: z.string(),
      minor: MinorText,
    }),
  ),
});
const MadeShape = PayoutShape.extend({
  more: z.boolean().describe("one message has no room for all who have something to get: make another"),
});
const ListedPayout = PayoutShape.omit({ lines: true }).extend({ payments: z.int() });
const PayoutsShape = z.object({ payouts: z.array(ListedPayout), cursor: z.string().optional() });
const PageQuery = z.strictObject({ cursor: NumberCursor, limit: LimitSchema });
const MessageParams = z.strictObject({ id: z.string().regex(/^[0-9a-f]{24}$/, "the message id of a payout") });
const FileQuery = z.strictObject({ format: z.enum(PAYOUT_FORMATS).default("pain001") });
const FileShape = z.object({ messageId: z.string(), format: z.enum(PAYOUT_FORMATS), text: z.string() });

const WHY_NOT = {
  "no-payer": "the hub's configuration names no account to pay from: payer",
  past: "executionDate: this day is over in UTC, and its statements are written",
  nothing: "nobody who has a payout account has anything to get in this currency",
} as const;

export function payoutRoutes(app: FastifyInstance, parts: SettlementRouteParts): void {
  const { store, settlement } = parts;
  app.get(
    "/v1/payouts",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Payouts, newest first",
        querystring: jsonSchema(PageQuery),
        response: { 200: jsonSchema(PayoutsShape) },
        security,
      },
    },
    async (request) => {
      const { cursor = String(Number.MAX_SAFE_INTEGER), limit } = parseInput(PageQuery, request.query);
      return await store.read(async (reading) => {
        const found = await settlementStore.payouts(reading, Number(cursor), limit);
        const payouts: z.output<typeof ListedPayout>[] = [];
        for (const payout of found) {
          const { payments, minor } = await settlementStore.lineSum(reading, payout.number);
          payouts.push({ ...showMessage(payout, minor), payments: Number(payments) });
        }
        const last = found.length === limit ? found.at(-1) : undefined;
        return { payouts, ...(last ? { cursor: String(last.number) } : {}) };
      });
    },
  );
  app.post(
    "/v1/payouts",
    {
      config: {
        role: "operator",
        idempotent: true,
        named: ["body.currency", "body.merchantId", "answer.messageId", "answer.sumMinor"],
      },
      schema: {
        summary: "Pays merchants what was settled: their payable balances leave the books under one message id",
        body: jsonSchema(PayoutBody),
        response: { 201: jsonSchema(MadeShape) },
        security,
      },
    },
    async (request, reply) => {
      const order = parseInput(PayoutBody, request.body);
      void reply.code(201);
      return await request.change(async (within) => {
        const made = await settlement.payOut(within, order);
        if (made.ok) return { ...showPayout(made.value), more: made.value.more };
        throw new HttpRefusal(409, "E_STATE", WHY_NOT[made.error]);
      });
    },
  );
  fileRoutes(app, parts);
}

function fileRoutes(app: FastifyInstance, { store }: SettlementRouteParts): void {
  const viewOf = async (id: string): Promise<PayoutView> => {
    const view = await store.read((reading) => payoutView(reading, id));
    if (!view) throw unknown(`payout ${id}`);
    return view;
  };
  app.get(
    "/v1/payouts/:id",
    {
      config: { role: "viewer" },
      schema: {
        summary: "A payout with each of its payments",
        params: pathOf("id"),
        response: { 200: jsonSchema(PayoutShape) },
        security,
      },
    },
    async (request) => showPayout(await viewOf(parseInput(MessageParams, request.params).id)),
  );
  app.get(
    "/v1/payouts/:id/file",
    {
      config: { role: "operator" },
      schema: {
        summary: "The file for the bank, ISO 20022 pain.001.001.09, or as CSV: the same whenever it is asked for",
        params: pathOf("id"),
        querystring: jsonSchema(FileQuery),
        response: { 200: jsonSchema(FileShape) },
        security,
      },
    },
    async (request) => {
      const { id } = parseInput(MessageParams, request.params);
      const { format } = parseInput(FileQuery, request.query);
      return { messageId: id, format, text: payoutFile(await viewOf(id), format) };
    },
  );
}

const showMessage = ({ messageId, currency, executionDate, createdAt }: Payout, sumMinor: bigint) => ({
  messageId,
  currency,
  executionDate,
  createdAt: isoTime(createdAt),
  sumMinor: sumMinor.toString(),
});

function showPayout(view: PayoutView): z.output<typeof PayoutShape> {
  return {
    ...showMessage(view, linesSum(view)),
    lines: view.lines.map(({ endToEndId, merchantId, minor, creditor }) => ({
      ...{ endToEndId, merchantId, ...creditor, minor: minor.toString() },
    })),
  };
}
