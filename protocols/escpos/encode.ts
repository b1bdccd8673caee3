/**
 * A receipt as the bytes of one ticket, for printers that speak Epson's ESC/POS. The package behind this seam
 * chooses code pages and writes the commands; what may go on paper and where it stands is decided here.
 */
import ReceiptPrinterEncoder from "@point-of-sale/receipt-printer-encoder";
import { concat } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import type { ReceiptDocument, ReceiptLine } from "./document.ts";
import { pairLines, wrap } from "./layout.ts";
import type { CodepageSet, Cut, PrinterModel } from "./model.ts";

export interface EncodedTicket {
  readonly bytes: Uint8Array;
  /** How many characters the printer cannot print; each is a `?` on paper. */
  readonly replaced: number;
}

/** More than any receipt; keeps one runaway document from occupying the printer for minutes. */
export const DOCUMENT_LINES_MAX = 500;
export const LINE_CHARACTERS_MAX = 2_000;
export const TICKET_BYTES_MAX = 65_536;
/** Version 15 of a QR code at level M: 77 modules, the largest that stands on 58 mm paper in dots a phone can read. */
export const QR_BYTES_MAX = 412;

/** Tried in this order for each character. Western pages first: they are what every printer has. */
const CANDIDATES = {
  epson: ["cp437", "cp858", "windows1252", "cp852", "cp866", "cp737"],
  "epson-legacy": ["cp437", "cp858", "windows1252", "cp852", "cp866"],
} as const satisfies Record<CodepageSet, readonly string[]>;

const FEED_LINES_BEFORE_CUT = 4;
const LINE_FEED = 0x0a;
/** GS V m: 0 cuts through, 1 leaves one point standing. */
const CUT_COMMANDS: Readonly<Record<Cut, readonly number[]>> = {
  full: [0x1d, 0x56, 0x00],
  partial: [0x1d, 0x56, 0x01],
  none: [],
};
/** Version 6 at level M, of 41 modules, is the last that fits 58 mm paper in large dots. */
const QR_BYTES_IN_LARGE_DOTS = 106;
const QR_DOTS = { large: 6, small: 4 } as const;

/** Throws Fault `codec.too-long` or `codec.invalid` for a document that no ticket can hold. */
export function encodeTicket(document: ReceiptDocument, model: PrinterModel): EncodedTicket {
  if (document.lines.length > DOCUMENT_LINES_MAX) {
    throw new Fault("codec.too-long", `a receipt of ${document.lines.length} lines; at most ${DOCUMENT_LINES_MAX}`);
  }
  const typesetter = new Typesetter(model);
  if (document.openDrawer) typesetter.pulse();
  for (const line of document.lines) typesetter.add(line);
  const feed = new Uint8Array(FEED_LINES_BEFORE_CUT).fill(LINE_FEED);
  const bytes = concat(typesetter.end(), feed, Uint8Array.from(CUT_COMMANDS[model.cut]));
  if (bytes.length > TICKET_BYTES_MAX) {
    throw new Fault("codec.too-long", `a receipt of ${bytes.length} bytes; at most ${TICKET_BYTES_MAX}`);
  }
  return { bytes, replaced: typesetter.replaced };
}

class Typesetter {
  readonly #model: PrinterModel;
  readonly #encoder: ReceiptPrinterEncoder;
  replaced = 0;

  constructor(model: PrinterModel) {
    this.#model = model;
    this.#encoder = newEncoder(model).initialize();
  }

  pulse(): void {
    this.#encoder.pulse();
  }

  end(): Uint8Array {
    return this.#encoder.encode();
  }

  add(line: ReceiptLine): void {
    switch (line.kind) {
      case "blank":
        this.#encoder.newline();
        return;
      case "cut":
        this.#encoder.raw([...new Uint8Array(FEED_LINES_BEFORE_CUT).fill(LINE_FEED), ...CUT_COMMANDS[this.#model.cut]]);
        return;
      case "rule":
        this.#line("─".repeat(this.#model.columns));
        return;
      case "qr":
        this.#qr(line.text);
        return;
      case "text":
        this.#text(line);
        return;
      case "pair":
        this.#encoder.bold(line.bold === true);
        for (const part of pairLines(this.#clean(line.label), this.#clean(line.value), this.#model.columns)) {
          this.#line(part);
        }
        this.#encoder.bold(false);
        return;
    }
  }

  #qr(text: string): void {
    const size = text.length <= QR_BYTES_IN_LARGE_DOTS ? QR_DOTS.large : QR_DOTS.small;
    this.#encoder.align("center").qrcode(qrText(text), { size, errorlevel: "m" }).align("left");
  }

