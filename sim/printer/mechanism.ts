/**
 * The machine around the interpreter: paper, cover, cutter, receive buffer and status. Like a real one it keeps what it
 * received while it cannot print and prints it when it can again, which is what makes double tickets in the field.
 */
import type { Clock } from "../../base/clock.ts";
import { EscPosInterpreter } from "./interpreter.ts";
import { type CutKind, type Mark, type Printed, paperText, type Ticket } from "./paper.ts";
import { RealTimeFilter, type RealTimeRequest } from "./real-time.ts";
import { paperSvg } from "./svg.ts";

export type PaperSupply = "ok" | "near-end" | "out";

export interface PrinterState {
  readonly paper: PaperSupply;
  readonly coverOpen: boolean;
  /** Takes bytes and does nothing with them, and does not answer. */
  readonly hung: boolean;
  /** A mechanical error, as a jammed cutter: prints nothing, answers. */
  readonly jammed: boolean;
  readonly offline: boolean;
  /** Bytes per second; 0 is as fast as they come. */
  readonly pace: number;
}

const WELL: PrinterState = { paper: "ok", coverOpen: false, hung: false, jammed: false, offline: false, pace: 0 };

/** After so many further bytes of print data something breaks. */
export type Breakdown = { readonly what: "paper-out" | "jam"; readonly afterBytes: number };

/** At this the port is no longer read, and the sender feels it. */
export const RECEIVE_BUFFER_BYTES = 65_536;
/** Older tickets are forgotten; their count is not. */
export const TICKETS_KEPT_MAX = 1_000;
/** Paper that nobody cuts: the top of it is forgotten. */
const PRINTED_MAX = 5_000;
const MARKS_MAX = 1_000;
const PACE_TICK_MS = 20;
const NAME_REPLY = Buffer.from("_Tillway simulated printer\0", "latin1");

export interface MechanismOptions {
  readonly columns: number;
  readonly clock: Clock;
  /** Towards the host. */
  readonly send: (bytes: Uint8Array) => void;
  readonly onTicket: (ticket: Ticket) => void;
}

export class PrinterMechanism {
  readonly #options: MechanismOptions;
  readonly #interpreter: EscPosInterpreter;
  readonly #realTime = new RealTimeFilter((request) => this.#answer(request));
  #state: PrinterState = WELL;
  #breakdown: Breakdown | undefined;
  #automatic: "on" | "off" = "off";
  #buffer: Uint8Array[] = [];
  #buffered = 0;
  #consumed = 0;
  #printed: Printed[] = [];
  #marks: Mark[] = [];
  #tickets: Ticket[] = [];
  #cuts = 0;
  #cancelTick: (() => void) | undefined;

  constructor(options: MechanismOptions) {
    this.#options = options;
    this.#interpreter = new EscPosInterpreter({ columns: options.columns, mechanism: this.#handlers() });
  }

  get state(): PrinterState {
    return this.#state;
  }

  get tickets(): readonly Ticket[] {
    return this.#tickets;
  }

  /** What lies on paper and is not cut off yet. */
  get uncut(): string {
    return paperText(this.#printed, this.#options.columns);
  }

  get counts(): { readonly cuts: number; readonly consumedBytes: number; readonly bufferedBytes: number } {
    return { cuts: this.#cuts, consumedBytes: this.#consumed, bufferedBytes: this.#buffered };
  }

  get full(): boolean {
    return this.#buffered >= RECEIVE_BUFFER_BYTES;
  }

  receive(chunk: Uint8Array): void {
    if (this.#state.hung) return;
    const data = this.#realTime.push(chunk);
    if (data.length > 0) {
      this.#buffer.push(data);
      this.#buffered += data.length;
    }
    this.#work();
  }

  change(change: Partial<PrinterState>): void {
    this.#state = { ...this.#state, ...change };
    if (this.#automatic === "on" && !this.#state.hung) this.#sendAutomatic();
    this.#work();
  }

  breakDown(breakdown: Breakdown): void {
    this.#breakdown = breakdown;
    this.#applyBreakdown();
  }

  /** Everything is well again; tickets and counts begin anew, and the paper is torn off. */
  clear(): void {
    this.#tickets = [];
    this.#printed = [];
    this.#marks = [];
    this.#cuts = 0;
    this.#breakdown = undefined;
    this.change(WELL);
  }

  /** The power goes and comes: what was received and not printed is forgotten. */
  powerCycle(): void {
    this.#buffer = [];
    this.#buffered = 0;
    this.#automatic = "off";
    this.#interpreter.reset();
    this.#realTime.reset();
    this.change({ hung: false, jammed: false });
  }

  stop(): void {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
  }

  get #canPrint(): boolean {
    const { paper, coverOpen, hung, jammed, offline } = this.#state;
    return paper !== "out" && !coverOpen && !hung && !jammed && !offline;
  }

  #work(): void {
    const { pace } = this.#state;
    if (pace === 0) {
      this.#consume(Number.POSITIVE_INFINITY);
      return;
    }
    if (this.#cancelTick || this.#buffered === 0 || !this.#canPrint) return;
    this.#cancelTick = this.#options.clock.after(PACE_TICK_MS, () => {
      this.#cancelTick = undefined;
      this.#consume(Math.max(1, Math.round((pace * PACE_TICK_MS) / 1_000)));
      this.#work();
    });
  }

  #consume(bytesMax: number): void {
    for (let count = 0; count < bytesMax && this.#canPrint; count += 1) {
      const [chunk] = this.#buffer;
      if (chunk === undefined) return;
      if (chunk.length === 1) this.#buffer.shift();
      else this.#buffer[0] = chunk.subarray(1);
      this.#buffered -= 1;
      this.#consumed += 1;
      this.#interpreter.feed(chunk[0] ?? 0);
      if (this.#breakdown) {
        this.#breakdown = { ...this.#breakdown, afterBytes: this.#breakdown.afterBytes - 1 };
        this.#applyBreakdown();
      }
    }
  }

