/** Where ISO 8583:1987 and 1993 say the same in other numbers: response codes and network management. */
import { present } from "../../base/assert.ts";
import { DE, type Iso8583Message, textOf } from "./message.ts";
import type { MtiVersion } from "./spec.ts";

/** Action codes of 1993 as the response codes of 1987, in which everybody else thinks. The first of equals is the one sent. */
const ACTION_CODES: readonly (readonly [action: string, response: string])[] = [
  ["000", "00"],
  ["001", "08"],
  ["002", "10"],
  ["003", "11"],
  ["100", "05"],
  ["101", "54"],
  ["102", "59"],
  ["104", "62"],
  ["106", "75"],
  ["107", "01"],
  ["109", "03"],
  ["110", "13"],
  ["111", "14"],
  ["115", "40"],
  ["116", "51"],
  ["117", "55"],
  ["118", "56"],
  ["119", "57"],
  ["120", "58"],
  ["121", "61"],
  ["122", "63"],
  ["123", "65"],
  ["200", "04"],
  ["201", "33"],
  ["202", "34"],
  ["208", "41"],
  ["209", "43"],
  ["400", "00"],
  ["500", "00"],
  ["800", "00"],
  ["900", "00"],
  ["901", "00"],
  ["902", "12"],
  ["903", "19"],
  ["904", "30"],
  ["906", "90"],
  ["907", "91"],
  ["908", "92"],
  ["909", "96"],
  ["911", "68"],
  ["912", "91"],
  ["913", "94"],
  ["914", "25"],
  ["501", "95"],
  ["915", "95"],
];
const RESPONSE_OF = new Map(ACTION_CODES);
const ACTION_OF = new Map(ACTION_CODES.toReversed().map(([action, response]) => [response, action]));

/** Not to be told from any other refusal. */
const DO_NOT_HONOUR = "05";

/** DE 39 as a response code of 1987; undefined when there is none. A code that is not known here is a refusal. */
export function responseCodeOf(message: Iso8583Message): string | undefined {
  const code = textOf(message, DE.responseCode);
  if (code === undefined || code.length === 2) return code;
  return RESPONSE_OF.get(code) ?? DO_NOT_HONOUR;
}

/** DE 39 as this version writes it. */
export const writtenCode = (version: MtiVersion, responseCode: string): string =>
  version === "0" ? responseCode : (ACTION_OF.get(responseCode) ?? present(ACTION_OF.get(DO_NOT_HONOUR), "a refusal"));

/** What two ends say to each other about the link between them. */
export type NetworkRequest = "sign-on" | "sign-off" | "echo";

/** DE 70 of 1987, DE 24 of 1993. */
const NETWORK_CODES: Readonly<Record<MtiVersion, Readonly<Record<NetworkRequest, string>>>> = {
  0: { "sign-on": "001", "sign-off": "002", echo: "301" },
  1: { "sign-on": "801", "sign-off": "802", echo: "831" },
};
const NETWORK_DE: Readonly<Record<MtiVersion, number>> = { 0: DE.networkManagementCode, 1: DE.functionCode };

export const networkFields = (version: MtiVersion, what: NetworkRequest): Readonly<Record<number, string>> => ({
  [NETWORK_DE[version]]: NETWORK_CODES[version][what],
});

/** What a message of class 8 is about; undefined for what is not known here. */
export function networkRequestOf(version: MtiVersion, message: Iso8583Message): NetworkRequest | undefined {
  const code = textOf(message, NETWORK_DE[version]);
  const known: readonly NetworkRequest[] = ["sign-on", "sign-off", "echo"];
  return known.find((what) => NETWORK_CODES[version][what] === code);
}
