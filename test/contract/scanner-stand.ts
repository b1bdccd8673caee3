/** A simulated scanner on hidraw for tests: the product's driver on it, or a process of the product beside it. */
import { systemClock } from "../../base/clock.ts";
import { type Log, silentLog } from "../../base/log.ts";
import type { CodeScanner, Device } from "../../drivers/capability.ts";
import { openHidCodeScanner } from "../../drivers/scanner/hid-code-scanner.ts";
import { type ScannerSim, type ScannerSimOptions, startScannerSim } from "../../sim/scanner/scanner-sim.ts";
import { within } from "./card-reader-stand.ts";

export interface ScannerStand extends ScannerSim {
  /** Start the agent's process with this added to its environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** `uri` goes into the agent's configuration, `env` into its environment. */
export async function startScannerStand(options: Partial<ScannerSimOptions> = {}): Promise<ScannerStand> {
  const sim = await startScannerSim({ kind: "pos", ...options });
  return {
    uri: sim.uri,
    environment: sim.environment,
    env: sim.environment,
    scan: (text, aim) => sim.scan(text, aim),
    half: (text, aim) => sim.half(text, aim),
    torn: (text) => sim.torn(text),
    garbage: (reports) => sim.garbage(reports),
    mute: (state) => sim.mute(state),
    unplug: () => sim.unplug(),
    replug: () => sim.replug(),
    [Symbol.asyncDispose]: () => sim[Symbol.asyncDispose](),
  };
}

/** The product's driver, in this process, on a simulated scanner. */
export const openScanner = (
  stand: Pick<ScannerStand, "env" | "uri">,
  options: { readonly uri?: string; readonly log?: Log } = {},
): Promise<Device> =>
  openHidCodeScanner(
    { id: "scanner", uri: options.uri ?? stand.uri },
    { clock: systemClock, log: options.log ?? silentLog, environment: stand.env, signal: within(20_000) },
  );

/** What the driver said of each code: `scanned`, or why it was dropped. */
export function codesLog(): Log & { readonly told: readonly string[] } {
  const told: string[] = [];
  const log = {
    ...silentLog,
    told,
    warn: (_: string, fields?: Readonly<Record<string, unknown>>) => void told.push(String(fields?.["reason"])),
    debug: () => void told.push("scanned"),
    for: () => log,
  };
  return log;
}

export function scannerOf(device: Device): CodeScanner {
  const scanner = device.capability("code-scanner");
  if (!scanner) throw new Error("the device is no code scanner");
  return scanner;
}
