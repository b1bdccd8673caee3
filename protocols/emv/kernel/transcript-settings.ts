/**
 * A transcript's header in the kernel's terms, and back: what a terminal writes down beside a dialogue so that it runs again
 * byte for byte. What a header leaves out has the defaults of `DEFAULTS`.
 */
import { fromHex, sameBytes, toHex } from "../../../base/bytes.ts";
import { isFault } from "../../../base/fault.ts";
import { decodeCommand, decodeResponse } from "../apdu.ts";
import { decodeTlv, findValue, type Tag, tagName } from "../ber-tlv.ts";
import { type CryptogramType, cryptogramType, INS, PPSE_NAME, PSE_NAME } from "../commands.ts";
import { decodeCompressed } from "../numeric.ts";
import type { CaPublicKey, Day, RevokedCertificate } from "../oda/keys.ts";
import type { HeaderLine, Transcript, TranscriptExchange } from "../transcript.ts";
import { APPLICATION_KEYS, type TranscriptKey } from "../transcript-keys.ts";
import type { OnlineResult, SupportedApplication, TerminalSettings, TransactionSettings } from "./kernel.ts";

/** What a transcript cannot hold. */
export interface TranscriptSurroundings {
  readonly caKeys: readonly CaPublicKey[];
  readonly revoked: readonly RevokedCertificate[];
  /** For a transcript without a date. */
  readonly today: Day;
}

export interface RecordedSettings {
  readonly terminal: TerminalSettings;
  readonly settings: TransactionSettings;
  /** The cardholder's choices, in order; undefined for none of the candidates. */
  readonly choices: readonly (number | undefined)[];
  /** What the first GENERATE AC asked for; absent when it is what the kernel proposes. */
  readonly ask?: CryptogramType;
  readonly online?: OnlineResult;
}

const DEFAULTS: Readonly<Partial<Record<TranscriptKey, string>>> = {
  amount: "0",
  other: "0",
  country: "0000",
  currency: "0000",
  exponent: "2",
  type: "00",
  // Merchant-attended, offline with online capability; contacts, signature and no CVM; SDA, DDA and CDA; goods and services.
  "terminal-type": "22",
  capabilities: "2028C8",
  "additional-capabilities": "600000C001",
  entry: "contact",
  time: "000000",
  "unpredictable-number": "00000000",
  // Selected at random by no target percentage.
  random: "99",
  "sequence-counter": "1",
  "force-online": "no",
  "already-spent": "0",
  "on-exception-file": "no",
  version: "0001",
  partial: "no",
  // Every amount reaches it.
  "floor-limit": "0",
  "tac-denial": "0000000000",
  "tac-online": "0000000000",
  "tac-default": "0000000000",
  "random-target": "0",
  "random-max-target": "0",
  "random-threshold": "0",
  approvable: "yes",
};

type Values = ReadonlyMap<TranscriptKey, string>;
const text = (values: Values, key: TranscriptKey): string => values.get(key) ?? DEFAULTS[key] ?? "";
const bytes = (values: Values, key: TranscriptKey): Uint8Array => fromHex(text(values, key));
const byte = (values: Values, key: TranscriptKey): number => Number.parseInt(text(values, key), 16);
const count = (values: Values, key: TranscriptKey): number => Number(text(values, key));
const isYes = (values: Values, key: TranscriptKey): boolean => text(values, key) === "yes";

export function settingsOfTranscript(transcript: Transcript, around: TranscriptSurroundings): RecordedSettings {
  const { common, applications } = grouped(transcript.header);
  const all = (key: TranscriptKey) => transcript.header.filter((line) => line.key === key).map(({ value }) => value);
  const own = applications.length > 0 ? applications.map(applicationOf) : selectedApplications(transcript, common);
  const ask = common.get("ask");
  const online = onlineOf(common, all("script"));
  return {
    terminal: { ...terminalOf(common, all("data")), ...around, applications: own },
    settings: transactionOf(common, around.today),
    choices: all("choose").map((choice) => (choice === "none" ? undefined : Number(choice))),
    ...(ask !== undefined && { ask: CRYPTOGRAMS[ask] }),
    ...(online && { online }),
  };
}

const CRYPTOGRAMS: Readonly<Record<string, CryptogramType>> = { TC: "TC", ARQC: "ARQC", AAC: "AAC" };

/** Each application has the keys after its `aid` and, where it has none of its own, those before the first. */
function grouped(header: readonly HeaderLine[]): { readonly common: Values; readonly applications: readonly Values[] } {
  const common = new Map<TranscriptKey, string>();
  const applications: Map<TranscriptKey, string>[] = [];
  for (const { key, value } of header) {
    if (key === "aid") applications.push(new Map([[key, value]]));
    else (APPLICATION_KEYS.has(key) ? (applications.at(-1) ?? common) : common).set(key, value);
  }
  return { common, applications: applications.map((own) => new Map([...common, ...own])) };
}

