/** CRC-16/CCITT-FALSE: polynomial 1021, initial value FFFF, not reflected (EMV QRCPS Merchant-Presented Mode 1.1, 4.7.3.1). */

const POLYNOMIAL = 0x1021;
const INITIAL = 0xffff;

export function crc16(bytes: Uint8Array): number {
  let crc = INITIAL;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ POLYNOMIAL;
    }
    crc &= 0xffff;
  }
  return crc;
}

/** Of the text in UTF-8, as four hex digits in upper case. */
export const crc16Of = (text: string): string =>
  crc16(new TextEncoder().encode(text)).toString(16).toUpperCase().padStart(4, "0");
