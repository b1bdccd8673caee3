/** Which answer is whose: requests on their way by their key, and for a while those that ended, to know a late answer for one. */
import type { Clock } from "../../../base/clock.ts";
import { DE, type Iso8583Message, textOf } from "../../../protocols/iso8583/message.ts";

/**
 * What a response has in common with its request and with no other: the version and class of its MTI, and what ISO 8583 has the
 * responder give back as it came: STAN, transmission time, acquirer and terminal. Who leaves one of them out answers nobody.
 */
export function matchKey(message: Iso8583Message): string | undefined {
  const stan = textOf(message, DE.stan);
  if (stan === undefined) return undefined;
  const others = [DE.transmissionDateTime, DE.acquirer, DE.terminal].map((de) => textOf(message, de) ?? "");
  return [message.mti.slice(0, 2), stan, ...others].join("|");
}

/** How a request ended that got no answer; in each case it may have arrived. */
export type Unanswered = "timeout" | "connection-lost" | "aborted";

/** What an answer turned out to be. `double`: its request had one before. `late`: its request had ended without one. */
export type AnswerFate = "matched" | "late" | "double" | "unsolicited";

export interface Waiting {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

type Ending = (end: Iso8583Message | Unanswered) => void;
interface Entry {
  readonly stan: string;
  readonly end: Ending;
}

/** Ended requests that are remembered; the oldest go first. At 1,000 a second it is those of the last ten seconds. */
export const REMEMBERED_MAX = 10_000;

export class InFlight {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Entry>();
  readonly #stans = new Map<string, number>();
  readonly #ended = new Map<string, "answered" | "unanswered">();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiting.size;
  }

  has(key: string): boolean {
    return this.#waiting.has(key);
  }

  hasStan(stan: string): boolean {
    return this.#stans.has(stan);
  }

  /** Resolves with the answer, or with why there is none. The key must not be waited for already. */
  wait(message: Iso8583Message, key: string, { timeoutMs, signal }: Waiting): Promise<Iso8583Message | Unanswered> {
    const stan = textOf(message, DE.stan) ?? "";
    return new Promise((resolve) => {
      const onAbort = () => this.#end(key, "aborted");
      const cancel = this.#clock.after(timeoutMs, () => this.#end(key, "timeout"));
      const end: Ending = (ended) => {
        cancel();
        signal.removeEventListener("abort", onAbort);
        resolve(ended);
      };
      this.#waiting.set(key, { stan, end });
      this.#stans.set(stan, (this.#stans.get(stan) ?? 0) + 1);
      this.#ended.delete(key);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  /** A late or second answer changes nothing here. */
  answer(message: Iso8583Message): AnswerFate {
    const key = matchKey(message);
    if (key === undefined) return "unsolicited";
    if (this.#waiting.has(key)) {
      this.#end(key, message);
      return "matched";
    }
    const ended = this.#ended.get(key);
    if (ended === undefined) return "unsolicited";
    this.#ended.set(key, "answered");
    return ended === "answered" ? "double" : "late";
  }

  /** Ends all that wait: nobody will answer them on this connection. */
  lose(): void {
    for (const key of [...this.#waiting.keys()]) this.#end(key, "connection-lost");
  }

  #end(key: string, ended: Iso8583Message | Unanswered): void {
    const entry = this.#waiting.get(key);
    if (!entry) return;
    this.#waiting.delete(key);
    this.#release(entry.stan);
    this.#remember(key, typeof ended === "string" ? "unanswered" : "answered");
    entry.end(ended);
  }

  #release(stan: string): void {
    const others = (this.#stans.get(stan) ?? 1) - 1;
    if (others === 0) this.#stans.delete(stan);
    else this.#stans.set(stan, others);
  }

  #remember(key: string, as: "answered" | "unanswered"): void {
    this.#ended.set(key, as);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > REMEMBERED_MAX && oldest !== undefined) this.#ended.delete(oldest);
  }
}
