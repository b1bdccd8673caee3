/** A card that answers from a transcript: in order and to the byte, or leniently whatever fits a command. */
import { concat, sameBytes, toHex } from "../../../base/bytes.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import {
  type CommandApdu,
  decodeCommand,
  decodeResponse,
  encodeCommand,
  followUp,
  type ResponseApdu,
  STATUS,
} from "../apdu.ts";
import { INS } from "../commands.ts";
import type { TranscriptExchange } from "../transcript.ts";

/** `lenient`: an answer is found by CLA, INS, P1 and P2, so that another terminal's dialogue can be walked through. */
export type ReplayMode = "strict" | "lenient";

/** Where kernel and transcript part. */
export interface Difference {
  readonly why: "unexpected-command" | "transcript-ended" | "card-silent" | "transcript-continues";
  readonly detail: string;
  /** Of the transcript; absent when it was read from none. */
  readonly line?: number;
  /** Command in hex, in clear. */
  readonly expected?: string;
  readonly actual?: string;
}

/** As many as one command's answer may take to be fetched (Book 1, 9.3.1.1). */
const ROUNDS_MAX = 260;

export class RecordedCard {
  readonly #exchanges: readonly TranscriptExchange[];
  readonly #mode: ReplayMode;
  readonly #used = new Set<TranscriptExchange>();
  #next = 0;
  /** Lenient only: where an answer was not the one to this very command. */
  readonly notes: string[] = [];

  constructor(exchanges: readonly TranscriptExchange[], mode: ReplayMode) {
    this.#exchanges = exchanges;
    this.#mode = mode;
  }

  /** The whole answer, fetched as T=0 wants it when the transcript was recorded below that. */
  answer(command: CommandApdu): Result<ResponseApdu, Difference> {
    let next: CommandApdu | undefined = command;
    let data: Uint8Array = new Uint8Array(0);
    let status = 0;
    for (let round = 0; next && round < ROUNDS_MAX; round += 1) {
      const answered: Result<ResponseApdu, Difference> =
        this.#mode === "strict" || round > 0 ? this.#inOrder(next) : this.#fitting(next);
      if (!answered.ok) return answered;
      data = concat(data, answered.value.data);
      status = answered.value.status;
      next = followUp(next, answered.value);
    }
    return ok({ data, status });
  }

  /** What a strict replay must have used up. */
  left(): Difference | undefined {
    const exchange = this.#exchanges[this.#next];
    if (this.#mode === "lenient" || !exchange) return undefined;
    return {
      why: "transcript-continues",
      detail: "the kernel has come to its end, and the transcript goes on",
      expected: toHex(exchange.command),
      ...lineOf(exchange),
    };
  }

  /** Of the last command that was answered. */
  get line(): number | undefined {
    return this.#exchanges[this.#next - 1]?.line;
  }

  get unused(): number {
    return this.#exchanges.length - this.#used.size;
  }

  #inOrder(command: CommandApdu): Result<ResponseApdu, Difference> {
    const exchange = this.#exchanges[this.#next];
    const actual = toHex(encodeCommand(command));
    if (!exchange) {
      const last = this.#exchanges.at(-1);
      const detail = "the kernel asks for more than the transcript has";
      return fail({ why: "transcript-ended", detail, actual, ...(last && lineOf(last)) });
    }
    if (!isSame(exchange.command, command)) {
      const detail = `the kernel sends another command than the transcript: ${differing(exchange.command, command)}`;
      return fail({
        why: "unexpected-command",
        detail,
        expected: toHex(exchange.command),
        actual,
        ...lineOf(exchange),
      });
    }
    return this.#use(exchange);
  }

