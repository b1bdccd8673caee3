/** What a scanner's reports mean to the agent: one waiting caller, codes from now on, the rest counted. Pure of HID and processes. */
import { abortable, abortFault, type Clock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { type Decoded, PART_GAP_MAX_MS, type ScanDecoder } from "../../protocols/hid/scan-decoder.ts";
import type { CodeScanner, Scan } from "../capability.ts";

export interface ScannedCodesOptions {
  readonly decoder: ScanDecoder;
  /** Aborts with the Fault that ended the scanner. */
  readonly lost: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
}

export class ScannedCodes implements CodeScanner {
  readonly #options: ScannedCodesOptions;
  #waiter: ((scan: Scan) => void) | undefined;
  #cancelExpiry: () => void = () => undefined;
  #unclaimed = 0;

  constructor(options: ScannedCodesOptions) {
    this.#options = options;
    options.lost.addEventListener("abort", () => this.#cancelExpiry(), { once: true });
  }

  /** Codes that came while nobody waited. They are not kept: the next customer must not pay with the last one's code. */
  get unclaimed(): number {
    return this.#unclaimed;
  }

  async nextScan(signal: AbortSignal): Promise<Scan> {
    const { lost } = this.#options;
    if (lost.aborted) throw abortFault(lost);
    if (this.#waiter) throw new Fault("device.busy", "somebody already waits for a code of this scanner");
    try {
      const next = new Promise<Scan>((resolve) => {
        this.#waiter = resolve;
      });
      return await abortable(next, AbortSignal.any([signal, lost]));
    } finally {
      this.#waiter = undefined;
    }
  }

  /** Takes one report of the device. */
  take(report: Uint8Array): void {
    const { decoder, clock, lost } = this.#options;
    if (lost.aborted) return;
    this.#cancelExpiry();
    this.#handle(decoder.push(report, clock.monotonic()));
    this.#expireLater();
  }

  /** Again and again until the code ends: a timer may fire a little before its time, and then nothing has expired yet. */
  #expireLater(): void {
    const { decoder, clock } = this.#options;
    if (!decoder.partial) return;
    this.#cancelExpiry = clock.after(PART_GAP_MAX_MS, () => {
      this.#handle(decoder.expire(clock.monotonic()));
      this.#expireLater();
    });
  }

  /** Logs that there was a code, never what it says: it may be as good as money. */
  #handle(decoded: readonly Decoded[]): void {
    const { log, decoder } = this.#options;
    for (const event of decoded) {
      if (event.what === "dropped") {
        log.warn("a scanned code was dropped", { reason: event.why, times: decoder.dropped.get(event.why) ?? 0 });
        continue;
      }
      const { text, aim } = event;
      const waiter = this.#waiter;
      this.#waiter = undefined;
      if (waiter) waiter({ text, ...(aim !== undefined && { aim }) });
      else this.#unclaimed += 1;
      log.debug("a code was scanned", { aim, characters: text.length, claimed: waiter !== undefined });
    }
  }
}
