/** Waits until something about the devices changes: one came, went, or was opened again. */
import { abortFault } from "../../base/clock.ts";
import type { Devices } from "./devices.ts";

/** Throws the signal's Fault when it aborts first. */
export function deviceChange(devices: Devices, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortFault(signal));
    const end = () => {
      unsubscribe();
      signal.removeEventListener("abort", onAbort);
    };
    const onAbort = () => {
      end();
      reject(abortFault(signal));
    };
    const unsubscribe = devices.onChange(() => {
      end();
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
