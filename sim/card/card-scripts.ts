/** Issuer scripts as a simulated card obeys them: secure messaging of format 2 with an eight-byte MAC (Book 2, 9; Book 3, 6.5). */
import { concat, toHex } from "../../base/bytes.ts";
import { type CommandApdu, type ResponseApdu, STATUS } from "../../protocols/emv/apdu.ts";
import { sameCryptogram, scriptMac, scriptSessionKey } from "../../protocols/emv/cryptogram.ts";
import { CARD_STATUS, refusal, success } from "./card-answers.ts";
import { LIMITS_RECORD, type RecordKey } from "./card-files.ts";
import type { Chip } from "./card-memory.ts";

export const SCRIPT_INS = {
  applicationBlock: 0x1e,
  applicationUnblock: 0x18,
  cardBlock: 0x16,
  pinChange: 0x24,
  putData: 0xda,
  updateRecord: 0xdc,
} as const;

const SCRIPT_INSTRUCTIONS: ReadonlySet<number> = new Set(Object.values(SCRIPT_INS));
export const isScriptCommand = ({ ins }: CommandApdu): boolean => SCRIPT_INSTRUCTIONS.has(ins);

/** Class bytes of format 2: 84 for EMV's own commands, 04 beside it for those of ISO/IEC 7816-4. */
const SECURED = 0x84;
const SECURED_INTERINDUSTRY = 0x04;
const MAC_BYTES = 8;
const RECORD_BYTES_MAX = 254;

/** The card's own limits for consecutive offline transactions, one byte each. */
export const OWN_LIMITS = { lower: 0x9f58, upper: 0x9f59 } as const;

/** The secure messaging of one transaction: each MAC goes into the next one's (Book 2, 9.2.3.1). */
export class ScriptSession {
  readonly #key: Uint8Array;
  readonly #aid: Uint8Array;
  readonly #chip: Chip;
  #chaining: Uint8Array;

  constructor(options: {
    readonly masterKey: Uint8Array;
    /** Of the first GENERATE AC. */
    readonly cryptogram: Uint8Array;
    readonly aid: Uint8Array;
    readonly chip: Chip;
  }) {
    this.#key = scriptSessionKey(options.masterKey, options.cryptogram);
    this.#chaining = options.cryptogram;
    this.#aid = options.aid;
    this.#chip = options.chip;
  }

  run(command: CommandApdu): ResponseApdu {
    const { cla, ins, data = new Uint8Array(0) } = command;
    const interindustry = ins === SCRIPT_INS.putData || ins === SCRIPT_INS.updateRecord;
    if (cla !== SECURED && !(interindustry && cla === SECURED_INTERINDUSTRY)) return refusal(STATUS.classNotSupported);
    if (ins === SCRIPT_INS.pinChange) return refusal(STATUS.functionNotSupported);
    if (data.length < MAC_BYTES) return refusal(CARD_STATUS.secureMessagingMissing);
    const content = data.subarray(0, -MAC_BYTES);
    const header = Uint8Array.of(cla, ins, command.p1, command.p2, data.length);
    const mac = scriptMac({ key: this.#key, chaining: this.#chaining, message: concat(header, content) });
    if (!sameCryptogram(mac, data.subarray(-MAC_BYTES))) return refusal(CARD_STATUS.secureMessagingWrong);
    this.#chaining = mac;
    return this.#execute(command, content);
  }

  #execute({ ins, p1, p2 }: CommandApdu, content: Uint8Array): ResponseApdu {
    switch (ins) {
      case SCRIPT_INS.applicationBlock:
        this.#chip.setBlocked(this.#aid, "blocked");
        return success();
      case SCRIPT_INS.applicationUnblock:
        this.#chip.setBlocked(this.#aid, "usable");
        return success();
      case SCRIPT_INS.cardBlock:
        this.#chip.remember({ cardBlocked: true });
        return success();
      case SCRIPT_INS.putData:
        return this.#putData(p1 * 0x100 + p2, content);
      case SCRIPT_INS.updateRecord:
        return this.#updateRecord({ sfi: p2 >> 3, number: p1, mode: p2 & 0b111 }, content);
      default:
        return refusal(STATUS.instructionNotSupported);
    }
  }

  #putData(tag: number, content: Uint8Array): ResponseApdu {
    if (tag !== OWN_LIMITS.lower && tag !== OWN_LIMITS.upper) return refusal(STATUS.referencedDataNotFound);
    if (content.length !== 1) return refusal(STATUS.wrongLength);
    this.#chip.remember({ data: { ...this.#chip.memory.data, [tag.toString(16)]: toHex(content) } });
    return success();
  }

  #updateRecord(at: { sfi: number; number: number; mode: number }, content: Uint8Array): ResponseApdu {
    if (at.mode !== 0b100) return refusal(STATUS.incorrectParameters);
    const key: RecordKey = `${at.sfi}.${at.number}`;
    if (key !== LIMITS_RECORD) return refusal(CARD_STATUS.securityNotSatisfied);
    if (content.length === 0 || content.length > RECORD_BYTES_MAX) return refusal(STATUS.wrongLength);
    const place = `${toHex(this.#aid)}/${key}` as const;
    this.#chip.remember({ records: { ...this.#chip.memory.records, [place]: toHex(content) } });
    return success();
  }
}
