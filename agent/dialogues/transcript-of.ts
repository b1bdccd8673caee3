/** A sale's record as a transcript: the settings as its header, so that `tillway emv replay` decides as the terminal did. */
import { toHex } from "../../base/bytes.ts";
import { tagName } from "../../protocols/emv/ber-tlv.ts";
import type {
  OnlineResult,
  SupportedApplication,
  TerminalSettings,
  TransactionSettings,
} from "../../protocols/emv/kernel/kernel.ts";
import type { HeaderLine, Transcript } from "../../protocols/emv/transcript.ts";
import type { TranscriptKey } from "../../protocols/emv/transcript-keys.ts";
import type { CardRecord } from "../payment/card-dialogue.ts";

type Lines = readonly (readonly [key: TranscriptKey, value: string])[];

const hex = (bytes: Uint8Array): string => toHex(bytes).toUpperCase();
const yesNo = (value: boolean): string => (value ? "yes" : "no");
const two = (value: number): string => value.toString().padStart(2, "0");

/** Undefined when no card was spoken to. */
export function transcriptOf(record: CardRecord): Transcript | undefined {
  if (!record.began) return undefined;
  const { terminal, sale } = record.began;
  const lines: Lines = [
    ...saleLines(sale),
    ...terminalLines(terminal),
    ["on-exception-file", yesNo(record.onExceptionFile === true)],
    ...terminal.applications.flatMap(applicationLines),
    ...record.choices.map((chosen) => ["choose", chosen === undefined ? "none" : String(chosen)] as const),
    ...(record.asked === undefined ? [] : [["ask", record.asked] as const]),
    ...(record.online ? onlineLines(record.online) : []),
  ];
  return {
    header: lines.map(([key, value]): HeaderLine => ({ key, value })),
    exchanges: record.lines,
  };
}

const saleLines = (sale: TransactionSettings): Lines => [
  ["amount", sale.amountMinor.toString()],
  ["other", sale.otherMinor.toString()],
  ["currency", hex(sale.currencyCode)],
  ["exponent", String(sale.currencyExponent)],
  ["type", two(sale.type)],
  ["date", `${sale.today.year}-${two(sale.today.month)}-${two(sale.today.day)}`],
  ["time", hex(sale.time)],
  ["unpredictable-number", hex(sale.unpredictableNumber)],
  ["random", String(sale.randomPercent)],
  ["sequence-counter", String(sale.sequenceCounter)],
  ["force-online", yesNo(sale.forceOnline)],
  ["already-spent", sale.alreadySpentMinor.toString()],
];

const terminalLines = (terminal: TerminalSettings): Lines => [
  ["entry", terminal.entry],
  ["country", hex(terminal.countryCode)],
  ["terminal-type", terminal.type.toString(16).toUpperCase().padStart(2, "0")],
  ["capabilities", hex(terminal.capabilities)],
  ["additional-capabilities", hex(terminal.additionalCapabilities)],
  ...[...terminal.data].map(([tag, value]) => ["data", `${tagName(tag)} ${hex(value)}`.trim()] as const),
];

const applicationLines = (application: SupportedApplication): Lines => [
  ["aid", hex(application.aid)],
  ["partial", yesNo(application.partial)],
  ["version", hex(application.version)],
  ["floor-limit", String(application.floorLimitMinor)],
  ["tac-denial", hex(application.actionCodes.denial)],
  ["tac-online", hex(application.actionCodes.online)],
  ["tac-default", hex(application.actionCodes.default)],
  ["random-target", String(application.random.targetPercent)],
  ["random-max-target", String(application.random.maxTargetPercent)],
  ["random-threshold", String(application.random.thresholdMinor)],
  ...(application.defaultDdol ? [["default-ddol", hex(application.defaultDdol)] as const] : []),
  ...(application.defaultTdol ? [["default-tdol", hex(application.defaultTdol)] as const] : []),
];

function onlineLines(online: OnlineResult): Lines {
  if (online.was === "unable") {
    return [
      ["online", "unable"],
      ["approvable", yesNo(online.approvable)],
    ];
  }
  return [
    ["online", online.approved ? "approved" : "declined"],
    ["response-code", online.responseCode],
    ...(online.issuerAuthenticationData
      ? [["issuer-authentication-data", hex(online.issuerAuthenticationData)] as const]
      : []),
    ...(online.scripts ?? []).map((script) => ["script", hex(script)] as const),
  ];
}
