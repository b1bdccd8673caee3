/** How far a confirmed purchase may still go back: for what is not a refund and takes from it all the same. */
import type { TerminalId } from "../../../base/ids.ts";
import type { Currency } from "../../../base/money.ts";
import type { Reading, Within } from "../../store/store.ts";
import type { AuthorisationStore, PaymentContent, PaymentKey } from "./store.ts";

export interface Purchase {
  readonly currency: Currency;
  readonly minor: bigint;
  /** What refunds took or hold. */
  readonly refundedMinor: bigint;
  /** Whose account paid; absent where nobody's was known. */
  readonly accountId?: string;
  readonly businessDate: string;
  /** What no account could pay and refunds have not made good, and who bears it. */
  readonly exposure?: { readonly minor: bigint; readonly party: string };
}

/** What of a payment is charged back now, and the part of it that went to who had borne it. */
export interface ChargedBack {
  readonly minor: bigint;
  readonly exposureMinor: bigint;
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
}

/** Whether its merchant gets money by it. */
export const isSale = ({ operation }: PaymentContent): boolean =>
  operation === "purchase" || operation === "completion";

/** Of a purchase or a completion; undefined for what is no confirmed one. */
export async function confirmedPurchase(
  reading: Reading,
  store: AuthorisationStore,
  key: PaymentKey,
): Promise<Purchase | undefined> {
  const payment = await store.payment(reading, key);
  if (payment?.state !== "confirmed" || !payment.content || !isSale(payment.content)) return undefined;
  const { number, content, businessDate = "", exposureMinor: borne, exposureParty: party } = payment;
  const { currency, minor, accountId } = content;
  const refundedMinor = await store.refundedMinor(reading, number, number);
  const exposure =
    borne === undefined || party === undefined
      ? {}
      : { exposure: { minor: borne - (await store.madeGoodMinor(reading, number)), party } };
  return { currency, minor, refundedMinor, businessDate, ...(accountId !== undefined && { accountId }), ...exposure };
}
