/** Merchants, their sites, and which terminal stands where, over HTTPS. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { ACCOUNT_NAME_MAX, isBic, isIban } from "../../../protocols/iso20022/bank-account.ts";
import { TerminalIdSchema } from "../../../wire/common.ts";
import { HttpRefusal, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import { isTimeZone } from "./business-day.ts";
import { FeeScheduleSchema, NO_FEES } from "./fees.ts";
import { type Merchant, placeStore } from "./place-store.ts";
import { PartySchema, pathOf, security, unknown } from "./route-shapes.ts";
import type { SettlementRouteParts } from "./routes.ts";
import { TradeTermsSchema } from "./trade-terms.ts";

/** A name goes into files for banks and spreadsheets: nothing that either reads as its own. */
const NameSchema = z
  .string()
  .trim()
  .min(1)
  .max(ACCOUNT_NAME_MAX)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]*$/u, "no control characters")
  .regex(/^[^=+\-@]/, "begins with what a spreadsheet calculates with");
const AccountSchema = z.strictObject({
  iban: z.string().refine(isIban, "no IBAN: without spaces, and with check digits that hold"),
  bic: z.string().refine(isBic, "no BIC"),
});
const MerchantBody = z.strictObject({
  id: PartySchema,
  name: NameSchema,
  account: AccountSchema.optional(),
  category: z
    .string()
    .regex(/^\d{4}$/, "four digits of ISO 18245")
    .optional(),
  fees: FeeScheduleSchema.default(NO_FEES),
  trade: TradeTermsSchema.prefault({}),
});
const MerchantShape = z.object({
  id: z.string(),
  name: z.string(),
  account: z.object({ iban: z.string(), bic: z.string() }).optional(),
  category: z.string().optional(),
  fees: FeeScheduleSchema,
  trade: TradeTermsSchema,
});
const MerchantsShape = z.object({ merchants: z.array(MerchantShape), cursor: z.string().optional() });
const PageQuery = z.strictObject({ cursor: z.string().max(64).optional(), limit: LimitSchema });

const SiteBody = z.strictObject({
  id: PartySchema,
  merchantId: PartySchema,
  name: NameSchema,
  timeZone: z.string().max(64).refine(isTimeZone, "no time zone known here; such as Europe/Berlin").default("UTC"),
  cutover: z
    .string()
    .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, "HH:MM on the site's clocks")
    .default("00:00"),
});
const SiteShape = z.object({
  id: z.string(),
  merchantId: z.string(),
  name: z.string(),
  timeZone: z.string(),
  cutover: z.string(),
});
const ListedSite = SiteShape.extend({ terminals: z.array(z.string()).describe("those that were assigned") });
const SitesShape = z.object({ sites: z.array(ListedSite), cursor: z.string().optional() });
const AssignBody = z.strictObject({ terminalId: TerminalIdSchema });
const SiteParams = z.strictObject({ id: PartySchema });
const TERMINALS_SHOWN_MAX = 1_000;

const OTHER_MERCHANT = {
  site: "id: this site belongs to another merchant, for good; name a new one",
  terminal: "terminalId: it has sold for another merchant, and what it still holds is his; enrol it under another id",
};

export function merchantRoutes(app: FastifyInstance, parts: SettlementRouteParts): void {
  listRoutes(app, parts);
  app.post(
    "/v1/merchants",
    {
      config: { role: "admin", named: ["body.id", "body.account.iban", "body.account.bic"] },
      schema: {
        summary: "Makes a merchant, or changes one: name, payout account, fees, cash and tips",
        body: jsonSchema(MerchantBody),
        response: { 201: jsonSchema(MerchantShape) },
        security,
      },
    },
    async (request, reply) => {
      const merchant = merchantFrom(parseInput(MerchantBody, request.body));
      void reply.code(201);
      return await request.change(async (within) => {
        await parts.settlement.putMerchant(within, merchant);
        return merchant;
      });
    },
  );
  siteRoutes(app, parts);
}

/** Absent means absent. */
function merchantFrom({ account, category, ...merchant }: z.output<typeof MerchantBody>): Merchant {
  return { ...merchant, ...(account && { account }), ...(category !== undefined && { category }) };
}

function listRoutes(app: FastifyInstance, { store }: SettlementRouteParts): void {
  app.get(
    "/v1/merchants",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Merchants with their payout accounts and fees",
        querystring: jsonSchema(PageQuery),
        response: { 200: jsonSchema(MerchantsShape) },
        security,
      },
    },
    async (request) => {
      const { cursor: after = "", limit } = parseInput(PageQuery, request.query);
      const merchants = await store.read((reading) => placeStore.merchants(reading, { after, limit }));
      const last = merchants.length === limit ? merchants.at(-1) : undefined;
      return { merchants, ...(last ? { cursor: last.id } : {}) };
    },
  );
  app.get(
    "/v1/sites",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Sites with their terminals",
        querystring: jsonSchema(PageQuery),
        response: { 200: jsonSchema(SitesShape) },
        security,
      },
    },
    async (request) => {
      const { cursor: after = "", limit } = parseInput(PageQuery, request.query);
      return await store.read(async (reading) => {
        const sites: z.output<typeof ListedSite>[] = [];
        for (const site of await placeStore.sites(reading, { after, limit }))
          sites.push({ ...site, terminals: [...(await placeStore.assigned(reading, site.id, TERMINALS_SHOWN_MAX))] });
        const last = sites.length === limit ? sites.at(-1) : undefined;
        return { sites, ...(last ? { cursor: last.id } : {}) };
      });
    },
  );
}

function siteRoutes(app: FastifyInstance, { settlement }: SettlementRouteParts): void {
  app.post(
    "/v1/sites",
    {
      config: { role: "operator", named: ["body.id", "body.merchantId", "body.timeZone", "body.cutover"] },
      schema: {
        summary: "Makes a site of a merchant, or changes its name, time zone and cutover",
        body: jsonSchema(SiteBody),
        response: { 201: jsonSchema(SiteShape) },
        security,
      },
    },
    async (request, reply) => {
      const site = parseInput(SiteBody, request.body);
      void reply.code(201);
      return await request.change(async (within) => {
        const put = await settlement.putSite(within, site);
        if (put.ok) return put.value;
        if (put.error === "unknown") throw unknown(`merchant ${site.merchantId}`);
        throw new HttpRefusal(409, "E_CONFLICT", OTHER_MERCHANT.site, "id");
      });
    },
  );
  app.post(
    "/v1/sites/:id/terminals",
    {
      config: { role: "operator", named: ["body.terminalId"] },
      schema: {
        summary: "Says that a terminal stands at this site from now on",
        params: pathOf("id"),
        body: jsonSchema(AssignBody),
        response: { 200: jsonSchema(SiteShape) },
        security,
      },
    },
    async (request) => {
      const { id } = parseInput(SiteParams, request.params);
      const { terminalId } = parseInput(AssignBody, request.body);
      return await request.change(async (within) => {
        const assigned = await settlement.assign(within, terminalId, id);
        if (assigned.ok) return assigned.value;
        if (assigned.error === "unknown") throw unknown(`site ${id}`);
        throw new HttpRefusal(409, "E_STATE", OTHER_MERCHANT.terminal, "terminalId");
      });
    },
  );
}
