/** A simulated EMV contact card: one command in, one response out. Knows no reader; keeps its memory where it is told to. */
import { sameBytes } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import {
  type CommandApdu,
  decodeCommand,
  encodeResponse,
  RESPONSE_DATA_BYTES_MAX,
  type ResponseApdu,
  STATUS,
} from "../../protocols/emv/apdu.ts";
import { type CryptogramType, INS, PPSE_NAME, PSE_NAME } from "../../protocols/emv/commands.ts";
import { refusal, success } from "./card-answers.ts";
import { CardApplication } from "./card-application.ts";
import { applicationsOf, directoryRecords, ppseAnswer, pseAnswer } from "./card-files.ts";
import { type CardMemory, Chip } from "./card-memory.ts";
import { SCRIPT_INS } from "./card-scripts.ts";
import type { CardProfile } from "./profile.ts";

/** An application that is no payment application: it answers every command while it is selected. */
export interface ExtraApplication {
  /** Answers SELECT, and begins anew. */
  select(): ResponseApdu;
  respond(command: CommandApdu): ResponseApdu;
}

export interface CardOptions {
  readonly profile: CardProfile;
  /** Application Transaction Counter as the last transaction left it. */
  readonly atc: number;
  /** Called before a transaction answers, as a card writes its memory first. */
  readonly saveAtc: (atc: number) => void;
  /** What else the last transaction left; as personalised when absent. */
  readonly memory?: CardMemory;
  readonly saveMemory?: (memory: CardMemory) => void;
  /** Selected by their full names only, and in no directory. */
  readonly extraApplications?: readonly { readonly aid: Uint8Array; readonly application: ExtraApplication }[];
}

type Selected =
  | { readonly what: "nothing" }
  | { readonly what: "pse" }
  | { readonly what: "ppse" }
  | { readonly what: "application"; readonly application: CardApplication }
  | { readonly what: "extra"; readonly application: ExtraApplication };

const NOTHING: Selected = { what: "nothing" };
/** The registered application provider identifier: a shorter name selects nothing. */
const AID_BYTES_MIN = 5;
const CLASS = { interindustry: 0x00, proprietary: 0x80 } as const;
const PROPRIETARY: ReadonlySet<number> = new Set([INS.getProcessingOptions, INS.generateAc, INS.getData]);
/** These have class bytes of secure messaging, which are checked with it. */
const SECURED: ReadonlySet<number> = new Set(Object.values(SCRIPT_INS));

export class EmvCard {
  readonly #profile: CardProfile;
  readonly #chip: Chip;
  readonly #applications: readonly CardApplication[];
  readonly #extra: NonNullable<CardOptions["extraApplications"]>;
  #selected: Selected = NOTHING;
  /** What GET RESPONSE fetches. */
  #waiting: Uint8Array = new Uint8Array(0);
  /** How many GENERATE AC commands gave a cryptogram, by its type. */
  readonly cryptograms: Record<CryptogramType, number> = { AAC: 0, TC: 0, ARQC: 0 };

  constructor(options: CardOptions) {
    this.#profile = options.profile;
    this.#chip = new Chip({ ...options, saveMemory: options.saveMemory ?? (() => undefined) });
    this.#applications = applicationsOf(options.profile).map(
      (application) => new CardApplication(application, this.#chip, this.cryptograms),
    );
    this.#extra = options.extraApplications ?? [];
  }

  get atc(): number {
    return this.#chip.atc;
  }

  get memory(): CardMemory {
    return this.#chip.memory;
  }

  /** Power off, power on or reset: everything but the memory is forgotten. */
  reset(): void {
    this.#selected = NOTHING;
    for (const application of this.#applications) application.reset();
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
    if (command.ins === INS.select) {
      return command.cla === CLASS.interindustry ? this.#select(command) : refusal(STATUS.classNotSupported);
    }
    const selected = this.#selected;
    if (selected.what === "extra") return selected.application.respond(command);
    const expected = PROPRIETARY.has(command.ins) ? CLASS.proprietary : CLASS.interindustry;
    if (!SECURED.has(command.ins) && command.cla !== expected) return refusal(STATUS.classNotSupported);
    if (selected.what === "application") return selected.application.respond(command);
    return this.#withoutApplication(command);
  }

  /** Before an application is selected only the directory can be read. */
  #withoutApplication({ ins, p1, p2 }: CommandApdu): ResponseApdu {
    switch (ins) {
      case INS.readRecord: {
        if ((p2 & 0b111) !== 0b100) return refusal(STATUS.incorrectParameters);
        if (this.#selected.what !== "pse") return refusal(STATUS.commandNotAllowed);
        const record = directoryRecords(this.#profile).get(`${p2 >> 3}.${p1}`);
        return record ? success(record) : refusal(STATUS.recordNotFound);
      }
      case INS.getData:
        return refusal(STATUS.referencedDataNotFound);
      case INS.getProcessingOptions:
      case INS.generateAc:
      case INS.internalAuthenticate:
      case INS.externalAuthenticate:
        return refusal(STATUS.conditionsNotSatisfied);
      default:
        return refusal(STATUS.instructionNotSupported);
    }
  }

  #select({ p1, p2, data }: CommandApdu): ResponseApdu {
    if (p1 !== 0x04 || !data || (p2 !== FIRST && p2 !== NEXT)) return refusal(STATUS.incorrectParameters);
    if (this.#chip.memory.cardBlocked) return refusal(STATUS.functionNotSupported);
    const found = p2 === FIRST ? this.#named(data) : this.#nextNamed(data);
    if (!found) return refusal(STATUS.fileNotFound);
    this.#selected = found;
    switch (found.what) {
      case "pse":
        return success(pseAnswer());
      case "ppse":
        return success(ppseAnswer(this.#profile));
      case "application":
      case "extra":
        return found.application.select();
    }
  }

  #named(name: Uint8Array): Exclude<Selected, { what: "nothing" }> | undefined {
    if (sameBytes(name, PSE_NAME)) return { what: "pse" };
    if (sameBytes(name, PPSE_NAME)) return { what: "ppse" };
    const extra = this.#extra.find(({ aid }) => sameBytes(name, aid));
    return extra ? { what: "extra", application: extra.application } : this.#partiallyNamed(name, 0);
  }

  /** A partial name of at least the registered part selects too, and "next" the one after it (Book 1, 12.3.5). */
  #partiallyNamed(name: Uint8Array, from: number) {
    if (name.length < AID_BYTES_MIN) return undefined;
    const application = this.#applications
      .slice(from)
      .find(({ profile: { aid } }) => sameBytes(name, aid.subarray(0, name.length)));
    return application && ({ what: "application", application } as const);
  }

  /** There is no next without a first. */
  #nextNamed(name: Uint8Array) {
    const selected = this.#selected;
    if (selected.what !== "application") return undefined;
    return this.#partiallyNamed(name, this.#applications.indexOf(selected.application) + 1);
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

/** Occurrences in P2 of SELECT (Book 1, 11.3.2). */
const FIRST = 0x00;
const NEXT = 0x02;
