/** Chargebacks and second presentments over HTTPS. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { AMOUNT_MINOR_MAX } from "../../../base/money.ts";
import { CurrencySchema, PaymentIdSchema, TerminalIdSchema } from "../../../wire/common.ts";
import { HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import type { ChargebackRefusal } from "./chargebacks.ts";
import { type Dispute, disputeStore } from "./dispute-store.ts";
import { MinorText, pathOf, security, unknown } from "./route-shapes.ts";
import type { SettlementRouteParts } from "./routes.ts";

/** Part of transfer ids. */
const CaseSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "letters, digits, . _ - and at most 64");
const ChargebackBody = z.strictObject({
  /** As the scheme or the issuer names the case: the same again moves nothing. */
  id: CaseSchema,
  terminalId: TerminalIdSchema,
  paymentId: PaymentIdSchema,
  reasonCode: z.string().regex(/^[A-Za-z0-9.-]{1,16}$/, "a scheme's reason code, such as 10.4"),
  amount: z.strictObject({
    minor: z
      .string()
      .regex(/^[1-9]\d{0,11}$/, "a whole number of minor units, at most 12 digits, and not zero")
      .refine((minor) => BigInt(minor) <= AMOUNT_MINOR_MAX),
    currency: CurrencySchema,
  }),
});
const ChargebackShape = z.object({
  id: z.string(),
  terminalId: z.string(),
  paymentId: z.string(),
  merchantId: z.string(),
  reasonCode: z.string(),
  amount: z.object({ minor: MinorText, currency: z.string() }),
  accountId: z.string().optional(),
  exposure: z
    .object({ minor: MinorText, party: z.string() })
    .optional()
    .describe("the part that went back to who had borne it"),
  state: z.enum(["charged-back", "represented"]),
  at: z.string(),
  representedAt: z.string().optional(),
  uncoveredMinor: MinorText.optional().describe("what of the second presentment the customer's account could not pay"),
});
const ChargebacksShape = z.object({ chargebacks: z.array(ChargebackShape), cursor: z.string().optional() });
const PageQuery = z.strictObject({ cursor: z.string().max(64).optional(), limit: LimitSchema });
const CaseParams = z.strictObject({ id: CaseSchema });

export function chargebackRoutes(app: FastifyInstance, { store, settlement }: SettlementRouteParts): void {
  app.get(
    "/v1/chargebacks",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Chargebacks, by case",
        querystring: jsonSchema(PageQuery),
        response: { 200: jsonSchema(ChargebacksShape) },
        security,
      },
    },
    async (request) => {
      const { cursor: after = "", limit } = parseInput(PageQuery, request.query);
      const found = await store.read((reading) => disputeStore.disputes(reading, { after, limit }));
      const last = found.length === limit ? found.at(-1) : undefined;
      return { chargebacks: found.map(showDispute), ...(last ? { cursor: last.id } : {}) };
    },
  );
  app.post(
    "/v1/chargebacks",
    {
      config: {
        role: "operator",
        idempotent: true,
        named: ["body.id", "body.terminalId", "body.paymentId", "body.amount.minor", "body.amount.currency"],
      },
      schema: {
        summary: "Takes a confirmed purchase, or a part of it, back from the merchant",
        body: jsonSchema(ChargebackBody),
        response: { 201: jsonSchema(ChargebackShape) },
        security,
      },
    },
    async (request, reply) => {
      const { amount, ...order } = parseInput(ChargebackBody, request.body);
      const money = { minor: BigInt(amount.minor), currency: amount.currency };
      void reply.code(201);
      return await request.change(async (within) => {
        const charged = await settlement.chargeBack(within, { ...order, amount: money });
        if (!charged.ok) throw refusalOf(charged.error);
        return showDispute(charged.value);
      });
    },
  );
  app.post(
    "/v1/chargebacks/:id/represent",
    {
      config: { role: "operator", idempotent: true },
      schema: {
        summary: "A second presentment: gives the merchant back what was charged back",
        params: pathOf("id"),
        response: { 200: jsonSchema(ChargebackShape) },
        security,
      },
    },
    async (request) => {
      const { id } = parseInput(CaseParams, request.params);
      return await request.change(async (within) => {
        const represented = await settlement.represent(within, id);
        if (!represented) throw unknown(`chargeback ${id}`);
        return showDispute(represented);
      });
    },
  );
}

function refusalOf(refusal: ChargebackRefusal): HttpRefusal {
  switch (refusal.why) {
    case "unknown":
      return new HttpRefusal(404, "E_UNKNOWN", "paymentId: no confirmed purchase has this id", "paymentId");
    case "currency":
      return new HttpRefusal(409, "E_CONFLICT", "amount.currency differs from the purchase", "amount.currency");
    case "conflict":
      return new HttpRefusal(409, "E_CONFLICT", `${refusal.field} differs from what this case said before`, "id");
    case "too-much":
      return new HttpRefusal(
        409,
        "E_LIMIT",
        `of the purchase ${refusal.leftMinor} minor units are left to charge back`,
        "amount.minor",
      );
  }
}

function showDispute(dispute: Dispute): z.output<typeof ChargebackShape> {
  const { minor, currency, exposureMinor, exposureParty, at, representedAt, uncoveredMinor, ...rest } = dispute;
  return {
    ...rest,
    amount: { minor: minor.toString(), currency },
    ...(exposureMinor > 0n && exposureParty !== undefined
      ? { exposure: { minor: exposureMinor.toString(), party: exposureParty } }
      : {}),
    at: isoTime(at),
    ...(representedAt === undefined ? {} : { representedAt: isoTime(representedAt) }),
    ...(uncoveredMinor === undefined ? {} : { uncoveredMinor: uncoveredMinor.toString() }),
  };
}
