/** Requests and their answers: what an MTI says of a message, and what an answer gives back of what it answers. */
import { writtenCode } from "./editions.ts";
import { DE, type FieldValue, type Iso8583Message } from "./message.ts";
import type { MtiVersion } from "./spec.ts";

/** DE 7: `MMDDhhmmss` in UTC, of milliseconds since 1970. */
export const transmissionDateTime = (atMs: number): string =>
  new Date(atMs).toISOString().replace(/^\d{4}-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d).*$/, "$1$2$3$4$5");

/** The third digit of an MTI: odd for who answers, even for who asks or tells. */
export const isResponse = ({ mti }: Iso8583Message): boolean => Number(mti[2]) % 2 === 1;
/** A request or an advice; nobody answers a notification. */
export const wantsAnswer = ({ mti }: Iso8583Message): boolean => mti[2] === "0" || mti[2] === "2";
export const isNetwork = ({ mti }: Iso8583Message): boolean => mti[1] === "8";

/** What an answer gives back as it came. */
const GIVEN_BACK: readonly number[] = [
  DE.processingCode,
  DE.amountTransaction,
  DE.transmissionDateTime,
  DE.stan,
  DE.localTime,
  DE.localDate,
  DE.functionCode,
  DE.acquirer,
  DE.rrn,
  DE.terminal,
  DE.merchant,
  DE.currencyTransaction,
  DE.networkManagementCode,
];

/** 0810 to 0800, 0430 to 0420 and to its repeat 0421, and so on for each class. */
export function answerTo(request: Iso8583Message, version: MtiVersion, responseCode: string): Iso8583Message {
  const { mti, fields } = request;
  const back = GIVEN_BACK.flatMap((de): [number, FieldValue][] => {
    const value = fields[de];
    return value === undefined ? [] : [[de, value]];
  });
  return {
    mti: answerMti(mti),
    fields: { ...Object.fromEntries(back), [DE.responseCode]: writtenCode(version, responseCode) },
  };
}

/** A function one higher, and the origin without the mark of a repeat. */
function answerMti(mti: string): string {
  const origin = Number(mti[3]);
  return `${mti.slice(0, 2)}${Number(mti[2]) + 1}${origin - (origin % 2)}`;
}