function applicationOf(values: Values): SupportedApplication {
  const [ddol, tdol] = [values.get("default-ddol"), values.get("default-tdol")];
  return {
    aid: bytes(values, "aid"),
    partial: isYes(values, "partial"),
    version: bytes(values, "version"),
    actionCodes: {
      denial: bytes(values, "tac-denial"),
      online: bytes(values, "tac-online"),
      default: bytes(values, "tac-default"),
    },
    floorLimitMinor: count(values, "floor-limit"),
    random: {
      targetPercent: count(values, "random-target"),
      maxTargetPercent: count(values, "random-max-target"),
      thresholdMinor: count(values, "random-threshold"),
    },
    ...(ddol !== undefined && { defaultDdol: fromHex(ddol) }),
    ...(tdol !== undefined && { defaultTdol: fromHex(tdol) }),
  };
}

/** Of a dialogue that does not name the terminal's applications: those that it selects with success. */
function selectedApplications({ exchanges }: Transcript, common: Values): readonly SupportedApplication[] {
  const aids = new Set<string>();
  for (const { command, answer } of exchanges) {
    const { ins, data } = decodeCommand(command);
    const accepted = answer && decodeResponse(answer).status === 0x9000;
    const isApplication = data && ![PSE_NAME, PPSE_NAME].some((directory) => sameBytes(directory, data));
    if (ins === INS.select && accepted && isApplication && data.length >= 5 && data.length <= 16) aids.add(toHex(data));
  }
  return [...aids].map((aid) => applicationOf(new Map([...common, ["aid", aid], ["partial", "yes"]])));
}

function terminalOf(values: Values, data: readonly string[]) {
  const onExceptionFile = isYes(values, "on-exception-file");
  return {
    entry: text(values, "entry") === "contactless" ? "contactless" : "contact",
    countryCode: bytes(values, "country"),
    type: byte(values, "terminal-type"),
    capabilities: bytes(values, "capabilities"),
    additionalCapabilities: bytes(values, "additional-capabilities"),
    data: new Map<Tag, Uint8Array>(
      data.map((line) => {
        const [tag = "", content = ""] = line.split(" ");
        return [Number.parseInt(tag, 16), fromHex(content)];
      }),
    ),
    onExceptionFile: () => onExceptionFile,
  } as const;
}

function transactionOf(values: Values, today: Day): TransactionSettings {
  const [year, month, day] = (values.get("date") ?? "").split("-").map(Number);
  return {
    amountMinor: BigInt(text(values, "amount")),
    otherMinor: BigInt(text(values, "other")),
    type: byte(values, "type"),
    currencyCode: bytes(values, "currency"),
    currencyExponent: count(values, "exponent"),
    today: year !== undefined && month !== undefined && day !== undefined ? { year, month, day } : today,
    time: bytes(values, "time"),
    unpredictableNumber: bytes(values, "unpredictable-number"),
    randomPercent: count(values, "random"),
    sequenceCounter: count(values, "sequence-counter"),
    forceOnline: isYes(values, "force-online"),
    alreadySpentMinor: BigInt(text(values, "already-spent")),
  };
}

/** Where the header gives no code: ISO 8583's for approved, and for do not honour. */
const RESPONSE_CODES = { approved: "00", declined: "05" } as const;

function onlineOf(values: Values, scripts: readonly string[]): OnlineResult | undefined {
  const was = values.get("online");
  if (was === "unable") return { was, approvable: isYes(values, "approvable") };
  if (was !== "approved" && was !== "declined") return undefined;
  const authentication = values.get("issuer-authentication-data");
  return {
    was: "answered",
    approved: was === "approved",
    responseCode: values.get("response-code") ?? RESPONSE_CODES[was],
    ...(authentication !== undefined && { issuerAuthenticationData: fromHex(authentication) }),
    ...(scripts.length > 0 && { scripts: scripts.map(fromHex) }),
  };
}

/** A dialogue as a terminal held it. */
export interface RecordedDialogue {
  readonly terminal: TerminalSettings;
  readonly settings: TransactionSettings;
  readonly exchanges: readonly TranscriptExchange[];
  readonly online?: OnlineResult;
  /** As the cardholder chose; absent when nobody was asked. */
  readonly choices?: readonly (number | undefined)[];
}

