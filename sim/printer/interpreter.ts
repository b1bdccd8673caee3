/**
 * Reads the byte stream of an ESC/POS printer as a printer does, one byte at a time. Shares nothing with the encoder
 * that the product uses. An unknown command is reported and changes nothing.
 * Source: Epson ESC/POS command reference.
 */
import { toHex } from "../../base/bytes.ts";
import { characterOf, isKnownCodepage } from "./codepages.ts";
import { CR, commandLength, ESC, FF, FS, GS, HT, isPrintable, LF, NUL } from "./commands.ts";
import { type Align, type CutKind, lineColumns, type Mark, type Printed, type Span } from "./paper.ts";

/** What the mechanism does on behalf of the interpreter. */
export interface Mechanism {
  print(item: Printed): void;
  cut(kind: CutKind): void;
  mark(mark: Mark): void;
  /** GS r and GS I: asked for in order, answered at once. */
  transmit(what: "paper-sensor" | "drawer" | "name"): void;
  automaticStatus(enabled: "on" | "off"): void;
}

interface Style {
  readonly bold: boolean;
  readonly underline: boolean;
  readonly inverse: boolean;
  readonly width: number;
  readonly height: number;
}

type Obey = (value: number, command: readonly number[]) => void;

const PLAIN: Style = { bold: false, underline: false, inverse: false, width: 1, height: 1 };
const ALIGNS: readonly Align[] = ["left", "center", "right"];
/** m of GS V for function A to D; all others cut partially. */
const FULL_CUTS: readonly number[] = [0, 48, 65, 97, 103];
const TAB_COLUMNS = 8;
/** Bytes of one command that are kept; the rest of a longer one, an image, is counted and forgotten. */
const COMMAND_BYTES_KEPT = 8_192;

