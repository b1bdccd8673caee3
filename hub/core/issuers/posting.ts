/** What a message moves in an issuer's books once he has taken it: what both sides count for a reconciliation (RM14). */
import { type Currency, currencyOfNumericCode } from "../../../base/money.ts";
import { responseCodeOf } from "../../../protocols/iso8583/editions.ts";
import { DE, type Iso8583Message, textOf } from "../../../protocols/iso8583/message.ts";

export interface Posting {
  /** `debit` takes from the cardholder, `credit` gives to him; of a reversal, what it takes back. */
  readonly side: "debit" | "credit";
  readonly minor: bigint;
  readonly currency: Currency;
}

/** The first two digits of DE 3, up to and with these (ISO 8583:1987, DE 3). Behind them money stays where it is. */
const DEBITS_TO = 19;
const CREDITS_TO = 29;

const FINANCIAL = "2";
const REVERSAL = "4";
const APPROVED = "00";

/**
 * By MTI and processing code alone. Undefined for what moves nothing: a pre-authorisation (0100, 0120) until it is completed,
 * the reversal of one, and an advice of a decline.
 */
export function postingOf(message: Iso8583Message): Posting | undefined {
  const { mti } = message;
  const decided = responseCodeOf(message) ?? APPROVED;
  if (decided !== APPROVED || messageClass(mti[1] === REVERSAL ? originalMti(message) : mti) !== FINANCIAL)
    return undefined;
  const type = Number(textOf(message, DE.processingCode)?.slice(0, 2));
  const minor = BigInt(textOf(message, DE.amountTransaction) ?? "0");
  const currency = currencyOfNumericCode(Number(textOf(message, DE.currencyTransaction)));
  if (!(type <= CREDITS_TO) || minor === 0n || currency === undefined) return undefined;
  return { side: type <= DEBITS_TO ? "debit" : "credit", minor, currency };
}

const messageClass = (mti: string): string | undefined => mti[1];

/** DE 90 of 1987 and DE 56 of 1993 begin with it. */
const originalMti = (message: Iso8583Message): string =>
  textOf(message, DE.originalDataElements) ?? textOf(message, DE.originalDataElements1993) ?? "";
