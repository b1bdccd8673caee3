/**
 * Recorded dialogues with cards as text: `#` comments, `@ key value` what the terminal was told, `> hex` a command and `< hex`
 * its answer, in order. The text holds card data in clear; people see `maskTranscript` of it (RM6).
 */
import { fromHex, toHex } from "../../base/bytes.ts";
import { Fault, isFault } from "../../base/fault.ts";
import { decodeCommand, decodeResponse } from "./apdu.ts";
import { APPLICATION_KEYS, keyRule, type TranscriptKey } from "./transcript-keys.ts";
import { hideScript, isShown, MASKED_BYTE, maskExchanges } from "./transcript-mask.ts";

export interface TranscriptExchange {
  readonly command: Uint8Array;
  /** Data and status word; absent in the last exchange of a card that fell silent. */
  readonly answer?: Uint8Array;
  /** Of the command in the text it was read from, 1 is the first. */
  readonly line?: number;
}

export interface HeaderLine {
  readonly key: TranscriptKey;
  /** As `canonicalValue` of its key gives it. */
  readonly value: string;
  readonly line?: number;
}

export interface Transcript {
  /** In order: an application's keys follow its `aid`, those before the first `aid` hold for every application. */
  readonly header: readonly HeaderLine[];
  readonly exchanges: readonly TranscriptExchange[];
}

export const TRANSCRIPT_CHARACTERS_MAX = 1_000_000;
export const TRANSCRIPT_EXCHANGES_MAX = 2_000;
export const TRANSCRIPT_HEADER_MAX = 1_000;

/** Throws Fault `codec.…` whose message and `details.line` say where. */
export function parseTranscript(text: string): Transcript {
  if (text.length > TRANSCRIPT_CHARACTERS_MAX) {
    throw new Fault("codec.too-long", `a transcript of more than ${TRANSCRIPT_CHARACTERS_MAX} characters`, {
      details: { line: 1 },
    });
  }
  const reader = new TranscriptReader();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    try {
      reader.take(line.replace(/#.*$/, "").trim(), index + 1);
    } catch (error) {
      if (!isFault(error)) throw error;
      throw new Fault(error.code, `line ${index + 1}: ${error.message}`, {
        details: { line: index + 1 },
        cause: error,
      });
    }
  }
  return reader.done();
}

class TranscriptReader {
  readonly #header: HeaderLine[] = [];
  readonly #exchanges: TranscriptExchange[] = [];
  /** Keys that may not come again; those of an application may after the next `aid`. */
  readonly #seen = new Set<TranscriptKey>();

  take(text: string, line: number): void {
    const rest = text.slice(1).trim();
    switch (text[0]) {
      case undefined:
        return;
      case "@":
        this.#takeHeader(rest, line);
        return;
      case ">":
        this.#takeCommand(fromHex(rest), line);
        return;
      case "<":
        this.#takeAnswer(fromHex(rest));
        return;
      default:
        throw new Fault("codec.invalid", "begins with none of # comment, @ key value, > command, < answer");
    }
  }

  done(): Transcript {
    return { header: this.#header, exchanges: this.#exchanges };
  }

  #takeHeader(text: string, line: number): void {
    if (this.#header.length === TRANSCRIPT_HEADER_MAX) {
      throw new Fault("codec.too-long", `more than ${TRANSCRIPT_HEADER_MAX} header lines`);
    }
    const [, name = "", given = ""] = /^(\S*)\s*(.*)$/.exec(text) ?? [];
    const { key, rule } = keyRule(name);
    const value = rule.canonical(given);
    if (value === undefined) throw new Fault("codec.invalid", `${key} is ${rule.wants}, not "${given}"`);
    if (key === "aid") for (const own of APPLICATION_KEYS) this.#seen.delete(own);
    if (this.#seen.has(key)) throw new Fault("codec.invalid", `${key} comes twice`);
    if (!rule.many) this.#seen.add(key);
    this.#header.push({ key, value, line });
  }

  #takeCommand(command: Uint8Array, line: number): void {
    const last = this.#exchanges.at(-1);
    if (last && !last.answer) throw new Fault("codec.invalid", "a command before the last one is answered");
    if (this.#exchanges.length === TRANSCRIPT_EXCHANGES_MAX) {
      throw new Fault("codec.too-long", `more than ${TRANSCRIPT_EXCHANGES_MAX} commands`);
    }
    decodeCommand(command);
    this.#exchanges.push({ command, line });
  }

  #takeAnswer(answer: Uint8Array): void {
    const last = this.#exchanges.pop();
    if (!last || last.answer) throw new Fault("codec.invalid", "an answer to no command");
    decodeResponse(answer);
    this.#exchanges.push({ ...last, answer });
  }
}

/** What `parseTranscript` reads back, but for comments. */
export function formatTranscript({ header, exchanges }: Transcript): string {
  return lines([
    ...header.map(({ key, value }) => `@ ${key} ${value}`),
    ...exchanges.flatMap(({ command, answer }) => [`> ${hex(command)}`, ...(answer ? [`< ${hex(answer)}`] : [])]),
  ]);
}

/**
 * The view for people (RM6): the same lines, with `**` for each byte that is a card number, a track or a name, that lies in a
 * record, or from which somebody with every public key could compute one (certificates, signatures and their hashes).
 */
export function maskTranscript({ header, exchanges }: Transcript): string {
  return lines([
    `# masked: ${MASKED_BYTE} is a byte that is not shown`,
    ...header.map(({ key, value }) => `@ ${key} ${maskedValue(key, value)}`),
    ...maskExchanges(exchanges).flatMap(({ command, answer }) => [
      `> ${command}`,
      ...(answer === undefined ? [] : [`< ${answer}`]),
    ]),
  ]);
}

function maskedValue(key: TranscriptKey, value: string): string {
  if (key === "script") return hideScript(value);
  if (key !== "data") return value;
  const [tag = "", content = ""] = value.split(" ");
  return isShown(Number.parseInt(tag, 16)) ? value : `${tag} ${MASKED_BYTE.repeat(content.length / 2)}`;
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join("");
const hex = (bytes: Uint8Array): string => toHex(bytes).toUpperCase();