export class EscPosInterpreter {
  readonly #columns: number;
  readonly #mechanism: Mechanism;
  #begun: number[] = [];
  /** Bytes of the current command so far, those not kept included. */
  #seen = 0;
  #style: Style = PLAIN;
  #align: Align = "left";
  #page = 0;
  #line: Span[] = [];
  #qr = { text: "", moduleDots: 3 };
  readonly #commands: ReadonlyMap<string, Obey> = new Map<string, Obey>([
    [`${ESC} @`, () => this.#initialise()],
    [`${ESC} !`, (value) => this.#printMode(value)],
    [`${ESC} E`, (value) => this.#restyle({ bold: (value & 1) === 1 })],
    [`${ESC} G`, (value) => this.#restyle({ bold: (value & 1) === 1 })],
    [`${ESC} -`, (value) => this.#restyle({ underline: [1, 2, 49, 50].includes(value) })],
    [`${ESC} a`, (value) => this.#alignTo(value)],
    [`${ESC} t`, (value) => this.#selectPage(value)],
    [`${ESC} d`, (value) => this.#feedLines(value)],
    [`${ESC} J`, () => this.#endBegunLine()],
    [`${ESC} p`, (value) => this.#mechanism.mark({ kind: "drawer", pin: value === 1 || value === 49 ? 5 : 2 })],
    [`${ESC} i`, () => this.#mechanism.cut("full")],
    [`${ESC} m`, () => this.#mechanism.cut("partial")],
    [`${ESC} v`, () => this.#mechanism.transmit("paper-sensor")],
    [`${ESC} *`, (mode, command) => this.#image(word(command, 3), mode > 1 ? 24 : 8)],
    [`${GS} !`, (value) => this.#restyle({ width: ((value >> 4) & 0b111) + 1, height: (value & 0b111) + 1 })],
    [`${GS} B`, (value) => this.#restyle({ inverse: (value & 1) === 1 })],
    [`${GS} V`, (value) => this.#mechanism.cut(FULL_CUTS.includes(value) ? "full" : "partial")],
    [`${GS} r`, (value) => this.#mechanism.transmit(value === 2 || value === 50 ? "drawer" : "paper-sensor")],
    [`${GS} a`, (value) => this.#mechanism.automaticStatus(value === 0 ? "off" : "on")],
    [`${GS} I`, () => this.#mechanism.transmit("name")],
    [`${GS} k`, (_value, command) => this.#barcode(command)],
    [`${GS} v`, (_value, command) => this.#image(word(command, 4) * 8, word(command, 6))],
    [`${GS} (`, (_value, command) => this.#function(command)],
    [`${FS} .`, () => undefined],
  ]);

  constructor(options: { readonly columns: number; readonly mechanism: Mechanism }) {
    this.#columns = options.columns;
    this.#mechanism = options.mechanism;
  }

  /** Forgets everything, as when the power goes. */
  reset(): void {
    this.#begun = [];
    this.#seen = 0;
    this.#initialise();
  }

  feed(byte: number): void {
    this.#seen += 1;
    if (this.#begun.length < COMMAND_BYTES_KEPT) this.#begun.push(byte);
    const length = commandLength(this.#begun);
    const endless = length === undefined && this.#seen >= COMMAND_BYTES_KEPT;
    if (!endless && (length === undefined || this.#seen < length)) return;
    const command = this.#begun;
    this.#begun = [];
    this.#seen = 0;
    this.#obey(command);
  }

  #obey(command: readonly number[]): void {
    const [lead = NUL, name = NUL, value = 0] = command;
    if (lead === ESC || lead === GS || lead === FS) {
      const obey = this.#commands.get(`${lead} ${String.fromCharCode(name)}`);
      if (obey) obey(value, command);
      else if (!isQuiet(lead, name)) this.#unknown(command);
    } else if (lead === LF) this.#endLine();
    else if (lead === HT) this.#tab();
    else if (isPrintable(lead)) this.#character(lead);
    else if (lead === FF && this.#line.length > 0) this.#endLine();
    else if (lead !== NUL && lead !== CR && lead !== FF) this.#unknown(command);
  }

  /** GS ( k cn fn: the two-dimensional codes, of which cn 49 is QR. */
  #function(command: readonly number[]): void {
    const [, , letter, , , code, fn] = command;
    if (letter !== 0x6b || code !== 49) this.#unknown(command);
    else if (fn === 67) this.#qr.moduleDots = command[7] ?? 3;
    else if (fn === 80) this.#qr.text = Buffer.from(command.slice(8)).toString("latin1");
    else if (fn === 81) this.#print({ kind: "qr", align: this.#align, ...this.#qr });
    else if (fn !== 65 && fn !== 69) this.#unknown(command);
  }

  #barcode(command: readonly number[]): void {
    const functionB = (command[2] ?? 0) >= 65;
    const data = functionB ? command.slice(4) : command.slice(3, -1);
    this.#print({ kind: "barcode", align: this.#align, text: Buffer.from(data).toString("latin1") });
  }

  #image(widthDots: number, heightDots: number): void {
    this.#print({ kind: "image", align: this.#align, widthDots, heightDots });
  }

  #print(item: Printed): void {
    this.#endBegunLine();
    this.#mechanism.print(item);
  }

  #character(byte: number): void {
    if (lineColumns(this.#line) + this.#style.width > this.#columns) this.#endLine();
    const text = characterOf(byte, this.#page);
    const last = this.#line.at(-1);
    if (last && sameStyle(last, this.#style)) {
      this.#line[this.#line.length - 1] = { ...last, text: last.text + text };
    } else this.#line.push({ ...this.#style, text });
  }

  #tab(): void {
    const used = lineColumns(this.#line);
    const spaces = TAB_COLUMNS - (used % TAB_COLUMNS);
    for (let space = 0; space < spaces && used + space < this.#columns; space += 1) this.#character(0x20);
  }

  #alignTo(value: number): void {
    this.#align = ALIGNS[value >= 48 ? value - 48 : value] ?? this.#align;
  }

  #feedLines(count: number): void {
    for (let line = 0; line < count; line += 1) this.#endLine();
  }

  #endBegunLine(): void {
    if (this.#line.length > 0) this.#endLine();
  }

  #endLine(): void {
    this.#mechanism.print({ kind: "line", align: this.#align, spans: this.#line });
    this.#line = [];
  }

  /** ESC @ also drops what stands in the line and was not printed yet. */
  #initialise(): void {
    this.#style = PLAIN;
    this.#align = "left";
    this.#page = 0;
    this.#line = [];
  }

  /** ESC !: bit 3 emphasised, 4 double height, 5 double width, 7 underlined. */
  #printMode(bits: number): void {
    this.#restyle({
      bold: (bits & 0x08) !== 0,
      height: (bits & 0x10) !== 0 ? 2 : 1,
      width: (bits & 0x20) !== 0 ? 2 : 1,
      underline: (bits & 0x80) !== 0,
    });
  }

  #restyle(change: Partial<Style>): void {
    this.#style = { ...this.#style, ...change };
  }

  #selectPage(page: number): void {
    this.#page = page;
    if (!isKnownCodepage(page)) this.#mechanism.mark({ kind: "unknown-codepage", page });
  }

  #unknown(command: readonly number[]): void {
    this.#mechanism.mark({ kind: "unknown-command", hex: toHex(Uint8Array.from(command.slice(0, 16))) });
  }
}

/** Fonts, spacing, margins and the like change nothing that a test or a person reads here. */
const QUIET: ReadonlyMap<number, string> = new Map([
  [ESC, " 23MR=c{VTUr$\\DLSW\f"],
  [GS, "HhwfLWPb$\\T"],
  [FS, "&"],
]);
const isQuiet = (lead: number, name: number): boolean => QUIET.get(lead)?.includes(String.fromCharCode(name)) ?? false;

/** A number of two bytes, low byte first. */
const word = (command: readonly number[], at: number): number => (command[at] ?? 0) + (command[at + 1] ?? 0) * 0x100;

const sameStyle = (span: Span, style: Style): boolean =>
  span.bold === style.bold &&
  span.underline === style.underline &&
  span.inverse === style.inverse &&
  span.width === style.width &&
  span.height === style.height;
