/** What a confirmed sale is to whatever follows it: how far it may still go back, and what may come on top of it. */
import type { TerminalId } from "../../../base/ids.ts";
import type { Currency } from "../../../base/money.ts";
import type { Reading, Within } from "../../store/store.ts";
import { goodsMinor } from "./cashback.ts";
import type { AuthorisationStore, PaymentContent, PaymentKey, PaymentRecord } from "./store.ts";

export interface Purchase {
  readonly currency: Currency;
  readonly minor: bigint;
  /** What refunds took or hold. */
  readonly refundedMinor: bigint;
  /** Whose account paid; absent where nobody's was known. */
  readonly accountId?: string;
  readonly businessDate: string;
  /** Of one that ever had some: what is not made good yet. */
  readonly exposure?: Exposure;
}

/** What no account could pay, and who bears it: one party for all of a sale. */
export interface Exposure {
  readonly minor: bigint;
  readonly party: string;
}

/** What of a payment is charged back now, and the part of it that went to who had borne it. */
export interface ChargedBack {
  readonly minor: bigint;
  readonly exposureMinor: bigint;
  /** What second presentments could not take from the customer's account. */
  readonly uncovered?: Exposure;
}

/** Minor units of cash in one sale, and how many per cent of what was bought a tip may be; 0 where there is none. */
export interface Terms {
  readonly cashbackMaxMinor: number;
  readonly tipPercentMax: number;
}

/** Where the merchant's money of a payment is. */
export interface MerchantParts {
  /** Whose terminal it is. */
  merchantOf(reading: Reading, terminalId: TerminalId): Promise<string>;
  merchantAccount(within: Within, key: PaymentKey, currency: Currency): Promise<string>;
  chargedBack(reading: Reading, key: PaymentKey): Promise<ChargedBack>;
  /** What the merchant of a terminal may sell beside goods. */
  termsOf(reading: Reading, terminalId: TerminalId): Promise<Terms>;
  /** Whether a sale is in a batch that is still open at this time, in milliseconds since 1970. */
  inOpenBatch(reading: Reading, key: PaymentKey, now: number): Promise<boolean>;
}

/** Whether its merchant gets money by it. */
export const isSale = ({ operation }: PaymentContent): boolean =>
  operation === "purchase" || operation === "completion" || operation === "tip";

interface LeftParts extends Pick<MerchantParts, "chargedBack"> {
  readonly store: Pick<AuthorisationStore, "refundedMinor">;
  readonly within: Within;
}

/** What of a sale is not gone back, or about to; `except` is the number of the refund that asks. */
export async function leftMinor(
  { store, within, chargedBack }: LeftParts,
  sale: PaymentRecord | undefined,
  except: number,
): Promise<bigint> {
  if (!sale?.content) return 0n;
  const refunded = await store.refundedMinor(within, sale.number, except);
  return goodsMinor(sale.content) - refunded - (await chargedBack(within, sale)).minor;
}

interface ExposureParts extends Pick<MerchantParts, "chargedBack"> {
  readonly store: AuthorisationStore;
}

/** What exposure bears of a sale now, which is made good first. Undefined where it never bore any. */
export async function openExposure(
  reading: Reading,
  { store, chargedBack }: ExposureParts,
  sale: PaymentRecord,
): Promise<Exposure | undefined> {
  const { exposureMinor: takenBack, uncovered } = await chargedBack(reading, sale);
  const party = sale.exposureParty ?? uncovered?.party;
  if (party === undefined) return undefined;
  const borne = (sale.exposureMinor ?? 0n) + (uncovered?.minor ?? 0n);
  return { minor: borne - (await store.madeGoodMinor(reading, sale.number)) - takenBack, party };
}

/** Of a purchase, a completion or a tip; undefined for what is no confirmed one. */
export async function confirmedPurchase(
  reading: Reading,
  parts: ExposureParts,
  key: PaymentKey,
): Promise<Purchase | undefined> {
  const { store } = parts;
  const payment = await store.payment(reading, key);
  if (payment?.state !== "confirmed" || !payment.content || !isSale(payment.content)) return undefined;
  const { number, content, businessDate = "" } = payment;
  const { currency, minor, accountId } = content;
  const refundedMinor = await store.refundedMinor(reading, number, number);
  const exposure = await openExposure(reading, parts, payment);
  return {
    ...{ currency, minor, refundedMinor, businessDate },
    ...(accountId !== undefined && { accountId }),
    ...(exposure && { exposure }),
  };
}
