/** Tells the hub a day's list in parts, and waits for its report. */
import { abortable, abortFault, type Clock, deadline } from "../../base/clock.ts";
import { Fault, isFault } from "../../base/fault.ts";
import type { DownEnvelope } from "../../wire/envelope.ts";
import type { DayReport, DaySummary } from "../../wire/reconciliation.ts";
import type { EnvelopeMaker } from "../uplink/envelopes.ts";
import type { Uplink } from "../uplink/uplink.ts";

export interface DayHub {
  /**
   * `sequence`: the newest entry of the journal when the list was made. Throws Fault `uplink.down` when not all of it left,
   * `uplink.timeout` when no report came in time; else the signal's Fault.
   */
  compare(parts: readonly DaySummary[], sequence: number, signal: AbortSignal): Promise<DayReport>;
}

/** The hub reads the day of a terminal with a million entries in a few seconds. */
const REPORT_LIMIT_MS = 30_000;

export interface DayHubOptions {
  readonly uplink: Pick<Uplink, "send" | "onMessage">;
  readonly envelopes: Pick<EnvelopeMaker, "head">;
  readonly clock: Clock;
}

export class UplinkDayHub implements DayHub, Disposable {
  readonly #options: DayHubOptions;
  readonly #waiting = new Map<string, (report: DayReport) => void>();
  readonly #unsubscribe: () => void;

  constructor(options: DayHubOptions) {
    this.#options = options;
    this.#unsubscribe = options.uplink.onMessage((envelope) => this.#receive(envelope));
  }

  async compare(parts: readonly DaySummary[], sequence: number, signal: AbortSignal): Promise<DayReport> {
    const { uplink, envelopes, clock } = this.#options;
    if (signal.aborted) throw abortFault(signal);
    const [summaryId = ""] = parts.map((part) => part.summaryId);
    if (this.#waiting.size > 0) throw new Fault("uplink.down", "a day is being compared already; try again then");
    using limit = deadline(clock, REPORT_LIMIT_MS, signal);
    const answered = new Promise<DayReport>((resolve) => this.#waiting.set(summaryId, resolve));
    try {
      for (const body of parts)
        await uplink.send({ ...envelopes.head(sequence), type: "day.summary", body }, limit.signal);
      return await abortable(answered, limit.signal);
    } catch (error) {
      if (signal.aborted) throw abortFault(signal);
      if (limit.signal.aborted || isFault(error, "transport.timeout"))
        throw new Fault("uplink.timeout", `no report from the hub within ${REPORT_LIMIT_MS} ms`, { cause: error });
      throw error;
    } finally {
      this.#waiting.delete(summaryId);
    }
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }

  #receive(envelope: DownEnvelope): void {
    if (envelope.type === "day.report") this.#waiting.get(envelope.body.summaryId)?.(envelope.body);
  }
}
