/** A receipt printer on a pty: what a driver opens by its path, and what tests and people break by the control socket. */
import { type Clock, systemClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import {
  type ControlAnswer,
  type ControlCommand,
  type ControlHandlers,
  type ControlValue,
  serveControl,
} from "../control.ts";
import { openPty, type Pty } from "../pty.ts";
import { type PaperSupply, PrinterMechanism, type PrinterState } from "./mechanism.ts";
import type { Ticket } from "./paper.ts";

export interface PrinterSimOptions {
  /** Where the serial port appears. */
  readonly link: string;
  /** Where the control socket appears; none when absent. */
  readonly control?: string;
  /** Characters on a line: 42 when absent. */
  readonly columns?: number;
  readonly onTicket?: (ticket: Ticket) => void;
  readonly clock?: Clock;
}

export interface PrinterSimStatus extends PrinterState {
  readonly plugged: boolean;
  readonly tickets: number;
  readonly cuts: number;
  readonly consumedBytes: number;
  readonly bufferedBytes: number;
  /** What lies on paper and is not cut off yet. */
  readonly uncut: string;
}

export interface PrinterSim extends AsyncDisposable {
  readonly link: string;
  readonly columns: number;
  tickets(): readonly Ticket[];
  status(): PrinterSimStatus;
  /** Paper, cover, hang, pace and the like. */
  change(change: Partial<PrinterState>): void;
  /** Breaks after so many further bytes of print data. */
  breakDown(breakdown: { readonly what: "paper-out" | "jam"; readonly afterBytes: number }): void;
  /** Sends bytes that nobody asked for. */
  babble(bytes: Uint8Array): void;
  /** Print data as an earlier sender left it that was cut off in the middle. */
  leftBehind(bytes: Uint8Array): void;
  gone(): Promise<void>;
  back(): Promise<void>;
  /** Power off and on: the receive buffer is lost. */
  powerCycle(): void;
  /** Everything well, no tickets. */
  clear(): void;
}

const DEFAULT_COLUMNS = 42;

/** Up when it resolves: the port can be opened and the control socket answers. */
export async function startPrinterSim(options: PrinterSimOptions): Promise<PrinterSim> {
  const pty = await openPty({ link: options.link });
  const sim = new PtyPrinter(pty, options);
  if (options.control !== undefined) {
    try {
      sim.served(await serveControl(options.control, handlersOf(sim)));
    } catch (error) {
      await sim[Symbol.asyncDispose]();
      throw error;
    }
  }
  return sim;
}

class PtyPrinter implements PrinterSim {
  readonly link: string;
  readonly columns: number;
  readonly #pty: Pty;
  readonly #mechanism: PrinterMechanism;
  #control: AsyncDisposable | undefined;
  #plugged = true;

  constructor(pty: Pty, options: PrinterSimOptions) {
    this.link = options.link;
    this.columns = options.columns ?? DEFAULT_COLUMNS;
    this.#pty = pty;
    this.#mechanism = new PrinterMechanism({
      columns: this.columns,
      clock: options.clock ?? systemClock,
      send: (bytes) => pty.write(bytes),
      onTicket: (ticket) => options.onTicket?.(ticket),
    });
    pty.onReceived((chunk) => {
      this.#mechanism.receive(chunk);
      this.#regulate();
    });
  }

  served(control: AsyncDisposable): void {
    this.#control = control;
  }

  tickets(): readonly Ticket[] {
    return this.#mechanism.tickets;
  }

  status(): PrinterSimStatus {
    const { state, counts, tickets, uncut } = this.#mechanism;
    return { ...state, ...counts, plugged: this.#plugged, tickets: tickets.length, uncut };
  }

  change(change: Partial<PrinterState>): void {
    this.#mechanism.change(change);
    this.#regulate();
  }

  breakDown(breakdown: { readonly what: "paper-out" | "jam"; readonly afterBytes: number }): void {
    this.#mechanism.breakDown(breakdown);
  }

  babble(bytes: Uint8Array): void {
    this.#pty.write(bytes);
  }

  leftBehind(bytes: Uint8Array): void {
    this.#mechanism.receive(bytes);
  }

  async gone(): Promise<void> {
    this.#plugged = false;
    await this.#pty.gone();
  }

  async back(): Promise<void> {
    await this.#pty.back();
    this.#plugged = true;
  }

  powerCycle(): void {
    this.#mechanism.powerCycle();
    this.#regulate();
  }

  clear(): void {
    this.#mechanism.clear();
    this.#regulate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#control?.[Symbol.asyncDispose]();
    await this.#pty[Symbol.asyncDispose]();
    this.#mechanism.stop();
  }

  #regulate(): void {
    if (this.#mechanism.full) this.#pty.pause();
    else this.#pty.resume();
  }
}

const PAPER: readonly PaperSupply[] = ["ok", "near-end", "out"];
const AFTER_BYTES_MAX = 1_000_000;

/** A command that changes something and has nothing to tell. */
const acting =
  (act: (command: ControlCommand) => void | Promise<void>) =>
  async (command: ControlCommand): Promise<ControlAnswer> => {
    await act(command);
    return {};
  };

function handlersOf(sim: PtyPrinter): ControlHandlers {
  return {
    paper: acting((command) => sim.change({ paper: choice(command, "state", PAPER) })),
    cover: acting((command) => sim.change({ coverOpen: flag(command, "open") })),
    hang: acting((command) => sim.change({ hung: flag(command, "on") })),
    offline: acting((command) => sim.change({ offline: flag(command, "on") })),
    slow: acting((command) => sim.change({ pace: count(command, "bytesPerSecond") })),
    jam: acting((command) => {
      if (command["on"] === false) sim.change({ jammed: false });
      else sim.breakDown({ what: "jam", afterBytes: count(command, "afterBytes") });
    }),
    "paper-after": acting((command) => sim.breakDown({ what: "paper-out", afterBytes: count(command, "bytes") })),
    gone: acting(() => sim.gone()),
    back: acting(() => sim.back()),
    "power-cycle": acting(() => sim.powerCycle()),
    clear: acting(() => sim.clear()),
    status: () => ({ ...sim.status() }),
    tickets: () => ({ tickets: sim.tickets().map(withoutPicture) }),
    last: () => {
      const ticket = sim.tickets().at(-1);
      return ticket ? { ticket } : {};
    },
  };
}

/** Pictures are large; `last` gives one. */
function withoutPicture({ svg: _svg, ...ticket }: Ticket): Omit<Ticket, "svg"> {
  return ticket;
}

function flag(command: ControlCommand, key: string): boolean {
  const value = command[key];
  if (typeof value !== "boolean") throw wrong(command, `"${key}" as true or false`, value);
  return value;
}

function count(command: ControlCommand, key: string): number {
  const value = command[key];
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > AFTER_BYTES_MAX) {
    throw wrong(command, `"${key}" as a whole number from 0 to ${AFTER_BYTES_MAX}`, value);
  }
  return value;
}

function choice<Choice extends string>(command: ControlCommand, key: string, choices: readonly Choice[]): Choice {
  const value = command[key];
  const chosen = choices.find((known) => known === value);
  if (chosen === undefined) throw wrong(command, `"${key}" as one of ${choices.join(", ")}`, value);
  return chosen;
}

const wrong = (command: ControlCommand, wanted: string, value: ControlValue | undefined): Fault =>
  new Fault("codec.invalid", `"${command.do}" needs ${wanted}, not ${JSON.stringify(value ?? null)}`);
