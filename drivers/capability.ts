/** The whole vocabulary the agent has for hardware. Types only: the agent imports nothing else from drivers. */
import type { Result } from "../base/result.ts";
import type { ReceiptDocument } from "../protocols/escpos/document.ts";

/** A card in the field of a reader, from insertion to removal. */
export interface CardSession extends AsyncDisposable {
  /** Answer to reset (ISO/IEC 7816-3). */
  readonly atr: Uint8Array;
  /** Aborts with Fault `card.removed` when the card leaves or the reader goes. */
  readonly removed: AbortSignal;
  /**
   * One command, one response with its status word, at least two bytes. Never repeated by any layer (RM3).
   * Throws Fault `card.removed`, `card.mute`, `device.absent`, `device.hung` or `transport.closed`.
   */
  transceive(command: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
}

export interface CardReader {
  /** Waits for a card; one that is already in counts. One caller at a time, a second gets Fault `device.busy`. */
  awaitCard(signal: AbortSignal): Promise<CardSession>;
}

/** Why nothing, or not everything, was printed. */
export type PrintRefusal = "paper-out" | "cover-open" | "offline" | "no-answer" | "lost";

export interface PrintFailure {
  readonly why: PrintRefusal;
  /** `nothing`: no byte of the ticket left. `unknown`: some or all may be on paper (RM3). */
  readonly printed: "nothing" | "unknown";
}

export interface PrinterStatus {
  readonly online: boolean;
  readonly paper: "ok" | "near-end" | "out";
  readonly coverOpen: boolean;
}

export interface PrintOptions {
  /** Called after the printer said it is ready and before the first byte: the place to fsync the intent to print. */
  readonly beforeFirstByte: () => Promise<void>;
  readonly signal: AbortSignal;
}

export interface ReceiptPrinter {
  /** Real-time status. Throws Fault `device.hung` when the printer does not answer, `transport.closed` when it is gone. */
  status(signal: AbortSignal): Promise<PrinterStatus>;
  /** Prints and cuts one ticket; ok only when the printer answered healthy after the last byte. One at a time. */
  print(document: ReceiptDocument, options: PrintOptions): Promise<Result<undefined, PrintFailure>>;
}

/** One code as a scanner read it. */
export interface Scan {
  readonly text: string;
  /** AIM symbology identifier such as "]Q3", where the scanner sends one. */
  readonly aim?: string;
}

export interface CodeScanner {
  /**
   * The next code scanned from now on. One caller at a time, a second gets Fault `device.busy`.
   * Throws `device.absent`/`transport.closed` when the scanner goes.
   */
  nextScan(signal: AbortSignal): Promise<Scan>;
}

export interface CapabilityMap {
  readonly "card-reader": CardReader;
  readonly "code-scanner": CodeScanner;
  readonly "receipt-printer": ReceiptPrinter;
}
export type CapabilityName = keyof CapabilityMap;

/** An open driver. `lost` aborts with the Fault that ended it; the device manager alone re-opens. */
export interface Device extends AsyncDisposable {
  readonly id: string;
  readonly lost: AbortSignal;
  /** Words for `tillway devices`: model, port, firmware as far as known. */
  readonly description: string;
  capability<N extends CapabilityName>(name: N): CapabilityMap[N] | undefined;
}

export interface DeviceSpec {
  /** The name in the configuration. */
  readonly id: string;
  readonly uri: string;
}

/** Opens what a URI names. Throws a Fault: `device.absent`, `package.missing`, `config.invalid`, `transport.failed`… */
export type OpenDevice = (spec: DeviceSpec, signal: AbortSignal) => Promise<Device>;
