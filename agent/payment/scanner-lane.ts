/** One customer at a time at the scanner: whoever waits first gets the next code, whatever the scanner does meanwhile. */
import { abortFault } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import type { CodeScanner, Scan } from "../../drivers/capability.ts";
import { deviceChange } from "../devices/device-change.ts";
import type { Devices } from "../devices/devices.ts";

export interface ScanUse<T> {
  seen(): void;
  use(scan: Scan): T | undefined;
}

export class ScannerLane {
  readonly #devices: Devices;
  #lane: Promise<unknown> = Promise.resolve();

  constructor(devices: Devices) {
    this.#devices = devices;
  }

  /**
   * What `use` makes of the next code scanned; where that is undefined the next code is waited for, before all others. A
   * scanner that is absent or lost is waited for; `seen` is called when there is one. Throws the signal's Fault when it
   * aborts first, also while others wait before.
   */
  next<T>(signal: AbortSignal, { seen, use }: ScanUse<T>): Promise<T> {
    const result = Promise.withResolvers<T>();
    if (signal.aborted) return Promise.reject(abortFault(signal));
    const onAbort = () => result.reject(abortFault(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    const turn = async (): Promise<void> => {
      if (signal.aborted) return;
      let used: T | undefined;
      while (used === undefined) used = use(await this.#await(signal, seen));
      result.resolve(used);
    };
    this.#lane = this.#lane.then(turn).catch(result.reject);
    return result.promise.finally(() => signal.removeEventListener("abort", onAbort));
  }

  async #await(signal: AbortSignal, seen: () => void): Promise<Scan> {
    for (;;) {
      if (signal.aborted) throw abortFault(signal);
      const scanner = this.#devices.lend("code-scanner");
      if (scanner) {
        seen();
        const scan = await takeScan(scanner, signal);
        if (scan) return scan;
      }
      // A scanner that failed is not asked again before the device manager has replaced it.
      while (this.#devices.lend("code-scanner") === scanner) await deviceChange(this.#devices, signal);
    }
  }
}

/** The code, or undefined when the scanner failed under us. */
async function takeScan(scanner: CodeScanner, signal: AbortSignal): Promise<Scan | undefined> {
  try {
    return await scanner.nextScan(signal);
  } catch (error) {
    if (signal.aborted) throw abortFault(signal);
    if (isFault(error)) return undefined;
    throw error;
  }
}
