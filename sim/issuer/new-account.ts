/** An account to open, as people write it: `PAN:YYMM:MINOR:CURRENCY`, such as `4761739001010119:3012:50000:EUR`. */
import { Fault } from "../../base/fault.ts";
import { isCurrency, numericCodeOf } from "../../base/money.ts";
import type { Account } from "./records.ts";

export interface NewAccount extends Pick<Account, "expiry" | "currency" | "balanceMinor"> {
  readonly pan: string;
}

const FORM = /^(\d{12,19}):(\d{2}(?:0[1-9]|1[0-2])):(\d{1,15}):([A-Z]{3})$/;

/** Throws Fault `codec.invalid`, which says the form and never the number. */
export function accountOf(text: string): NewAccount {
  const [, pan, expiry, minor, currency] = FORM.exec(text) ?? [];
  if (
    pan === undefined ||
    expiry === undefined ||
    minor === undefined ||
    currency === undefined ||
    !isCurrency(currency)
  )
    throw new Fault(
      "codec.invalid",
      "write an account as PAN:YYMM:MINOR:CURRENCY, such as 4761739001010119:3012:50000:EUR",
    );
  return { pan, expiry, balanceMinor: BigInt(minor), currency: String(numericCodeOf(currency)).padStart(3, "0") };
}
