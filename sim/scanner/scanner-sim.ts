/** A code scanner on hidraw: what the product's driver opens, and what tests and people break by the control socket. */
import { toHex } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";
import { type RandomBytes, systemRandom } from "../../base/ids.ts";
import type { KeyboardLayout } from "../../protocols/hid/keyboard-layouts.ts";
import { encodeKeyReports } from "../../protocols/hid/keyboard-report.ts";
import { COMMON_POS_LAYOUT, encodePosReports } from "../../protocols/hid/pos-report.ts";
import { type ControlAnswer, type ControlCommand, type ControlHandlers, serveControl } from "../control.ts";
import { REPORT_DESCRIPTORS, type ScannerKind } from "./descriptors.ts";
import { startTestbed, type Testbed } from "./testbed.ts";

export interface ScannerSimOptions {
  readonly kind: ScannerKind;
  /** Where the control socket appears; none when absent. */
  readonly control?: string;
  readonly vendor?: number;
  readonly product?: number;
  readonly serial?: string;
  /** How a keyboard scanner types: `us` when absent. */
  readonly layout?: KeyboardLayout;
  /** What a keyboard scanner sends before each code. */
  readonly prefix?: string;
  /** Bytes for `garbage`. */
  readonly random?: RandomBytes;
}

export interface ScannerSim extends AsyncDisposable {
  /** With this a process sees the scanner. */
  readonly environment: Readonly<Record<string, string>>;
  /** For the agent's configuration. */
  readonly uri: string;
  /** False when nobody had the scanner open, or it is mute: the code is lost, as with a real one. */
  scan(text: string, aim?: string): Promise<boolean>;
  /** The first half of a code's reports; the rest never comes. */
  half(text: string, aim?: string): Promise<boolean>;
  /** A report that is cut in its middle. */
  torn(text: string): Promise<boolean>;
  garbage(reports: number): Promise<boolean>;
  /** A mute scanner is there and reads nothing. */
  mute(state: "mute" | "normal"): void;
  unplug(): Promise<void>;
  replug(): Promise<void>;
}

export const DEFAULT_VENDOR = 0x0c2e;
export const DEFAULT_PRODUCT = 0x0b62;
export const DEFAULT_AIM = "]Q3";
const REPORT_BYTES: Readonly<Record<ScannerKind, number>> = { pos: COMMON_POS_LAYOUT.bytes, keyboard: 8 };
const GARBAGE_REPORTS_MAX = 1_000;

export async function startScannerSim(options: ScannerSimOptions): Promise<ScannerSim> {
  const { kind, vendor = DEFAULT_VENDOR, product = DEFAULT_PRODUCT, serial = "SIM0001" } = options;
  const testbed = await startTestbed({
    vendor,
    product,
    serial,
    manufacturer: "Tillway",
    name: "Simulated Scanner",
    descriptor: toHex(REPORT_DESCRIPTORS[kind]),
  });
  const hex = (id: number) => id.toString(16).padStart(4, "0");
  const sim = new HidScanner(testbed, options, `hid:${hex(vendor)}:${hex(product)}`);
  if (options.control === undefined) return sim;
  try {
    await sim.serve(options.control);
  } catch (error) {
    await sim[Symbol.asyncDispose]();
    throw error;
  }
  return sim;
}

class HidScanner implements ScannerSim {
  readonly uri: string;
  readonly #testbed: Testbed;
  readonly #options: ScannerSimOptions;
  #control: AsyncDisposable | undefined;
  #muted = false;
  /** Reports of two codes must not mix. */
  #sending: Promise<unknown> = Promise.resolve();

  constructor(testbed: Testbed, options: ScannerSimOptions, id: string) {
    this.#testbed = testbed;
    this.#options = options;
    const { kind, layout, prefix } = options;
    const keyboard = new URLSearchParams({
      ...(layout && { layout }),
      ...(prefix !== undefined && { prefix }),
    }).toString();
    this.uri = kind === "keyboard" && keyboard !== "" ? `${id}?${keyboard}` : id;
  }

  get environment(): Readonly<Record<string, string>> {
    return this.#testbed.environment;
  }

  scan(text: string, aim: string = DEFAULT_AIM): Promise<boolean> {
    return this.#send(this.#reportsOf(text, aim));
  }

  half(text: string, aim: string = DEFAULT_AIM): Promise<boolean> {
    const reports = this.#reportsOf(text, aim);
    if (this.#options.kind === "pos" && reports.length < 2) {
      const { continued } = COMMON_POS_LAYOUT;
      const first = reports[0];
      if (first && continued) first[continued.at] = (first[continued.at] ?? 0) | continued.mask;
      return this.#send(reports);
    }
    return this.#send(reports.slice(0, Math.floor(reports.length / 2)));
  }

  torn(text: string): Promise<boolean> {
    const [first = new Uint8Array()] = this.#reportsOf(text, DEFAULT_AIM);
    return this.#send([first.subarray(0, Math.floor(first.length / 2))]);
  }

  garbage(reports: number): Promise<boolean> {
    const { kind, random = systemRandom } = this.#options;
    return this.#send(Array.from({ length: reports }, () => random(REPORT_BYTES[kind])));
  }

  mute(state: "mute" | "normal"): void {
    this.#muted = state === "mute";
  }

  async unplug(): Promise<void> {
    await this.#testbed.unplug();
  }

  async replug(): Promise<void> {
    await this.#testbed.plug();
  }

  async serve(path: string): Promise<void> {
    this.#control = await serveControl(path, handlersOf(this));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#control?.[Symbol.asyncDispose]();
    await this.#testbed[Symbol.asyncDispose]();
  }

  #reportsOf(text: string, aim: string): readonly Uint8Array[] {
    const { kind, layout = "us", prefix = "" } = this.#options;
    if (kind === "pos") return encodePosReports({ aim, data: new TextEncoder().encode(text) });
    return encodeKeyReports(`${prefix}${aim}${text}`, { layout, terminator: "enter" });
  }

  #send(reports: readonly Uint8Array[]): Promise<boolean> {
    const sent = this.#sending.then(async () => {
      if (this.#muted) return false;
      return (await this.#testbed.reports(reports)) === reports.length;
    });
    this.#sending = sent.catch(() => undefined);
    return sent;
  }
}

function handlersOf(sim: ScannerSim): ControlHandlers {
  const text = (command: ControlCommand): string => {
    const value = command["text"];
    if (value === undefined || value === "") throw new Fault("codec.invalid", `"${command.do}" needs "text"`);
    return String(value);
  };
  const aim = (command: ControlCommand): string => String(command["aim"] ?? DEFAULT_AIM);
  const reading = async (read: Promise<boolean>): Promise<ControlAnswer> => ({ read: await read });
  const acting = (act: () => void | Promise<void>) => async (): Promise<ControlAnswer> => {
    await act();
    return {};
  };
  return {
    scan: (command) => reading(sim.scan(text(command), aim(command))),
    half: (command) => reading(sim.half(text(command), aim(command))),
    torn: (command) => reading(sim.torn(text(command))),
    garbage: (command) => reading(sim.garbage(countOf(command))),
    mute: (command) => {
      sim.mute(command["on"] === false ? "normal" : "mute");
      return {};
    },
    unplug: acting(() => sim.unplug()),
    replug: acting(() => sim.replug()),
  };
}

function countOf(command: ControlCommand): number {
  const value = command["reports"] ?? 1;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= GARBAGE_REPORTS_MAX) return value;
  throw new Fault("codec.invalid", `"garbage" needs "reports" as a whole number from 1 to ${GARBAGE_REPORTS_MAX}`);
}