/** The transcript that replays to what happened; CA keys and revocations are given to the replay beside it. */
export function transcriptOf({ terminal, settings, exchanges, online, choices = [] }: RecordedDialogue): Transcript {
  const ask = askOf(exchanges);
  const card = cardIn(exchanges);
  const { today } = settings;
  const header: (readonly [TranscriptKey, string])[] = [
    ["amount", settings.amountMinor.toString()],
    ["other", settings.otherMinor.toString()],
    ["country", hex(terminal.countryCode)],
    ["currency", hex(settings.currencyCode)],
    ["exponent", settings.currencyExponent.toString()],
    ["type", hex(Uint8Array.of(settings.type))],
    ["terminal-type", hex(Uint8Array.of(terminal.type))],
    ["capabilities", hex(terminal.capabilities)],
    ["additional-capabilities", hex(terminal.additionalCapabilities)],
    ["entry", terminal.entry],
    ["date", [`${today.year}`, ...[today.month, today.day].map((part) => `${part}`.padStart(2, "0"))].join("-")],
    ["time", hex(settings.time)],
    ["unpredictable-number", hex(settings.unpredictableNumber)],
    ["random", settings.randomPercent.toString()],
    ["sequence-counter", settings.sequenceCounter.toString()],
    ["force-online", yesNo(settings.forceOnline)],
    ["already-spent", (settings.alreadySpentMinor + spentBefore(terminal, card)).toString()],
    ["on-exception-file", yesNo(wasOnExceptionFile(terminal, card))],
    ...[...terminal.data].map(([tag, value]) => ["data", `${tagName(tag)} ${hex(value)}`.trim()] as const),
    ...terminal.applications.flatMap(applicationLines),
    ...choices.map((choice) => ["choose", choice?.toString() ?? "none"] as const),
    ...(ask ? [["ask", ask] as const] : []),
    ...(online ? onlineLines(online) : []),
  ];
  return { header: header.map(([key, value]) => ({ key, value })), exchanges };
}

const hex = (value: Uint8Array): string => toHex(value).toUpperCase();
const yesNo = (holds: boolean): string => (holds ? "yes" : "no");

function applicationLines(application: SupportedApplication): readonly (readonly [TranscriptKey, string])[] {
  const { actionCodes, random, defaultDdol, defaultTdol } = application;
  return [
    ["aid", hex(application.aid)],
    ["partial", yesNo(application.partial)],
    ["version", hex(application.version)],
    ["tac-denial", hex(actionCodes.denial)],
    ["tac-online", hex(actionCodes.online)],
    ["tac-default", hex(actionCodes.default)],
    ["floor-limit", application.floorLimitMinor.toString()],
    ["random-target", random.targetPercent.toString()],
    ["random-max-target", random.maxTargetPercent.toString()],
    ["random-threshold", random.thresholdMinor.toString()],
    ...(defaultDdol ? [["default-ddol", hex(defaultDdol)] as const] : []),
    ...(defaultTdol ? [["default-tdol", hex(defaultTdol)] as const] : []),
  ];
}

function onlineLines(online: OnlineResult): readonly (readonly [TranscriptKey, string])[] {
  if (online.was === "unable") {
    return [
      ["online", "unable"],
      ["approvable", yesNo(online.approvable)],
    ];
  }
  const { approved, responseCode, issuerAuthenticationData, scripts = [] } = online;
  return [
    ["online", approved ? "approved" : "declined"],
    ["response-code", responseCode],
    ...(issuerAuthenticationData ? [["issuer-authentication-data", hex(issuerAuthenticationData)] as const] : []),
    ...scripts.map((script) => ["script", hex(script)] as const),
  ];
}

/** From P1 of the first GENERATE AC: hub and lease may have asked for less than the kernel proposed. */
function askOf(exchanges: readonly TranscriptExchange[]): CryptogramType | undefined {
  const commands = exchanges.map(({ command }) => decodeCommand(command));
  const first = commands.find(({ ins }) => ins === INS.generateAc);
  return first && cryptogramType(first.p1);
}

interface CardNumber {
  readonly pan: string;
  readonly sequence: string | undefined;
}

const wasOnExceptionFile = (terminal: TerminalSettings, card: CardNumber | undefined): boolean =>
  card !== undefined && terminal.onExceptionFile(card.pan, card.sequence);
const spentBefore = (terminal: TerminalSettings, card: CardNumber | undefined): bigint =>
  (card && terminal.spentBefore?.(card.pan)) ?? 0n;

/** The card whose number the records hold. */
function cardIn(exchanges: readonly TranscriptExchange[]): CardNumber | undefined {
  const given = new Map<Tag, Uint8Array>();
  try {
    for (const { command, answer } of exchanges) {
      if (!answer || decodeCommand(command).ins !== INS.readRecord) continue;
      const objects = decodeTlv(decodeResponse(answer).data);
      for (const tag of [0x5a, 0x5f34]) {
        const value = findValue(objects, tag);
        if (value) given.set(tag, value);
      }
    }
    const [pan, sequence] = [given.get(0x5a), given.get(0x5f34)];
    return pan && { pan: decodeCompressed(pan), sequence: sequence && toHex(sequence) };
  } catch (error) {
    // The kernel ended over the same bytes before it asked.
    if (isFault(error)) return undefined;
    throw error;
  }
}
