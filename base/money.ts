/** Amounts of money: integers of minor units with their currency, never floats. */
import { Fault } from "./fault.ts";

declare const currency: unique symbol;
/** ISO 4217 alphabetic code. */
export type Currency = string & { readonly [currency]: true };

/** Minor units, always an integer, never a float. */
export interface Money {
  readonly minor: bigint;
  readonly currency: Currency;
}

/** ISO 4217 list one: alphabetic code -> numeric code and exponent (decimal places of the minor unit). */
const CURRENCIES: Readonly<Record<string, readonly [numeric: number, exponent: number]>> = {
  AED: [784, 2],
  AUD: [36, 2],
  BGN: [975, 2],
  BHD: [48, 3],
  BRL: [986, 2],
  CAD: [124, 2],
  CHF: [756, 2],
  CLP: [152, 0],
  CNY: [156, 2],
  COP: [170, 2],
  CZK: [203, 2],
  DKK: [208, 2],
  EGP: [818, 2],
  EUR: [978, 2],
  GBP: [826, 2],
  HKD: [344, 2],
  HUF: [348, 2],
  IDR: [360, 2],
  ILS: [376, 2],
  INR: [356, 2],
  ISK: [352, 0],
  JOD: [400, 3],
  JPY: [392, 0],
  KES: [404, 2],
  KRW: [410, 0],
  KWD: [414, 3],
  MAD: [504, 2],
  MXN: [484, 2],
  MYR: [458, 2],
  NGN: [566, 2],
  NOK: [578, 2],
  NZD: [554, 2],
  OMR: [512, 3],
  PHP: [608, 2],
  PLN: [985, 2],
  RON: [946, 2],
  RSD: [941, 2],
  SAR: [682, 2],
  SEK: [752, 2],
  SGD: [702, 2],
  THB: [764, 2],
  TND: [788, 3],
  TRY: [949, 2],
  TWD: [901, 2],
  UAH: [980, 2],
  USD: [840, 2],
  VND: [704, 0],
  XOF: [952, 0],
  ZAR: [710, 2],
};

/** The largest amount a message carries: twelve digits, as EMV tag 9F02 and ISO 8583 DE 4 hold. */
export const AMOUNT_MINOR_MAX = 999_999_999_999n;

export function currencyOf(code: string): Currency {
  if (!Object.hasOwn(CURRENCIES, code)) {
    throw new Fault("config.invalid", `"${code}" is not a currency known here; use an ISO 4217 code such as EUR`);
  }
  return code as Currency;
}

export const isCurrency = (code: string): code is Currency => Object.hasOwn(CURRENCIES, code);
export const exponentOf = (code: Currency): number => CURRENCIES[code]?.[1] ?? 2;
/** The currency of a numeric code of ISO 4217, as bank cards write it; undefined when it is not known here. */
export const currencyOfNumericCode = (numeric: number): Currency | undefined =>
  Object.keys(CURRENCIES)
    .filter(isCurrency)
    .find((code) => numericCodeOf(code) === numeric);
export const numericCodeOf = (code: Currency): number => CURRENCIES[code]?.[0] ?? 999;

export function money(minor: bigint, code: string): Money {
  return { minor, currency: currencyOf(code) };
}

/** Decimal text with the currency's own number of places: 1234 JPY -> "1234", 1234 EUR -> "12.34". */
export function toDecimal(amount: Money): string {
  const places = exponentOf(amount.currency);
  const digits = (amount.minor < 0n ? -amount.minor : amount.minor).toString().padStart(places + 1, "0");
  const sign = amount.minor < 0n ? "-" : "";
  if (places === 0) return sign + digits;
  return `${sign}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** Reads what a person types ("12.34", "12", "12,3") in the currency's exponent; more places than it has are refused. */
export function parseDecimal(text: string, code: string): Money {
  const unit = currencyOf(code);
  const match = /^(\d{1,12})(?:[.,](\d{1,3}))?$/.exec(text.trim());
  const places = exponentOf(unit);
  const fraction = match?.[2] ?? "";
  if (!match || fraction.length > places) {
    throw new Fault("codec.invalid", `"${text}" is not an amount in ${unit}, which has ${places} decimal places`);
  }
  return { minor: BigInt(`${match[1]}${fraction.padEnd(places, "0")}`), currency: unit };
}
