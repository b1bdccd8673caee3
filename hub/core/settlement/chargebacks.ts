/**
 * A customer's bank takes a purchase back, and the merchant may present it a second time: transfers of their own, beside
 * the purchase, in the batch that is open when they come (RM17).
 */
import { assert } from "../../../base/assert.ts";
import type { Money } from "../../../base/money.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { ChargedBack, PaymentKey, Purchase } from "../authorisation/index.ts";
import type { Ledger } from "../ledger/index.ts";
import { accountsIn, type Books, EXPOSURE_CODE, type Moved, moveChained, SETTLEMENT_CODES } from "./accounts.ts";
import type { Batches } from "./batches.ts";
import { type Dispute, disputeStore } from "./dispute-store.ts";

export interface ChargebackParts {
  readonly ledger: Ledger;
  readonly batches: Batches;
  /** Who bears what a second presentment cannot take from the customer's account, where nobody bore a part before. */
  readonly riskParty: string;
  /** Undefined for what is no confirmed purchase. */
  purchase(reading: Reading, key: PaymentKey): Promise<Purchase | undefined>;
}

export interface ChargebackOrder extends PaymentKey {
  readonly id: string;
  readonly reasonCode: string;
  readonly amount: Money;
  readonly now: number;
}

/** conflict: the case is known with other content. too-much: more than is left of the purchase. */
export type ChargebackRefusal =
  | { readonly why: "unknown" | "currency" }
  | { readonly why: "conflict"; readonly field: string }
  | { readonly why: "too-much"; readonly leftMinor: bigint };

const FIELDS = ["terminalId", "paymentId", "reasonCode", "currency", "minor"] as const;

/** The same case again gets its first answer and moves nothing. */
export async function chargeBack(
  parts: ChargebackParts,
  within: Within,
  order: ChargebackOrder,
): Promise<Result<Dispute, ChargebackRefusal>> {
  const { id, terminalId, paymentId, reasonCode, amount, now } = order;
  const { minor, currency } = amount;
  const asked = { terminalId, paymentId, reasonCode, currency, minor };
  const known = await disputeStore.dispute(within, id);
  if (known) {
    const field = FIELDS.find((name) => known[name] !== asked[name]);
    return field === undefined ? ok(known) : fail({ why: "conflict", field });
  }
  const purchase = await parts.purchase(within, order);
  if (!purchase) return fail({ why: "unknown" });
  if (purchase.currency !== currency) return fail({ why: "currency" });
  const { standingMinor } = await disputeStore.sums(within, order);
  const leftMinor = purchase.minor - purchase.refundedMinor - standingMinor;
  if (minor > leftMinor) return fail({ why: "too-much", leftMinor });
  const { merchantId } = await parts.batches.placeOf(within, terminalId, now);
  const open = purchase.exposure?.minor ?? 0n;
  // A customer gets back no more than his account gave: who bore a part is made good first, as with a refund.
  const exposureMinor = open < minor ? open : minor;
  const dispute: Dispute = {
    ...{ id, ...asked, merchantId, state: "charged-back", at: now, exposureMinor },
    ...(purchase.accountId === undefined ? {} : { accountId: purchase.accountId }),
    ...(purchase.exposure === undefined ? {} : { exposureParty: purchase.exposure.party }),
  };
  await moveChained({ ledger: parts.ledger, within }, `chargeback/${id}`, await chargebackLegs(parts, within, dispute));
  await disputeStore.insert(within, dispute);
  await joinBatch(parts, within, { dispute, kind: "chargeback", businessDate: purchase.businessDate, now });
  return ok(dispute);
}

/** `riskParty`: of what became exposure before its party was noted with it. */
export async function chargedBack(reading: Reading, key: PaymentKey, riskParty: string): Promise<ChargedBack> {
  const { standingMinor, standingExposureMinor, uncoveredMinor, exposureParty } = await disputeStore.sums(reading, key);
  const standing = { minor: standingMinor, exposureMinor: standingExposureMinor };
  if (uncoveredMinor === 0n) return standing;
  return { ...standing, uncovered: { minor: uncoveredMinor, party: exposureParty ?? riskParty } };
}