  #text(line: Extract<ReceiptLine, { kind: "text" }>): void {
    const scale = line.large ? 2 : 1;
    this.#encoder.align(line.align ?? "left").bold(line.bold === true);
    this.#encoder.size(scale, scale);
    for (const paragraph of line.text.split(/\r\n|\r|\n/)) {
      for (const part of wrap(this.#clean(paragraph), this.#model.columns / scale)) this.#line(part);
    }
    this.#encoder.size(1, 1).bold(false).align("left");
  }

  /** Only characters that print: a control character would reach the printer as a command. */
  #clean(text: string): string {
    if (text.length > LINE_CHARACTERS_MAX) {
      throw new Fault("codec.too-long", `a receipt line of ${text.length} characters; at most ${LINE_CHARACTERS_MAX}`);
    }
    let clean = "";
    for (const character of text.normalize("NFC")) {
      const equal = EQUALS.get(character) ?? character;
      if (pageOf(equal, this.#model.codepages) !== undefined) clean += equal;
      else {
        clean += "?";
        this.replaced += 1;
      }
    }
    return clean;
  }

  /**
   * One line in runs of one code page each. The package can choose pages itself, but copies a whole page for each
   * character while it does, which held up a terminal for tens of milliseconds a ticket.
   */
  #line(text: string): void {
    let run = "";
    let runPage: Candidate | undefined;
    for (const character of text) {
      const page = pageOf(character, this.#model.codepages);
      if (runPage !== undefined && page !== runPage) {
        this.#encoder.codepage(runPage).text(run);
        run = "";
      }
      runPage = page ?? runPage;
      run += character;
    }
    if (runPage !== undefined) this.#encoder.codepage(runPage).text(run);
    this.#encoder.newline();
  }
}

type Candidate = (typeof CANDIDATES)[CodepageSet][number];

/** Characters whose page is remembered: more than any shop's alphabet has, few enough to bound the memory. */
const PAGES_KEPT_MAX = 2_000;
const pages = new Map<string, Candidate | undefined>();

/** The first candidate page that has the character; undefined for one that does not print. */
function pageOf(character: string, set: CodepageSet): Candidate | undefined {
  if (character >= " " && character <= "~") return CANDIDATES[set][0];
  if (/\p{Cc}/u.test(character)) return undefined;
  const key = `${set} ${character}`;
  if (!pages.has(key)) {
    if (pages.size >= PAGES_KEPT_MAX) pages.clear();
    pages.set(
      key,
      CANDIDATES[set].find((page) => !probe(character, page).includes(QUESTION_MARK)),
    );
  }
  return pages.get(key);
}

const PROBE_COLUMNS = 42;
const probe = (character: string, codepage: Candidate): Uint8Array =>
  new ReceiptPrinterEncoder({ language: "esc-pos", columns: PROBE_COLUMNS, codepageMapping: "epson" })
    .codepage(codepage)
    .text(character)
    .encode();

/** What the package writes for a character that none of the candidate pages has. */
const QUESTION_MARK = 0x3f;

/** Spaces and signs of which the printer has an equal: number formats of some languages use them. */
const EQUALS: ReadonlyMap<string, string> = new Map([
  ["\t", " "],
  ["\u00a0", " "],
  ["\u2009", " "],
  ["\u202f", " "],
  ["\u2010", "-"],
  ["\u2011", "-"],
  ["\u2212", "-"],
]);

function newEncoder(model: PrinterModel): ReceiptPrinterEncoder {
  return new ReceiptPrinterEncoder({
    language: "esc-pos",
    columns: model.columns,
    codepageMapping: "epson",
    newline: "\n",
  });
}

/** Printable ASCII only: readers disagree on the character set of anything else in a QR code. */
function qrText(text: string): string {
  if (!/^[ -~]+$/.test(text)) throw new Fault("codec.invalid", "a QR code on a receipt holds printable ASCII only");
  if (text.length > QR_BYTES_MAX) {
    throw new Fault("codec.too-long", `a QR code of ${text.length} characters; at most ${QR_BYTES_MAX}`);
  }
  return text;
}
