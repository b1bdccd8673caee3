/** From a scanner's reports to whole codes: parts joined, parts that stay alone dropped with their reason, and nothing guessed. */
import { concat } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { splitAim } from "./aim.ts";
import type { KeyboardLayout } from "./keyboard-layouts.ts";
import { KeyPresses, type KeyReportLayout, Typist } from "./keyboard-report.ts";
import { decodePosReport, type PosLayout, type PosPart } from "./pos-report.ts";

/** Why what came is no code. */
export const DROP_REASONS = [
  /** A report that has not the size its descriptor says: cut on the way. */
  "wrong-size",
  /** A report that counts more data than it holds. */
  "bad-length",
  "too-long",
  /** The rest of the code, or its terminator, did not come in time. */
  "rest-missing",
  /** Parts of two codes: the end of the first was lost. */
  "parts-mixed",
  /** A key that gives no character on the configured layout. */
  "unknown-key",
  /** Not begun by the characters that the scanner is programmed to send first: typed by a person. */
  "prefix-missing",
  "empty",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

export interface DecodedScan {
  readonly text: string;
  readonly aim?: string;
}

export type Decoded =
  | ({ readonly what: "scan" } & DecodedScan)
  | { readonly what: "dropped"; readonly why: DropReason };

/** Times are monotonic milliseconds of the caller's clock. */
export interface ScanDecoder {
  push(report: Uint8Array, nowMs: number): readonly Decoded[];
  /** Drops a code whose next part has not come within PART_GAP_MAX_MS. */
  expire(nowMs: number): readonly Decoded[];
  /** True while a code is begun and not ended: `expire` is to be called in PART_GAP_MAX_MS. */
  readonly partial: boolean;
  readonly dropped: ReadonlyMap<DropReason, number>;
}

/** Digits that the largest QR code holds, version 40-L: the most characters of any code. */
export const CODE_BYTES_MAX = 7_089;
/** Twice as many as the longest code takes in the common layout. */
export const CODE_PARTS_MAX = 256;
/** Between two parts of one code. Reports follow within milliseconds; the slowest keyboard setting of scanners is 100 ms. */
export const PART_GAP_MAX_MS = 500;

/** Counts, and keeps the time of the last part: what both kinds of scanner have in common. */
abstract class GapWatchingDecoder implements ScanDecoder {
  readonly #dropped = new Map<DropReason, number>();
  #lastAt = 0;

  abstract readonly partial: boolean;
  protected abstract take(report: Uint8Array): readonly Decoded[];
  protected abstract forget(): void;
  /** What the code under way comes to when nothing follows. */
  protected abstract lapse(): readonly Decoded[];

  get dropped(): ReadonlyMap<DropReason, number> {
    return this.#dropped;
  }

  push(report: Uint8Array, nowMs: number): readonly Decoded[] {
    const late = this.expire(nowMs);
    this.#lastAt = nowMs;
    return [...late, ...this.take(report)];
  }

  expire(nowMs: number): readonly Decoded[] {
    return this.partial && nowMs - this.#lastAt >= PART_GAP_MAX_MS ? this.lapse() : [];
  }

  /** Ends the code under way for that reason. */
  protected drop(why: DropReason): Decoded {
    this.forget();
    this.#dropped.set(why, (this.#dropped.get(why) ?? 0) + 1);
    return { what: "dropped", why };
  }

  protected whole(scan: DecodedScan): Decoded {
    return scan.text === "" ? this.drop("empty") : { what: "scan", ...scan };
  }
}

/** HID POS: one or more reports to a code. */
export class PosScanDecoder extends GapWatchingDecoder {
  readonly #layout: PosLayout;
  #parts: PosPart[] = [];
  #bytes = 0;
  /** What was dropped goes on: its further reports are no code of their own. */
  #skipping = false;

  constructor(layout: PosLayout) {
    super();
    this.#layout = layout;
  }

  get partial(): boolean {
    return this.#parts.length > 0 || this.#skipping;
  }

  protected take(report: Uint8Array): readonly Decoded[] {
    let part: PosPart | undefined;
    try {
      part = decodePosReport(report, this.#layout);
    } catch (error) {
      if (!isFault(error)) throw error;
      return [this.drop(error.code === "codec.truncated" ? "wrong-size" : "bad-length")];
    }
    if (!part) return [];
    if (this.#skipping) {
      this.#skipping = part.continued;
      return [];
    }
    return this.#join(part);
  }

  protected forget(): void {
    this.#parts = [];
    this.#bytes = 0;
    this.#skipping = false;
  }

  protected lapse(): readonly Decoded[] {
    if (!this.#skipping) return [this.drop("rest-missing")];
    this.forget();
    return [];
  }

  #join(part: PosPart): readonly Decoded[] {
    const first = this.#parts[0];
    const mixed: Decoded[] = first && first.aim !== part.aim ? [this.drop("parts-mixed")] : [];
    this.#bytes += part.data.length;
    if (this.#bytes > CODE_BYTES_MAX || this.#parts.length >= CODE_PARTS_MAX) {
      const dropped = this.drop("too-long");
      this.#skipping = part.continued;
      return [...mixed, dropped];
    }
    this.#parts.push(part);
    if (part.continued) return mixed;
    const { aim } = this.#parts[0] ?? part;
    const text = withoutLineEnd(textOf(concat(...this.#parts.map(({ data }) => data))));
    this.forget();
    return [...mixed, this.whole(aim === undefined ? splitAim(text) : { text, aim })];
  }
}

/** UTF-8, as makers of payment codes write it; else ISO 8859-1, which a QR code has where it names no other (ISO/IEC 18004). */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Buffer.from(bytes).toString("latin1");
  }
}

/** Scanners are often set to end each code as a line, in this mode too. */
const withoutLineEnd = (text: string): string => text.replace(/(?:\r\n|\r|\n)$/, "");

export const TERMINATORS = ["enter-or-tab", "enter", "tab"] as const;
export type Terminator = (typeof TERMINATORS)[number];

export interface KeyboardOptions {
  readonly report: KeyReportLayout;
  readonly layout: KeyboardLayout;
  readonly terminator: Terminator;
  /** What the scanner is programmed to send before each code; empty for nothing. */
  readonly prefix: string;
}

/** A scanner that types. Without a terminator there is no code: where one ends must not be guessed by the time. */
export class KeyboardScanDecoder extends GapWatchingDecoder {
  readonly #options: KeyboardOptions;
  readonly #presses: KeyPresses;
  readonly #typist: Typist;
  #text = "";
  #deadWaits = false;
  /** Why the code under way will be dropped when it ends. */
  #spoilt: DropReason | undefined;

  constructor(options: KeyboardOptions) {
    super();
    this.#options = options;
    this.#presses = new KeyPresses(options.report);
    this.#typist = new Typist(options.layout);
  }

  get partial(): boolean {
    return this.#text !== "" || this.#deadWaits || this.#spoilt !== undefined;
  }

  protected take(report: Uint8Array): readonly Decoded[] {
    try {
      return this.#presses.push(report).flatMap((press) => {
        const typed = this.#typist.type(press);
        if (this.#deadWaits && (typed.what === "enter" || typed.what === "tab")) this.#spoilt ??= "unknown-key";
        this.#deadWaits = typed.what === "dead";
        if (typed.what === "text") this.#add(typed.text);
        if (typed.what === "unknown") this.#spoilt ??= "unknown-key";
        if (typed.what === "enter" || typed.what === "tab") return this.#ended(typed.what);
        return [];
      });
    } catch (error) {
      if (!isFault(error)) throw error;
      // A key may have been in what is missing, so the code is lost up to its end.
      this.#spoilt ??= "wrong-size";
      return [];
    }
  }

  protected forget(): void {
    this.#text = "";
    this.#deadWaits = false;
    this.#spoilt = undefined;
    this.#typist.reset();
  }

  protected lapse(): readonly Decoded[] {
    return [this.drop(this.#spoilt ?? "rest-missing")];
  }

  #add(text: string): void {
    if (this.#text.length >= CODE_BYTES_MAX) this.#spoilt ??= "too-long";
    else this.#text += text;
  }

  #ended(by: "enter" | "tab"): readonly Decoded[] {
    const { terminator, prefix } = this.#options;
    if (terminator !== "enter-or-tab" && terminator !== by) {
      this.#add(by === "tab" ? "\t" : "\n");
      return [];
    }
    if (this.#spoilt !== undefined) return [this.drop(this.#spoilt)];
    const text = this.#text;
    if (text !== "" && !text.startsWith(prefix)) return [this.drop("prefix-missing")];
    this.forget();
    return [this.whole(splitAim(text.slice(prefix.length)))];
  }
}