  #applyBreakdown(): void {
    if (!this.#breakdown || this.#breakdown.afterBytes > 0) return;
    const { what } = this.#breakdown;
    this.#breakdown = undefined;
    this.change(what === "jam" ? { jammed: true } : { paper: "out" });
  }

  #handlers() {
    return {
      print: (item: Printed) => {
        this.#printed.push(item);
        if (this.#printed.length > PRINTED_MAX) this.#printed.shift();
      },
      mark: (mark: Mark) => {
        if (this.#marks.length < MARKS_MAX) this.#marks.push(mark);
      },
      cut: (kind: CutKind) => this.#cut(kind),
      transmit: (what: "paper-sensor" | "drawer" | "name") => this.#transmit(what),
      automaticStatus: (enabled: "on" | "off") => {
        this.#automatic = enabled;
        if (enabled === "on") this.#sendAutomatic();
      },
    };
  }

  /** A cut through empty paper is counted and makes no ticket. */
  #cut(cut: CutKind): void {
    this.#cuts += 1;
    const { columns, clock, onTicket } = this.#options;
    const printed = this.#printed;
    const marks = this.#marks;
    const text = paperText(printed, columns);
    this.#printed = [];
    if (text === "") return;
    this.#marks = [];
    const ticket: Ticket = {
      number: (this.#tickets.at(-1)?.number ?? 0) + 1,
      text,
      svg: paperSvg(printed, columns),
      marks,
      cut,
      cutAt: new Date(clock.now()).toISOString(),
      sameAsEarlier: this.#tickets.filter((earlier) => earlier.text === text).length,
    };
    this.#tickets.push(ticket);
    if (this.#tickets.length > TICKETS_KEPT_MAX) this.#tickets.shift();
    onTicket(ticket);
  }

  #transmit(what: "paper-sensor" | "drawer" | "name"): void {
    if (what === "name") this.#options.send(NAME_REPLY);
    else if (what === "drawer") this.#options.send(Uint8Array.of(0x00));
    else this.#options.send(Uint8Array.of(this.#state.paper === "near-end" ? 0x03 : 0x00));
  }

  /** DLE EOT n: bits 1 and 4 are always set. */
  #answer(request: RealTimeRequest): void {
    const { paper, coverOpen, jammed } = this.#state;
    const out = paper === "out";
    const bits = {
      1: this.#canPrint ? 0 : 0x08,
      2: (coverOpen ? 0x04 : 0) | (out ? 0x20 : 0) | (jammed ? 0x40 : 0),
      3: jammed ? 0x08 : 0,
      4: out ? 0x6c : paper === "near-end" ? 0x0c : 0,
    }[request];
    this.#options.send(Uint8Array.of(0x12 | bits));
  }

  /** GS a: four bytes, of which the first has bit 4 set, and the third holds the paper sensors. */
  #sendAutomatic(): void {
    const { paper, coverOpen, jammed } = this.#state;
    const first = 0x10 | (this.#canPrint ? 0 : 0x08) | (coverOpen ? 0x20 : 0);
    const sensors = paper === "out" ? 0x0f : paper === "near-end" ? 0x03 : 0;
    this.#options.send(Uint8Array.of(first, jammed ? 0x08 : 0, sensors, 0));
  }
}
