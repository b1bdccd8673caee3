/** Settlement: from confirmed payments to money paid out. Merchants and their sites, batches, settlements, payouts. */
import type { Clock } from "../../../base/clock.ts";
import { Fault } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { EntryOf } from "../../../wire/journal-entry.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { ChargedBack, Confirmed, PaymentKey } from "../authorisation/index.ts";
import type { Ledger } from "../ledger/index.ts";
import { batchStore } from "./batch-store.ts";
import { type Batches, type Closed, createBatches } from "./batches.ts";
import { businessDayAt } from "./business-day.ts";
import {
  type ChargebackOrder,
  type ChargebackParts,
  type ChargebackRefusal,
  chargeBack,
  chargedBack,
  represent,
} from "./chargebacks.ts";
import type { Dispute } from "./dispute-store.ts";
import { feeOf, NO_FEES, type SaleMeans } from "./fees.ts";
import { type MadePayout, makePayout, type PayoutOrder, type PayoutParts, type PayoutRefusal } from "./payouts.ts";
import { type Merchant, placeStore, type Site } from "./place-store.ts";
import { type SettledBatch, type SettleRefusal, settleBatch, settleClosed } from "./settle.ts";
import type { Settlement as Settled } from "./settlement-store.ts";
import { type TradeTerms, USUAL_TERMS } from "./trade-terms.ts";

export interface SettlementOptions extends Pick<ChargebackParts, "purchase" | "riskParty">, Pick<PayoutParts, "payer"> {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly ledger: Ledger;
  /** Whose terminals are that stand at no site in particular, which then is the site of this name. */
  readonly merchant: Pick<Merchant, "id" | "name">;
  /** Whether this hub ever heard of a payment of the terminal. */
  hasSold(reading: Reading, terminalId: string): Promise<boolean>;
}

/** unknown: there is no such merchant or site. other-merchant: a site, or a terminal that has sold, stays with its own. */
export type PlaceRefusal = "unknown" | "other-merchant";

export interface Settlement {
  /** Makes the hub's own merchant and site, with an open batch, where they are not there yet. */
  prepare(within: Within): Promise<void>;
  /** Writes a payment that is confirmed now into the open batch. */
  confirmed(within: Within, payment: Confirmed): Promise<void>;
  merchantOf(reading: Reading, terminalId: string): Promise<string>;
  /** What of a payment is charged back now. */
  chargedBack(reading: Reading, key: PaymentKey): Promise<ChargedBack>;
  /** What the merchant of a terminal may sell beside goods. */
  termsOf(reading: Reading, terminalId: string): Promise<TradeTerms>;
  /** Whether a sale is in a batch that is neither closed nor due to be, at this time in milliseconds since 1970. */
  inOpenBatch(reading: Reading, key: PaymentKey, now: number): Promise<boolean>;
  putMerchant(within: Within, merchant: Merchant): Promise<void>;
  putSite(within: Within, site: Site): Promise<Result<Site, PlaceRefusal>>;
  assign(within: Within, terminalId: string, siteId: string): Promise<Result<Site, PlaceRefusal>>;
  /** By an operator's word, before its time. Undefined for a site that is not known. */
  cutover(within: Within, siteId: string): Promise<Closed | undefined>;
  /** Closes what is due. */
  sweep(within: Within): Promise<readonly Closed[]>;
  settle(within: Within, batch: number): Promise<Result<readonly Settled[], SettleRefusal>>;
  /** Closed batches, oldest first, as many as one transaction may hold up the others for. */
  settleClosed(within: Within): Promise<{ readonly settled: readonly SettledBatch[]; readonly more: boolean }>;
  payOut(within: Within, order: Omit<PayoutOrder, "now">): Promise<Result<MadePayout, PayoutRefusal>>;
  chargeBack(within: Within, order: Omit<ChargebackOrder, "now">): Promise<Result<Dispute, ChargebackRefusal>>;
  represent(within: Within, id: string): Promise<Dispute | undefined>;
}

const CUTOVERS_PER_SWEEP_MAX = 200;
const SETTLED_AT_ONCE_MAX = 100;

