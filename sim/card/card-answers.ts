/** How a simulated card says yes and no. */
import { type ResponseApdu, STATUS } from "../../protocols/emv/apdu.ts";
import { encodeTlv } from "../../protocols/emv/ber-tlv.ts";

/** Status words of cards beside those that the terminal's side names (ISO/IEC 7816-4, table 5; Book 3, 6.3.5). */
export const CARD_STATUS = {
  selectedInvalidated: 0x6283,
  authenticationFailed: 0x6300,
  securityNotSatisfied: 0x6982,
  secureMessagingMissing: 0x6987,
  secureMessagingWrong: 0x6988,
} as const;

const NO_DATA = new Uint8Array(0);

export const success = (data: Uint8Array = NO_DATA): ResponseApdu => ({ data, status: STATUS.ok });
export const refusal = (status: number): ResponseApdu => ({ data: NO_DATA, status });

export type AnswerObject = readonly [tag: number, value: Uint8Array];

/** Format 2 of an answer. */
export const template77 = (values: readonly AnswerObject[]): Uint8Array =>
  encodeTlv([{ tag: 0x77, children: values.map(([tag, value]) => ({ tag, value })) }]);

export const twoBytes = (value: number): Uint8Array => Uint8Array.of((value >> 8) & 0xff, value & 0xff);