async function chargebackLegs(
  { ledger }: ChargebackParts,
  within: Within,
  { id, merchantId, currency, minor, accountId, exposureMinor, exposureParty }: Dispute,
): Promise<readonly Moved[]> {
  const accounts = accountsIn({ ledger, within }, currency);
  const debitAccount = await accounts.merchant(merchantId);
  const code = SETTLEMENT_CODES.chargeback;
  const legs: Moved[] = [];
  const toCustomer = minor - exposureMinor;
  if (toCustomer > 0n) {
    assert(accountId !== undefined, "what no exposure bore was paid by an account");
    legs.push({ id: `chargeback/${id}/0`, debitAccount, creditAccount: accountId, amount: toCustomer, code });
  }
  if (exposureMinor > 0n) {
    assert(exposureParty !== undefined, "an exposure has who bears it");
    const creditAccount = await accounts.exposure(exposureParty);
    legs.push({ id: `chargeback/${id}/exposure`, debitAccount, creditAccount, amount: exposureMinor, code });
  }
  return legs;
}

/** A second presentment: all of it goes back to the merchant. Undefined for a case that is not known. */
export async function represent(
  parts: ChargebackParts,
  within: Within,
  { id, now }: { readonly id: string; readonly now: number },
): Promise<Dispute | undefined> {
  const known = await disputeStore.dispute(within, id);
  if (!known || known.state === "represented") return known;
  const dispute = { ...known, exposureParty: known.exposureParty ?? parts.riskParty };
  const books = { ledger: parts.ledger, within };
  const { legs, uncoveredMinor } = await representmentLegs(books, dispute);
  await moveChained(books, `chargeback/${id}`, legs);
  await disputeStore.represent(within, id, { at: now, uncoveredMinor, exposureParty: dispute.exposureParty });
  const purchase = await parts.purchase(within, dispute);
  assert(purchase !== undefined, "what was charged back was a confirmed purchase");
  await joinBatch(parts, within, { dispute, kind: "representment", businessDate: purchase.businessDate, now });
  return { ...dispute, state: "represented", representedAt: now, uncoveredMinor };
}

/** The customer may have spent it meanwhile: what his account has, and the rest is exposure. */
async function representmentLegs(books: Books, dispute: Dispute & { readonly exposureParty: string }) {
  const { id, merchantId, currency, minor, accountId, exposureMinor, exposureParty } = dispute;
  const accounts = accountsIn(books, currency);
  const creditAccount = await accounts.merchant(merchantId);
  const owed = minor - exposureMinor;
  const has = accountId === undefined ? 0n : ((await books.ledger.available(books.within, accountId)) ?? owed);
  const covered = has < owed ? has : owed;
  const uncoveredMinor = owed - covered;
  const exposed = exposureMinor + uncoveredMinor;
  const legs: Moved[] = [];
  if (accountId !== undefined && covered > 0n) {
    const code = SETTLEMENT_CODES.representment;
    legs.push({ id: `representment/${id}/0`, debitAccount: accountId, creditAccount, amount: covered, code });
  }
  if (exposed > 0n) {
    const debitAccount = await accounts.exposure(exposureParty);
    const code = EXPOSURE_CODE;
    legs.push({ id: `representment/${id}/exposure`, debitAccount, creditAccount, amount: exposed, code });
  }
  return { legs, uncoveredMinor };
}

interface Joining {
  readonly dispute: Dispute;
  readonly kind: "chargeback" | "representment";
  readonly businessDate: string;
  readonly now: number;
}

async function joinBatch(
  { batches }: ChargebackParts,
  within: Within,
  { dispute, kind, businessDate, now }: Joining,
): Promise<void> {
  const { id, terminalId, paymentId, currency, minor } = dispute;
  const place = await batches.placeOf(within, terminalId, now);
  await batches.join(within, place, {
    ...{ terminalId, paymentId, kind, dispute: id, currency, minor },
    ...{ exposureMinor: 0n, feeMinor: 0n, businessDate, at: now },
  });
}
