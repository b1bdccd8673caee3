/** How a bank account is named in payment messages: IBAN (ISO 13616) and BIC (ISO 9362). */

export interface BankAccount {
  /** Whose it is; at most 70 characters, as SEPA payments take (EPC132-08). */
  readonly name: string;
  readonly iban: string;
  readonly bic: string;
}

export const ACCOUNT_NAME_MAX = 70;
const IBAN = /^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/;
const BIC = /^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?$/;
const FIRST_LETTER = 10;

/** Without spaces, and with check digits that hold: ISO 7064, MOD 97-10. */
export function isIban(text: string): boolean {
  if (!IBAN.test(text)) return false;
  const turned = text.slice(4) + text.slice(0, 4);
  const digits = [...turned].map((one) => Number.parseInt(one, FIRST_LETTER + 26)).join("");
  return BigInt(digits) % 97n === 1n;
}

export const isBic = (text: string): boolean => BIC.test(text);
