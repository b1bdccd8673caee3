/** One customer at a time at the scanner: whoever waits first gets the next code, whatever the scanner does meanwhile. */
import { abortFault } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import type { CodeScanner, Scan } from "../../drivers/capability.ts";
import { deviceChange } from "../devices/device-change.ts";
import type { Devices } from "../devices/devices.ts";

export class ScannerLane {
  readonly #devices: Devices;
  #lane: Promise<unknown> = Promise.resolve();

  constructor(devices: Devices) {
    this.#devices = devices;
  }

  /**
   * The next code scanned. A scanner that is absent or lost is waited for; `seen` is called when there is one. Throws the
   * signal's Fault when it aborts first, also while others wait before.
   */
  next(signal: AbortSignal, seen: () => void): Promise<Scan> {
    const result = Promise.withResolvers<Scan>();
    if (signal.aborted) return Promise.reject(abortFault(signal));
    const onAbort = () => result.reject(abortFault(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    const turn = async (): Promise<void> => {
      if (signal.aborted) return;
      result.resolve(await this.#await(signal, seen));
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
