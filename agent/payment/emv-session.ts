/**
 * The dialogue with a chip card in one sale, from selection to the second GENERATE AC (EMV 4.4 Books 1 and 3).
 * Offline data authentication and cardholder verification are not performed, and the TVR says so to the card and the issuer.
 */
import { createHmac } from "node:crypto";
import { toHex } from "../../base/bytes.ts";
import type { RandomBytes } from "../../base/ids.ts";
import { exponentOf, type Money, numericCodeOf } from "../../base/money.ts";
import type { CardSession } from "../../drivers/capability.ts";
import { type CommandApdu, exchange, STATUS } from "../../protocols/emv/apdu.ts";
import {
  decodeTlv,
  encodeTlv,
  findTlv,
  findValue,
  flattenTlv,
  type Tag,
  type Tlv,
} from "../../protocols/emv/ber-tlv.ts";
import {
  decodeCryptogram,
  decodeProcessingOptions,
  decodeRecord,
  generateAcCommand,
  getProcessingOptionsCommand,
  PPSE_NAME,
  PSE_NAME,
  readRecordCommand,
  selectCommand,
} from "../../protocols/emv/commands.ts";
import { buildDol, decodeDol } from "../../protocols/emv/dol.ts";
import { decodeCompressed, decodeNumeric, encodeNumeric } from "../../protocols/emv/numeric.ts";
import { type CardData, CardDataSchema } from "../../wire/card-data.ts";
import type { CardFacts } from "../../wire/journal-entry.ts";
import { localTime } from "./local-time.ts";
import type { Cryptogram } from "./purchase-machine.ts";

export interface EmvTerminal {
  readonly amount: Money;
  readonly atMs: number;
  readonly timeZone: string;
  /** ISO 3166-1 numeric. */
  readonly countryCode: number;
  /** Keys the card token, 32 bytes. */
  readonly cardTokenKey: Uint8Array;
  /** Draws the unpredictable number: the system's CSPRNG, or a seed in a simulation. */
  readonly random: RandomBytes;
}

/** The card itself says no, or is of no kind that can pay here. */
export class CardRefusal extends Error {
  override readonly name = "CardRefusal";
  readonly why: "refused-command" | "unsupported";
  constructor(why: "refused-command" | "unsupported", message: string) {
    super(message);
    this.why = why;
  }
}

export interface EmvCard {
  readonly facts: Pick<CardFacts, "entryMode" | "maskedPan" | "cardToken" | "aid" | "label">;
  readonly data: CardData;
  /** Tag 57 in hex: for the online request only, never for a store. */
  readonly track2?: string;
  generateFirst(ask: Cryptogram, signal: AbortSignal): Promise<Cryptogram>;
  generateSecond(
    last: { readonly ask: "TC" | "AAC"; readonly responseCode: string },
    signal: AbortSignal,
  ): Promise<Cryptogram>;
  /** DE 55 as it stands after the last cryptogram, in hex. */
  iccData(): string;
  /** What the decision keeps of the card; undefined before the first cryptogram. */
  finalFacts(): CardFacts | undefined;
}

/** Applications that may pay here: test applications only, as no certificate for any other is claimed. */
const SUPPORTED_AIDS: ReadonlySet<string> = new Set(["f054494c4c574159"]);

/** What an advice may keep of DE 55; card number, track, name and discretionary data are never among it (RM5). */
const ICC_TAGS: readonly Tag[] = [
  0x82, 0x84, 0x95, 0x9a, 0x9c, 0x5f2a, 0x5f34, 0x9f02, 0x9f03, 0x9f10, 0x9f1a, 0x9f26, 0x9f27, 0x9f33, 0x9f34, 0x9f35,
  0x9f36, 0x9f37,
];

const DIRECTORY_RECORDS_MAX = 10;
const APPLICATION_RECORDS_MAX = 64;
/** Merchant-attended, offline with online capability (Book 4, Annex A1). */
const TERMINAL_TYPE = 0x22;
const TERMINAL_CAPABILITIES = Uint8Array.of(0xe0, 0x08, 0x00);
const CVM_NOT_PERFORMED = Uint8Array.of(0x3f, 0x00, 0x00);
/** Offline data authentication was not performed (Book 3, Annex C5). */
const TVR_NO_ODA = Uint8Array.of(0x80, 0x00, 0x00, 0x00, 0x00);

