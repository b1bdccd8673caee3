/** A simulated EMV contact card: one command in, one response out. Knows no reader; keeps its counter where it is told to. */
import { concat, sameBytes } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import {
  type CommandApdu,
  decodeCommand,
  encodeResponse,
  RESPONSE_DATA_BYTES_MAX,
  type ResponseApdu,
  STATUS,
} from "../../protocols/emv/apdu.ts";
import { decodeTlv, encodeTlv } from "../../protocols/emv/ber-tlv.ts";
import {
  type CryptogramType,
  cryptogramBits,
  cryptogramType,
  encodeFormatOne,
  INS,
  PPSE_NAME,
  PSE_NAME,
} from "../../protocols/emv/commands.ts";
import { type DolEntry, dolDataLength, splitDol } from "../../protocols/emv/dol.ts";
import { decodeNumeric } from "../../protocols/emv/numeric.ts";
import {
  AFL_BYTES,
  AIP,
  applicationRecords,
  CDOL1,
  CDOL2,
  directoryRecords,
  PDOL,
  type RecordKey,
  selectAnswer,
} from "./card-files.ts";
import { applicationCryptogram, cardMasterKey, sessionKey } from "./cryptogram.ts";
import type { CardProfile } from "./profiles.ts";

export interface CardOptions {
  readonly profile: CardProfile;
  /** Application Transaction Counter as the last transaction left it. */
  readonly atc: number;
  /** Called before a transaction answers, as a card writes its memory first. */
  readonly saveAtc: (atc: number) => void;
}

type Selected = "nothing" | "pse" | "ppse" | "application";
/** `online`: an ARQC was given, the second GENERATE AC is awaited. */
type Stage = "selected" | "initiated" | "online" | "ended";

const ATC_MAX = 0xffff;

export class EmvCard {
  readonly #profile: CardProfile;
  readonly #masterKey: Uint8Array;
  readonly #saveAtc: (atc: number) => void;
  #atc: number;
  #selected: Selected = "nothing";
  #stage: Stage = "selected";
  /** What GET RESPONSE fetches. */
  #waiting: Uint8Array = new Uint8Array(0);
  /** How many GENERATE AC commands gave a cryptogram, by its type. */
  readonly cryptograms: Record<CryptogramType, number> = { AAC: 0, TC: 0, ARQC: 0 };

  constructor(options: CardOptions) {
    this.#profile = options.profile;
    this.#atc = options.atc;
    this.#saveAtc = options.saveAtc;
    this.#masterKey = cardMasterKey(options.profile);
  }

  get atc(): number {
    return this.#atc;
  }

  /** Power off, power on or reset: everything but the counter is forgotten. */
  reset(): void {
    this.#selected = "nothing";
    this.#stage = "selected";
    this.#waiting = new Uint8Array(0);
  }

  respond(bytes: Uint8Array): Uint8Array {
    return encodeResponse(this.#answer(bytes));
  }

  #answer(bytes: Uint8Array): ResponseApdu {
    let command: CommandApdu;
    try {
      command = decodeCommand(bytes);
    } catch (error) {
      if (isFault(error)) return refusal(STATUS.wrongLength);
      throw error;
    }
    if (command.ins === INS.getResponse) return this.#getResponse(command);
    this.#waiting = new Uint8Array(0);
    const response = this.#execute(command);
    return this.#profile.answers === "get-response" ? this.#asT0(command, response) : response;
  }

