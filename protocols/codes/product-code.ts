/** Product numbers of EAN and UPC (GS1 General Specifications, 7.9: check digit; 5.2.2.4.2: UPC-E). */

const LENGTHS = [8, 12, 13, 14];
const UPC_E_DIGITS = 8;

/** Weights of 3 and 1 from the right, the check digit included, give a multiple of ten. */
export function isGtin(digits: string): boolean {
  if (!/^[0-9]+$/.test(digits) || !LENGTHS.includes(digits.length)) return false;
  const sum = [...digits]
    .reverse()
    .reduce((total, digit, index) => total + Number(digit) * (index % 2 === 0 ? 1 : 3), 0);
  return sum % 10 === 0;
}

/** A UPC-E number with its check digit: that of the UPC-A number which it abbreviates. */
export function isUpcE(digits: string): boolean {
  if (digits.length !== UPC_E_DIGITS || !/^[01][0-9]+$/.test(digits)) return false;
  return isGtin(expanded(digits));
}

function expanded(digits: string): string {
  const [system = "", a = "", b = "", c = "", d = "", e = "", last = "", check = ""] = digits;
  if (last <= "2") return `${system}${a}${b}${last}0000${c}${d}${e}${check}`;
  if (last === "3") return `${system}${a}${b}${c}00000${d}${e}${check}`;
  if (last === "4") return `${system}${a}${b}${c}${d}00000${e}${check}`;
  return `${system}${a}${b}${c}${d}${e}0000${last}${check}`;
}
