/** A receipt printer that speaks ESC/POS, as a Device. Never re-opens and never repeats a ticket by itself. */
import { abortable, abortFault, type Clock, sleep } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import type { Result } from "../../base/result.ts";
import type { ReceiptDocument } from "../../protocols/escpos/document.ts";
import { encodeTicket } from "../../protocols/escpos/encode.ts";
import { CODEPAGE_SETS, COLUMNS, CUTS, DEFAULT_MODEL, type PrinterModel } from "../../protocols/escpos/model.ts";
import type {
  CapabilityMap,
  CapabilityName,
  Device,
  DeviceSpec,
  OpenDevice,
  PrinterStatus,
  PrintFailure,
  PrintOptions,
  ReceiptPrinter,
} from "../capability.ts";
import { choiceOption, type DeviceUri, integerOption, parseDeviceUri, refuseUnknownOptions } from "../device-uri.ts";
import { openSerial, type SerialOptions } from "../transports/serial.ts";
import type { Transport } from "../transports/transport.ts";
import { printTicket } from "./print-job.ts";
import { PrinterDialogue } from "./printer-dialogue.ts";

/** How often an idle printer is asked whether it is still there: an unplugged one is silent, not closed. */
export const IDLE_PING_EVERY_MS = 2_000;

const BAUD = { key: "baud", min: 1_200, max: 4_000_000, fallback: 115_200 } as const;
const OPTIONS = ["baud", "columns", "codepages", "cut"] as const;

export interface EscPosPrinterOptions {
  /** `serial:/dev/ttyUSB0?baud=115200&columns=42&codepages=epson&cut=partial`; all options may be left out. */
  readonly spec: DeviceSpec;
  readonly open: (options: SerialOptions) => Promise<Transport>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** The opener for the catalogue of drivers. */
export function serialPrinterOpener(parts: { readonly clock: Clock; readonly log: Log }): OpenDevice {
  return (spec, signal) => openEscPosPrinter({ ...parts, spec, signal, open: openSerial });
}

/** Opens and hears one answer. Throws a Fault of opening the port, `config.invalid`, or `device.hung`. */
export async function openEscPosPrinter(options: EscPosPrinterOptions): Promise<Device> {
  const { spec, clock, log, signal } = options;
  const uri = parseDeviceUri(spec.uri);
  const { baud, model } = settingsOf(uri);
  const transport = await options.open({ path: uri.target, baud, clock, signal });
  const dialogue = new PrinterDialogue({ transport, clock, log });
  try {
    await abortable(
      dialogue.exclusively(() => dialogue.ping()),
      signal,
    );
  } catch (error) {
    await transport[Symbol.asyncDispose]();
    throw error;
  }
  return new EscPosPrinter({ spec, transport, dialogue, model, clock, log });
}

function settingsOf(uri: DeviceUri): { readonly baud: number; readonly model: PrinterModel } {
  if (uri.scheme !== "serial") {
    throw new Fault("config.invalid", `device URI "${uri.text}": a receipt printer is reached by serial:<path>`);
  }
  refuseUnknownOptions(uri, OPTIONS);
  const columns = choiceOption(uri, {
    key: "columns",
    choices: COLUMNS.map(String),
    fallback: String(DEFAULT_MODEL.columns),
  });
  return {
    baud: integerOption(uri, BAUD),
    model: {
      columns: COLUMNS.find((known) => String(known) === columns) ?? DEFAULT_MODEL.columns,
      codepages: choiceOption(uri, { key: "codepages", choices: CODEPAGE_SETS, fallback: DEFAULT_MODEL.codepages }),
      cut: choiceOption(uri, { key: "cut", choices: CUTS, fallback: DEFAULT_MODEL.cut }),
    },
  };
}

interface Parts {
  readonly spec: DeviceSpec;
  readonly transport: Transport;
  readonly dialogue: PrinterDialogue;
  readonly model: PrinterModel;
  readonly clock: Clock;
  readonly log: Log;
}

class EscPosPrinter implements Device, ReceiptPrinter {
  readonly id: string;
  readonly lost: AbortSignal;
  readonly description: string;
  readonly #parts: Parts;
  readonly #disposed = new AbortController();
  readonly #watching: Promise<void>;
  #printing = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.id = parts.spec.id;
    this.lost = parts.dialogue.lost;
    this.description = `ESC/POS printer at ${parts.transport.name}, ${parts.model.columns} columns`;
    this.#watching = this.#watch();
  }

  capability<N extends CapabilityName>(name: N): CapabilityMap[N] | undefined {
    const capabilities: Partial<CapabilityMap> = { "receipt-printer": this };
    return capabilities[name];
  }

  async status(signal: AbortSignal): Promise<PrinterStatus> {
    const { dialogue } = this.#parts;
    return await abortable(
      dialogue.exclusively(() => dialogue.status()),
      signal,
    );
  }

  async print(document: ReceiptDocument, options: PrintOptions): Promise<Result<undefined, PrintFailure>> {
    const { dialogue, clock, log, model } = this.#parts;
    if (this.#printing) throw new Fault("device.busy", `${this.id}: already prints a ticket; one at a time`);
    const { bytes: ticket, replaced } = encodeTicket(document, model);
    this.#printing = true;
    try {
      const result = await dialogue.exclusively(() => printTicket({ dialogue, clock, ticket, options }));
      if (replaced > 0) log.warn("characters that the printer does not have", { device: this.id, replaced });
      return result;
    } finally {
      this.#printing = false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort(new Fault("transport.closed", `${this.id}: closed`));
    await this.#parts.transport[Symbol.asyncDispose]();
    await this.#watching;
  }

  /** A ticket under way asks for itself, so the ping leaves it alone. Ends with the dialogue or the device; never rejects. */
  async #watch(): Promise<void> {
    const { dialogue, clock, log } = this.#parts;
    const stop = AbortSignal.any([dialogue.lost, this.#disposed.signal]);
    try {
      for (;;) {
        await sleep(clock, IDLE_PING_EVERY_MS, stop);
        if (dialogue.idle) await dialogue.exclusively(() => dialogue.ping());
      }
    } catch (error) {
      if (this.#disposed.signal.aborted) return;
      const reason = dialogue.lost.aborted ? abortFault(dialogue.lost).message : String(error);
      log.warn("printer lost", { device: this.id, reason });
    }
  }
}