  #execute(command: CommandApdu): ResponseApdu {
    const proprietary = command.ins === INS.getProcessingOptions || command.ins === INS.generateAc;
    const expectedClass = proprietary || command.ins === INS.getData ? 0x80 : 0x00;
    if (command.cla !== expectedClass) return refusal(STATUS.classNotSupported);
    switch (command.ins) {
      case INS.select:
        return this.#select(command);
      case INS.readRecord:
        return this.#readRecord(command);
      case INS.getProcessingOptions:
        return this.#getProcessingOptions(command);
      case INS.generateAc:
        return this.#generateAc(command);
      case INS.getData:
        return this.#getData(command);
      default:
        return refusal(STATUS.instructionNotSupported);
    }
  }

  #select({ p1, p2, data }: CommandApdu): ResponseApdu {
    if (p1 !== 0x04 || !data) return refusal(STATUS.incorrectParameters);
    const found = p2 === 0x00 ? this.#named(data) : undefined;
    if (!found) return refusal(STATUS.fileNotFound);
    this.#selected = found;
    this.#stage = "selected";
    return success(selectAnswer(this.#profile, found));
  }

  #named(name: Uint8Array): Exclude<Selected, "nothing"> | undefined {
    if (sameBytes(name, PSE_NAME)) return "pse";
    if (sameBytes(name, PPSE_NAME)) return "ppse";
    const { aid } = this.#profile;
    // A partial name of at least the registered part selects too (Book 1, 12.3.5).
    const partial = name.length >= AID_BYTES_MIN && sameBytes(name, aid.subarray(0, name.length));
    return partial ? "application" : undefined;
  }

  #readRecord({ p1, p2 }: CommandApdu): ResponseApdu {
    if ((p2 & 0b111) !== 0b100) return refusal(STATUS.incorrectParameters);
    if (this.#selected === "nothing" || this.#selected === "ppse") return refusal(STATUS.commandNotAllowed);
    const inApplication = this.#selected === "application";
    if (inApplication && this.#stage === "selected") return refusal(STATUS.conditionsNotSatisfied);
    const records = inApplication ? applicationRecords(this.#profile) : directoryRecords(this.#profile);
    const key: RecordKey = `${p2 >> 3}.${p1}`;
    const record = records.get(key);
    return record ? success(record) : refusal(STATUS.recordNotFound);
  }

  #getProcessingOptions({ data }: CommandApdu): ResponseApdu {
    if (this.#selected !== "application" || this.#stage !== "selected") return refusal(STATUS.conditionsNotSatisfied);
    if (!data || !isCommandTemplate(data, PDOL)) return refusal(STATUS.wrongLength);
    if (this.#atc === ATC_MAX) return refusal(STATUS.conditionsNotSatisfied);
    this.#atc += 1;
    this.#saveAtc(this.#atc);
    this.#stage = "initiated";
    if (this.#profile.format === 1) return success(encodeFormatOne(AIP, AFL_BYTES));
    return success(
      template77([
        [0x82, AIP],
        [0x94, AFL_BYTES],
      ]),
    );
  }

  #generateAc({ p1, data }: CommandApdu): ResponseApdu {
    const first = this.#stage === "initiated";
    if (!first && this.#stage !== "online") return refusal(STATUS.conditionsNotSatisfied);
    const asked = cryptogramType(p1);
    if (!asked || (!first && asked === "ARQC")) return refusal(STATUS.incorrectParameters);
    const dol = first ? CDOL1 : CDOL2;
    if (!data || data.length !== dolDataLength(dol)) return refusal(STATUS.wrongLength);
    const values = splitDol(dol, data);
    let amount: bigint;
    try {
      amount = decodeNumeric(values.get(0x9f02) ?? data);
    } catch {
      return refusal(STATUS.conditionsNotSatisfied);
    }
    const given = first ? this.#first(asked, amount) : this.#second(asked, amount, values.get(0x8a));
    this.#stage = given === "ARQC" ? "online" : "ended";
    this.cryptograms[given] += 1;
    return success(this.#cryptogram({ given, stage: first ? "first" : "second", data }));
  }

  /** Card action analysis: a card may only go down from what the terminal asks for (Book 3, 10.8). */
  #first(asked: CryptogramType, amount: bigint): CryptogramType {
    const { temper, offlineLimitMinor } = this.#profile;
    if (asked === "AAC" || temper === "declining") return "AAC";
    if (asked === "ARQC" || temper === "online-only") return "ARQC";
    return amount <= offlineLimitMinor ? "TC" : "ARQC";
  }

  #second(asked: CryptogramType, amount: bigint, responseCode: Uint8Array | undefined): CryptogramType {
    const { temper, offlineLimitMinor } = this.#profile;
    if (asked === "AAC" || temper === "declining") return "AAC";
    const unableToGoOnline = sameBytes(responseCode ?? new Uint8Array(0), UNABLE_TO_GO_ONLINE_APPROVED);
    if (!unableToGoOnline) return "TC";
    return temper === "standard" && amount <= offlineLimitMinor ? "TC" : "AAC";
  }

  #cryptogram(made: { given: CryptogramType; stage: "first" | "second"; data: Uint8Array }): Uint8Array {
    const cid = Uint8Array.of(cryptogramBits(made.given));
    const atc = Uint8Array.of(this.#atc >> 8, this.#atc & 0xff);
    const iad = issuerApplicationData(made.given, made.stage);
    const key = sessionKey(this.#masterKey, this.#atc);
    const cryptogram = applicationCryptogram(key, concat(made.data, AIP, atc, iad));
    if (this.#profile.format === 1) return encodeFormatOne(cid, atc, cryptogram, iad);
    return template77([
      [0x9f27, cid],
      [0x9f36, atc],
      [0x9f26, cryptogram],
      [0x9f10, iad],
    ]);
  }

  #getData({ p1, p2 }: CommandApdu): ResponseApdu {
    const tag = p1 * 0x100 + p2;
    if (this.#selected !== "application" || tag !== 0x9f36) return refusal(STATUS.referencedDataNotFound);
    return success(encodeTlv([{ tag, value: Uint8Array.of(this.#atc >> 8, this.#atc & 0xff) }]));
  }

  #getResponse({ cla, le }: CommandApdu): ResponseApdu {
    if (cla !== 0x00 || this.#waiting.length === 0) return refusal(STATUS.conditionsNotSatisfied);
    const data = this.#waiting;
    if (le !== data.length && !(le === undefined || le === RESPONSE_DATA_BYTES_MAX)) {
      return refusal(0x6c00 + (data.length & 0xff));
    }
    this.#waiting = new Uint8Array(0);
    return success(data);
  }

  /** Book 1, 9.3.1.1: data after a command with data are fetched by GET RESPONSE; other commands need the exact Le. */
  #asT0(command: CommandApdu, response: ResponseApdu): ResponseApdu {
    if (response.data.length === 0) return response;
    if (command.data) {
      this.#waiting = response.data;
      return refusal(0x6100 + (response.data.length & 0xff));
    }
    return command.le === response.data.length ? response : refusal(0x6c00 + (response.data.length & 0xff));
  }
}

const AID_BYTES_MIN = 5;
/** Authorisation response code Y3 (Book 4, A6). */
const UNABLE_TO_GO_ONLINE_APPROVED = Uint8Array.from(Buffer.from("Y3", "ascii"));
const NO_DATA = new Uint8Array(0);

const success = (data: Uint8Array): ResponseApdu => ({ data, status: STATUS.ok });
const refusal = (status: number): ResponseApdu => ({ data: NO_DATA, status });

const template77 = (values: readonly (readonly [tag: number, value: Uint8Array])[]): Uint8Array =>
  encodeTlv([{ tag: 0x77, children: values.map(([tag, value]) => ({ tag, value })) }]);

function isCommandTemplate(data: Uint8Array, dol: readonly DolEntry[]): boolean {
  try {
    const [template, ...more] = decodeTlv(data);
    return (
      template?.tag === 0x83 && "value" in template && template.value.length === dolDataLength(dol) && more.length === 0
    );
  } catch (error) {
    if (isFault(error)) return false;
    throw error;
  }
}

/** Length, key index, cryptogram version 18, and the card verification results: what the first and second answers were. */
function issuerApplicationData(given: CryptogramType, stage: "first" | "second"): Uint8Array {
  const bits = { AAC: 0b00, TC: 0b01, ARQC: 0b10 } as const;
  const results = stage === "first" ? (0b10 << 6) | (bits[given] << 4) : (bits[given] << 6) | (0b10 << 4);
  return Uint8Array.of(0x06, 0x01, 0x12, 0x03, results, 0x00, 0x00);
}