  #use(exchange: TranscriptExchange): Result<ResponseApdu, Difference> {
    this.#used.add(exchange);
    this.#next = this.#exchanges.indexOf(exchange) + 1;
    if (exchange.answer) return ok(decodeResponse(exchange.answer));
    return fail({ why: "card-silent", detail: "the card gave no answer to this command", ...lineOf(exchange) });
  }

  /**
   * The same command first, then one of the same header; of each one that was not used yet, and sooner one behind the last
   * answer than one before it: a record means another thing once another file is selected.
   */
  #fitting(command: CommandApdu): Result<ResponseApdu, Difference> {
    const ahead = [...this.#exchanges.slice(this.#next), ...this.#exchanges.slice(0, this.#next)];
    const first = (fitting: readonly TranscriptExchange[]) =>
      fitting.find((exchange) => !this.#used.has(exchange)) ?? fitting[0];
    const alike = ahead.filter((exchange) => hasHeader(exchange, command));
    const exact = first(alike.filter((exchange) => isSame(exchange.command, command)));
    if (exact) return this.#use(exact);
    const near = command.ins === INS.select ? alike.filter((exchange) => isPartOfName(exchange, command)) : alike;
    const found = first(near) ?? this.#otherCryptogram(command);
    if (found) {
      this.notes.push(`${nameOf(command)}: answered from ${placeOf(found)}, which is not the same command`);
      return this.#use(found);
    }
    const status = ABSENT.get(command.ins);
    if (status !== undefined) {
      this.notes.push(`${nameOf(command)}: not in the transcript, answered with ${toStatus(status)}`);
      return ok({ data: new Uint8Array(0), status });
    }
    const detail = "the transcript has no answer to such a command";
    return fail({ why: "unexpected-command", detail, actual: toHex(encodeCommand(command)) });
  }

  /** Another terminal may have asked for another cryptogram, or for none with a signature: P1 differs. */
  #otherCryptogram({ ins }: CommandApdu): TranscriptExchange | undefined {
    if (ins !== INS.generateAc) return undefined;
    return this.#exchanges.find((exchange) => !this.#used.has(exchange) && decodeCommand(exchange.command).ins === ins);
  }
}

/** What a card says that has no such application, record or object. */
const ABSENT: ReadonlyMap<number, number> = new Map([
  [INS.select, STATUS.fileNotFound],
  [INS.readRecord, STATUS.recordNotFound],
  [INS.getData, STATUS.referencedDataNotFound],
]);

/** But for Le, which T=0 leaves out of a command with data and corrects in one without. */
function isSame(recorded: Uint8Array, command: CommandApdu): boolean {
  const { le: _, ...sent } = command;
  const { le: __, ...known } = decodeCommand(recorded);
  return sameBytes(encodeCommand(sent), encodeCommand(known));
}

function hasHeader({ command }: TranscriptExchange, { cla, ins, p1, p2 }: CommandApdu): boolean {
  return sameBytes(command.subarray(0, 4), Uint8Array.of(cla, ins, p1, p2));
}

/** A file is selected by the beginning of its name (Book 1, 12.3.1); another file's answer would only mislead. */
function isPartOfName({ command }: TranscriptExchange, { data = new Uint8Array(0) }: CommandApdu): boolean {
  const { data: recorded = new Uint8Array(0) } = decodeCommand(command);
  const length = Math.min(data.length, recorded.length);
  return sameBytes(data.subarray(0, length), recorded.subarray(0, length));
}

const HEADER_PARTS = ["CLA", "INS", "P1", "P2"] as const;

function differing(recorded: Uint8Array, command: CommandApdu): string {
  const header = [command.cla, command.ins, command.p1, command.p2];
  const parts = HEADER_PARTS.filter((_, index) => recorded[index] !== header[index]);
  return parts.length > 0 ? parts.join(", ") : "the data";
}

const INS_NAMES: ReadonlyMap<number, string> = new Map([
  [INS.select, "SELECT"],
  [INS.getProcessingOptions, "GET PROCESSING OPTIONS"],
  [INS.readRecord, "READ RECORD"],
  [INS.generateAc, "GENERATE AC"],
  [INS.getData, "GET DATA"],
  [INS.externalAuthenticate, "EXTERNAL AUTHENTICATE"],
  [INS.internalAuthenticate, "INTERNAL AUTHENTICATE"],
  [INS.getChallenge, "GET CHALLENGE"],
]);

const nameOf = ({ ins, p1, p2 }: CommandApdu): string =>
  `${INS_NAMES.get(ins) ?? `command ${toHex(Uint8Array.of(ins)).toUpperCase()}`} ${toHex(Uint8Array.of(p1, p2)).toUpperCase()}`;
const toStatus = (status: number): string => status.toString(16).toUpperCase();
const lineOf = ({ line }: TranscriptExchange): { readonly line?: number } => (line === undefined ? {} : { line });
const placeOf = ({ line }: TranscriptExchange): string => (line === undefined ? "the transcript" : `line ${line}`);