export function createSettlement(options: SettlementOptions): Settlement {
  const { clock, ledger, merchant } = options;
  const batches = createBatches(merchant.id);
  const chargebacks: ChargebackParts = { ...options, batches };
  const now = () => clock.now();
  return {
    prepare: (within) => prepare(within, { batches, merchant, now: now() }),
    confirmed: (within, payment) => join(within, batches, payment),
    merchantOf: (reading, terminalId) => batches.merchantOf(reading, terminalId),
    async termsOf(reading, terminalId) {
      const merchant = await placeStore.merchant(reading, await batches.merchantOf(reading, terminalId));
      return merchant?.trade ?? USUAL_TERMS;
    },
    inOpenBatch: (reading, key, at) => batchStore.holdsOpen(reading, key, at),
    chargedBack: (reading, key) => chargedBack(reading, key, options.riskParty),
    putMerchant: (within, changed) => placeStore.putMerchant(within, changed, now()),
    putSite: (within, site) => putSite(within, { batches, site, now: now() }),
    assign: (within, terminalId, siteId) => assign(within, { ...options, batches }, { terminalId, siteId }),
    async cutover(within, siteId) {
      if (!(await placeStore.site(within, siteId))) return undefined;
      return await batches.cutover(within, siteId, { now: now(), by: "operator" });
    },
    sweep: (within) => batches.cutDue(within, now(), CUTOVERS_PER_SWEEP_MAX),
    settle: (within, number) => settleBatch(ledger, within, { number, now: now() }),
    settleClosed: (within) => settleClosed(ledger, within, { limit: SETTLED_AT_ONCE_MAX, now: now() }),
    payOut: (within, order) => makePayout(options, within, { ...order, now: now() }),
    chargeBack: (within, order) => chargeBack(chargebacks, within, { ...order, now: now() }),
    represent: (within, id) => represent(chargebacks, within, { id, now: now() }),
  };
}

interface Preparing {
  readonly batches: Batches;
  readonly merchant: SettlementOptions["merchant"];
  readonly now: number;
}

async function prepare(within: Within, { batches, merchant: { id, name }, now }: Preparing): Promise<void> {
  if (!(await placeStore.merchant(within, id)))
    await placeStore.putMerchant(within, { id, name, fees: NO_FEES, trade: USUAL_TERMS }, now);
  const site = await placeStore.site(within, id);
  if (site && site.merchantId !== id)
    throw new Fault(
      "config.invalid",
      `merchant.id: "${id}" is a site of the merchant ${site.merchantId}; name another`,
    );
  if (site) return;
  await placeStore.putSite(within, { id, merchantId: id, name, timeZone: "UTC", cutover: "00:00" }, now);
  await batches.open(within, id, now);
}

async function join(within: Within, batches: Batches, confirmed: Confirmed): Promise<void> {
  const { key, body, exposureMinor, now } = confirmed;
  const place = await batches.placeOf(within, key.terminalId, now);
  const isSale = body.operation !== "refund";
  const minor = BigInt(body.amount.minor);
  const means = meansOf(body);
  await batches.join(within, place, {
    ...key,
    kind: isSale ? "purchase" : "refund",
    currency: body.amount.currency,
    minor,
    exposureMinor: isSale ? exposureMinor : 0n,
    feeMinor: isSale ? feeOf(place.fees, { means, minor }) : 0n,
    means,
    businessDate: body.businessDate,
    at: now,
  });
}

function meansOf({ note, code, card }: EntryOf<"decision">): SaleMeans | undefined {
  if (note) return "note";
  return code ? "code" : card?.entryMode;
}

interface PuttingSite {
  readonly batches: Batches;
  readonly site: Site;
  readonly now: number;
}

/** Its open batch ends with the next cutover of the new terms; one that was due by the old ones ends now. */
async function putSite(within: Within, { batches, site, now }: PuttingSite): Promise<Result<Site, PlaceRefusal>> {
  if (!(await placeStore.merchant(within, site.merchantId))) return fail("unknown");
  const known = await placeStore.site(within, site.id);
  if (known && known.merchantId !== site.merchantId) return fail("other-merchant");
  const open = await batchStore.openBatch(within, site.id);
  await placeStore.putSite(within, site, now);
  if (!open) await batches.open(within, site.id, now);
  else if (open.closesAt <= now) await batches.cutover(within, site.id, { now, by: "cutover" });
  else await batchStore.moveCutover(within, site.id, businessDayAt(now, site).toMs);
  return ok(site);
}

type Assigning = Pick<SettlementOptions, "clock" | "hasSold"> & { readonly batches: Batches };

/** What a terminal still holds was sold for its merchant, and is his on arrival: so it stays with him. */
async function assign(
  within: Within,
  { clock, hasSold, batches }: Assigning,
  { terminalId, siteId }: { readonly terminalId: string; readonly siteId: string },
): Promise<Result<Site, PlaceRefusal>> {
  const site = await placeStore.site(within, siteId);
  if (!site) return fail("unknown");
  const present = await batches.merchantOf(within, terminalId);
  if (site.merchantId !== present && (await hasSold(within, terminalId))) return fail("other-merchant");
  await placeStore.assign(within, terminalId, { siteId, at: clock.now() });
  return ok(site);
}