/** Selects the application and reads it. Throws CardRefusal, or the Faults of the session and the codecs. */
export async function readCard(session: CardSession, terminal: EmvTerminal, signal: AbortSignal): Promise<EmvCard> {
  const send = (command: CommandApdu) => exchange((bytes) => session.transceive(bytes, signal), command);
  const aid = await chooseApplication(send);
  const selected = await mustSucceed(send, selectCommand(aid), "the card refuses to select its application");
  const fci = decodeTlv(selected);
  const values = terminalValues(terminal);
  const pdol = findValue(fci, 0x9f38);
  const pdolData = pdol ? buildDol(decodeDol(pdol), values) : new Uint8Array();
  const options = decodeProcessingOptions(
    await mustSucceed(send, getProcessingOptionsCommand(pdolData), "the card refuses to begin"),
  );
  values.set(0x82, options.aip);
  values.set(0x84, findValue(fci, 0x84) ?? aid);
  for (const { sfi, record } of recordsOf(options.afl)) {
    const data = await mustSucceed(send, readRecordCommand({ sfi, record }), "the card refuses a record");
    for (const object of flattenTlv(decodeRecord(data))) keepOnce(values, object.tag, object.value);
  }
  const label = findValue(fci, 0x50);
  return new ReadCard({ session, terminal, aid, label: label ? Buffer.from(label).toString("latin1") : "", values });
}

type Send = (command: CommandApdu) => Promise<{ readonly data: Uint8Array; readonly status: number }>;

async function mustSucceed(send: Send, command: CommandApdu, complaint: string): Promise<Uint8Array> {
  const { data, status } = await send(command);
  if (status !== STATUS.ok) throw new CardRefusal("refused-command", `${complaint} (${status.toString(16)})`);
  return data;
}

/** The first application that we support: by the directory of a contact card, else by that of a contactless one. */
async function chooseApplication(send: Send): Promise<Uint8Array> {
  for (const directory of [PSE_NAME, PPSE_NAME]) {
    for (const entry of await directoryEntries(send, directory)) {
      const aid = findValue([entry], 0x4f);
      if (aid && SUPPORTED_AIDS.has(toHex(aid))) return aid;
    }
  }
  throw new CardRefusal("unsupported", "this card has no application that can pay here");
}

async function directoryEntries(send: Send, name: Uint8Array): Promise<readonly Tlv[]> {
  const { data, status } = await send(selectCommand(name));
  if (status !== STATUS.ok) return [];
  const fci = decodeTlv(data);
  const sfi = findValue(fci, 0x88)?.[0];
  if (sfi === undefined) return templates(findTlv(fci, 0xbf0c));
  const entries: Tlv[] = [];
  for (let record = 1; record <= DIRECTORY_RECORDS_MAX; record += 1) {
    const read = await send(readRecordCommand({ sfi, record }));
    if (read.status !== STATUS.ok) break;
    entries.push(...decodeRecord(read.data).filter((object) => object.tag === 0x61));
  }
  return entries;
}

const templates = (parent: Tlv | undefined): readonly Tlv[] =>
  parent && "children" in parent ? parent.children.filter((object) => object.tag === 0x61) : [];

function recordsOf(afl: ReturnType<typeof decodeProcessingOptions>["afl"]): { sfi: number; record: number }[] {
  const records = afl.flatMap(({ sfi, firstRecord, lastRecord }) =>
    Array.from({ length: lastRecord - firstRecord + 1 }, (_, index) => ({ sfi, record: firstRecord + index })),
  );
  if (records.length > APPLICATION_RECORDS_MAX)
    throw new CardRefusal("unsupported", `the card has ${records.length} records`);
  return records;
}

/** A data object that comes twice ends the transaction (Book 3, 10.2). */
function keepOnce(values: Map<Tag, Uint8Array>, tag: Tag, value: Uint8Array): void {
  if (values.has(tag)) throw new CardRefusal("refused-command", `the card gives tag ${tag.toString(16)} twice`);
  values.set(tag, value);
}

function terminalValues(terminal: EmvTerminal): Map<Tag, Uint8Array> {
  const local = localTime(terminal.atMs, terminal.timeZone).replace(/\D/g, "");
  const numeric = (value: bigint | number, bytes: number) => encodeNumeric(BigInt(value), bytes);
  return new Map<Tag, Uint8Array>([
    [0x9f02, numeric(terminal.amount.minor, 6)],
    [0x9f03, numeric(0n, 6)],
    [0x5f2a, numeric(numericCodeOf(terminal.amount.currency), 2)],
    [0x5f36, numeric(exponentOf(terminal.amount.currency), 1)],
    [0x9f1a, numeric(terminal.countryCode, 2)],
    [0x95, TVR_NO_ODA],
    [0x9a, numeric(BigInt(local.slice(2, 8)), 3)],
    [0x9f21, numeric(BigInt(local.slice(8, 14)), 3)],
    [0x9c, numeric(0n, 1)],
    [0x9f37, terminal.random(4)],
    [0x9f33, TERMINAL_CAPABILITIES],
    [0x9f34, CVM_NOT_PERFORMED],
    [0x9f35, Uint8Array.of(TERMINAL_TYPE)],
  ]);
}

