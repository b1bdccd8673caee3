/** A printer simulator on a real pty, and the product's driver opened on it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, sleep, systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import type { Device, PrintOptions, ReceiptPrinter } from "../../drivers/capability.ts";
import { serialPrinterOpener } from "../../drivers/printer/escpos-printer.ts";
import type { ReceiptDocument } from "../../protocols/escpos/document.ts";
import { type PrinterSim, type PrinterSimOptions, startPrinterSim } from "../../sim/printer/printer-sim.ts";

export interface PrinterFixture extends AsyncDisposable {
  readonly link: string;
  readonly sim: PrinterSim;
}

export function temporaryFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "tillway-printer-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function printerFixture(options: Partial<PrinterSimOptions> = {}): Promise<PrinterFixture> {
  const folder = temporaryFolder();
  const link = join(folder.path, "printer");
  const sim = await startPrinterSim({ link, ...options });
  return {
    link,
    sim,
    async [Symbol.asyncDispose]() {
      await sim[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

export const NEVER = new AbortController().signal;

export function openPrinter(
  link: string,
  options: { readonly clock?: Clock; readonly query?: string } = {},
): Promise<Device> {
  const open = serialPrinterOpener({ clock: options.clock ?? systemClock, log: silentLog });
  return open({ id: "printer", uri: `serial:${link}${options.query ?? ""}` }, NEVER);
}

export function printerOf(device: Device): ReceiptPrinter {
  const printer = device.capability("receipt-printer");
  if (!printer) throw new Error("the device is no receipt printer");
  return printer;
}

/** Print options that count how often the first byte was announced. */
export function printing(signal: AbortSignal = NEVER): PrintOptions & { readonly announced: () => number } {
  let announced = 0;
  return {
    signal,
    beforeFirstByte: async () => {
      announced += 1;
    },
    announced: () => announced,
  };
}

export function receipt(number: number): ReceiptDocument {
  return {
    title: `receipt ${number}`,
    lines: [
      { kind: "text", text: "Café Größe", align: "center", bold: true, large: true },
      { kind: "text", text: "Hauptstraße 1, 8010 Graz", align: "center" },
      { kind: "rule" },
      { kind: "pair", label: "2 x Mélange, with oat milk and a little cinnamon", value: "9,80 €" },
      { kind: "pair", label: "Apfelstrudel", value: "4,20 €" },
      { kind: "rule" },
      { kind: "pair", label: "TOTAL", value: "14,00 €", bold: true },
      { kind: "blank" },
      { kind: "text", text: `Receipt ${number}`, align: "right" },
      { kind: "qr", text: `https://pay.example/r/${number}` },
    ],
  };
}

const EVENT_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 5;

/** Waits for a condition of another process, with a limit. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const started = systemClock.monotonic();
  while (!condition()) {
    if (systemClock.monotonic() - started > EVENT_WITHIN_MS) throw new Error(`not within 10 s: ${what}`);
    await sleep(systemClock, LOOK_EVERY_MS, NEVER);
  }
}

/** The reason a signal aborts with, which must come within the limit. */
export async function reasonOfAbort(signal: AbortSignal): Promise<unknown> {
  await until(() => signal.aborted, "the signal to abort");
  return signal.reason;
}
