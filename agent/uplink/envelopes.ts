/** Makes this terminal's envelopes: whose they are, which journal they speak for, and what presence says. */
import type { Clock } from "../../base/clock.ts";
import { type Epoch, newMessageId, type RandomBytes, type TerminalId } from "../../base/ids.ts";
import type { UpOf } from "../../wire/envelope.ts";
import type { Presence } from "../../wire/terminal.ts";
import type { Journal } from "../journal/journal.ts";

export interface EnvelopeMakerOptions {
  readonly terminalId: TerminalId;
  readonly journal: Pick<Journal, "epoch" | "outstanding" | "head">;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** The agent's version. */
  readonly version: string;
  /** The number of the lease held, 0 without one. */
  readonly leaseCounter: () => number;
  /** Asks the hub for its time, where that must be proven or `always`. */
  readonly question: (always: boolean) => string | undefined;
}

export class EnvelopeMaker {
  readonly #options: EnvelopeMakerOptions;

  constructor(options: EnvelopeMakerOptions) {
    this.#options = options;
  }

  /** Of the journal that they speak for. */
  get epoch(): Epoch {
    return this.#options.journal.epoch;
  }

  /** Everything but type and body. */
  head(sequence: number) {
    const { terminalId, journal, clock, random } = this.#options;
    return {
      v: 1 as const,
      id: newMessageId(random),
      terminalId,
      epoch: journal.epoch,
      sequence,
      sentAt: new Date(clock.now()).toISOString(),
    };
  }

  /** `ask`: the answer is to show that it was given now. */
  presence(status: Presence["status"], ask = false): UpOf<"presence"> {
    const { journal, clock, version, leaseCounter, question } = this.#options;
    const { count, minor } = journal.outstanding();
    const nonce = status === "online" ? question(ask) : undefined;
    return {
      ...this.head(0),
      type: "presence",
      body: {
        status,
        version,
        clock: new Date(clock.now()).toISOString(),
        outstanding: { count, minor: minor.toString() },
        leaseCounter: leaseCounter(),
        ...(nonce === undefined ? {} : { nonce }),
        head: { ...journal.head },
      },
    };
  }
}