interface ReadCardInput {
  readonly session: CardSession;
  readonly terminal: EmvTerminal;
  readonly aid: Uint8Array;
  readonly label: string;
  readonly values: Map<Tag, Uint8Array>;
}

class ReadCard implements EmvCard {
  readonly facts: EmvCard["facts"];
  readonly data: CardData;
  readonly track2?: string;
  readonly #session: CardSession;
  readonly #values: Map<Tag, Uint8Array>;
  #last: Cryptogram | undefined;

  constructor({ session, terminal, aid, label, values }: ReadCardInput) {
    this.#session = session;
    this.#values = values;
    const pan = decodeCompressed(this.#need(0x5a));
    const expiry = decodeNumeric(this.#need(0x5f24)).toString().padStart(6, "0");
    const today = decodeNumeric(this.#need(0x9a)).toString().padStart(6, "0");
    if (withCentury(expiry) < withCentury(today)) throw new CardRefusal("unsupported", "the card has expired");
    this.#need(0x8c);
    this.#need(0x8d);
    const sequenceNumber = values.get(0x5f34);
    const track2 = values.get(0x57);
    this.data = {
      pan,
      expiry: expiry.slice(0, 4),
      ...(sequenceNumber ? { sequenceNumber: decodeNumeric(sequenceNumber).toString() } : {}),
    };
    if (track2) this.track2 = toHex(track2);
    // The hub could not read them, and would find out only after the goods are gone.
    if (!CardDataSchema.safeParse({ ...this.data, ...(track2 && { track2: this.track2 }) }).success)
      throw new CardRefusal("unsupported", "the card's number or track is of a form that cannot pay here");
    this.facts = {
      entryMode: "chip",
      maskedPan: mask(pan),
      cardToken: createHmac("sha256", terminal.cardTokenKey).update(pan).digest("hex"),
      aid: toHex(aid),
      label: label.replace(/[^\x20-\x7e]/g, "").slice(0, 16),
    };
  }

  generateFirst(ask: Cryptogram, signal: AbortSignal): Promise<Cryptogram> {
    return this.#generate({ ask, dol: 0x8c }, signal);
  }

  generateSecond(
    last: { readonly ask: "TC" | "AAC"; readonly responseCode: string },
    signal: AbortSignal,
  ): Promise<Cryptogram> {
    this.#values.set(0x8a, Buffer.from(last.responseCode, "latin1"));
    return this.#generate({ ask: last.ask, dol: 0x8d }, signal);
  }

  iccData(): string {
    const objects = ICC_TAGS.flatMap((tag) => {
      const value = this.#values.get(tag);
      return value ? [{ tag, value }] : [];
    });
    return toHex(encodeTlv(objects));
  }

  finalFacts(): CardFacts | undefined {
    return this.#last && { ...this.facts, cryptogramType: this.#last, iccData: this.iccData() };
  }

  async #generate({ ask, dol }: { ask: Cryptogram; dol: Tag }, signal: AbortSignal): Promise<Cryptogram> {
    const data = buildDol(decodeDol(this.#need(dol)), this.#values);
    const response = await exchange((bytes) => this.#session.transceive(bytes, signal), generateAcCommand(ask, data));
    if (response.status !== STATUS.ok) {
      throw new CardRefusal("refused-command", `the card refuses a cryptogram (${response.status.toString(16)})`);
    }
    const answer = decodeCryptogram(response.data);
    this.#values.set(0x9f27, Uint8Array.of(answer.cid));
    this.#values.set(0x9f36, answer.atc);
    this.#values.set(0x9f10, answer.issuerApplicationData);
    if (answer.cryptogram) this.#values.set(0x9f26, answer.cryptogram);
    this.#last = answer.type;
    return answer.type;
  }

  #need(tag: Tag): Uint8Array {
    const value = this.#values.get(tag);
    if (!value) throw new CardRefusal("refused-command", `the card lacks mandatory data (tag ${tag.toString(16)})`);
    return value;
  }
}

/** Years from 50 on are of the last century (Book 4, 6.7.3), so that an unset clock, in 1970, does not call every card expired. */
const withCentury = (yymmdd: string): string => `${yymmdd < "50" ? "20" : "19"}${yymmdd}`;

/** First six and last four digits, the most that may be shown. */
const mask = (pan: string): string => `${pan.slice(0, 6)}${"*".repeat(Math.max(1, pan.length - 10))}${pan.slice(-4)}`;
