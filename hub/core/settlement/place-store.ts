/** All SQL of merchants, their sites, and which terminal stands where. */
import { type Reading, sql, type Within } from "../../store/store.ts";
import type { DayTerms } from "./business-day.ts";
import { type FeeSchedule, FeeScheduleSchema } from "./fees.ts";
import { type TradeTerms, TradeTermsSchema, USUAL_TERMS } from "./trade-terms.ts";

export interface Merchant {
  /** Part of account ids. */
  readonly id: string;
  readonly name: string;
  /** Where his money goes; without one nothing is paid out. */
  readonly account?: { readonly iban: string; readonly bic: string };
  /** ISO 18245, four digits. */
  readonly category?: string;
  readonly fees: FeeSchedule;
  readonly trade: TradeTerms;
}

export interface Site extends DayTerms {
  readonly id: string;
  readonly merchantId: string;
  readonly name: string;
}

/** Where a terminal's payments go. */
export interface Place {
  readonly siteId: string;
  readonly merchantId: string;
  readonly fees: FeeSchedule;
  /** The open batch of the site. */
  readonly batch: number;
  readonly closesAt: number;
}

interface Page {
  readonly after: string;
  readonly limit: number;
}

interface MerchantRow {
  readonly id: string;
  readonly name: string;
  readonly iban: string | null;
  readonly bic: string | null;
  readonly category: string | null;
  readonly fees: string;
  readonly trade: string | null;
}

const MERCHANT = "SELECT id, name, iban, bic, category, fees, trade FROM settlement__merchant";
const GET_MERCHANT = sql<[string], MerchantRow>(`${MERCHANT} WHERE id = ?`);
const MERCHANTS = sql<[string, number], MerchantRow>(`${MERCHANT} WHERE id > ? ORDER BY id LIMIT ?`);
const PUT_MERCHANT = sql<[string, string, string | null, string | null, string | null, string, string, number]>(
  `INSERT INTO settlement__merchant (id, name, iban, bic, category, fees, trade, changed_at)
   VALUES (?, ?, ?, ?, ?, ?, ?, ?)
   ON CONFLICT (id) DO UPDATE SET name = excluded.name, iban = excluded.iban, bic = excluded.bic,
     category = excluded.category, fees = excluded.fees, trade = excluded.trade,
     changed_at = excluded.changed_at`,
);

const SITE = "SELECT id, merchant_id AS merchantId, name, time_zone AS timeZone, cutover FROM settlement__site";
const GET_SITE = sql<[string], Site>(`${SITE} WHERE id = ?`);
const SITES = sql<[string, number], Site>(`${SITE} WHERE id > ? ORDER BY id LIMIT ?`);
const PUT_SITE = sql<[string, string, string, string, string, number]>(
  `INSERT INTO settlement__site (id, merchant_id, name, time_zone, cutover, changed_at) VALUES (?, ?, ?, ?, ?, ?)
   ON CONFLICT (id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone, cutover = excluded.cutover,
     changed_at = excluded.changed_at`,
);

const ASSIGN = sql<[string, string, number]>(
  `INSERT INTO settlement__terminal (terminal_id, site_id, at) VALUES (?, ?, ?)
   ON CONFLICT (terminal_id) DO UPDATE SET site_id = excluded.site_id, at = excluded.at`,
);
const ASSIGNED = sql<[string, number], { terminalId: string }>(
  "SELECT terminal_id AS terminalId FROM settlement__terminal WHERE site_id = ? ORDER BY terminal_id LIMIT ?",
);

type PlaceRow = Omit<Place, "fees"> & { readonly fees: string };
/** The second parameter is the site of terminals that stand nowhere in particular. */
const PLACE = sql<[string, string], PlaceRow>(
  `SELECT s.id AS siteId, s.merchant_id AS merchantId, m.fees, b.number AS batch, b.closes_at AS closesAt
   FROM settlement__site s JOIN settlement__merchant m ON m.id = s.merchant_id
   JOIN settlement__batch b ON b.site_id = s.id AND b.closed_at IS NULL
   WHERE s.id = coalesce((SELECT site_id FROM settlement__terminal WHERE terminal_id = ?), CAST(? AS TEXT))`,
);

const feesIn = (text: string): FeeSchedule => FeeScheduleSchema.parse(JSON.parse(text));

function merchantIn({ id, name, iban, bic, category, fees, trade }: MerchantRow): Merchant {
  return {
    id,
    name,
    ...(iban === null || bic === null ? {} : { account: { iban, bic } }),
    ...(category === null ? {} : { category }),
    fees: feesIn(fees),
    trade: trade === null ? USUAL_TERMS : TradeTermsSchema.parse(JSON.parse(trade)),
  };
}

export const placeStore = {
  async merchant(reading: Reading, id: string): Promise<Merchant | undefined> {
    const row = await reading.get(GET_MERCHANT, [id]);
    return row && merchantIn(row);
  },
  merchants: async (reading: Reading, { after, limit }: Page): Promise<readonly Merchant[]> =>
    (await reading.all(MERCHANTS, [after, limit])).map(merchantIn),
  async putMerchant(within: Within, merchant: Merchant, at: number): Promise<void> {
    const { id, name, account, category = null, fees, trade } = merchant;
    const { iban = null, bic = null } = account ?? {};
    await within.run(PUT_MERCHANT, [id, name, iban, bic, category, JSON.stringify(fees), JSON.stringify(trade), at]);
  },

  site: (reading: Reading, id: string): Promise<Site | undefined> => reading.get(GET_SITE, [id]),
  sites: (reading: Reading, { after, limit }: Page): Promise<readonly Site[]> => reading.all(SITES, [after, limit]),
  /** The merchant of a site that is there already stays. */
  async putSite(within: Within, { id, merchantId, name, timeZone, cutover }: Site, at: number): Promise<void> {
    await within.run(PUT_SITE, [id, merchantId, name, timeZone, cutover, at]);
  },

  async assign(within: Within, terminalId: string, { siteId, at }: { siteId: string; at: number }): Promise<void> {
    await within.run(ASSIGN, [terminalId, siteId, at]);
  },
  assigned: async (reading: Reading, siteId: string, limit: number): Promise<readonly string[]> =>
    (await reading.all(ASSIGNED, [siteId, limit])).map(({ terminalId }) => terminalId),

  /** Undefined only where there is no such site, or none of its batches is open. */
  async place(reading: Reading, terminalId: string, defaultSite: string): Promise<Place | undefined> {
    const row = await reading.get(PLACE, [terminalId, defaultSite]);
    return row && { ...row, fees: feesIn(row.fees) };
  },
};
