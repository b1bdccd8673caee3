/** What cards in readers mean to the agent: offered once, one command at a time, each with a limit. Pure of PC/SC and processes. */
import { abortable, abortFault, type Clock, deadline } from "../../base/clock.ts";
import { Fault, isFault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { COMMAND_BYTES_MAX, RESPONSE_BYTES_MAX } from "../../protocols/emv/apdu.ts";
import type { CardReader, CardSession } from "../capability.ts";
import type { HostEvent } from "../host/messages.ts";

/** What is asked of the device host. */
export interface CardPort {
  readonly lost: AbortSignal;
  transmit(card: number, command: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  release(card: number): void;
}

export interface CardsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly answerWithinMs: number;
}

interface PresentCard {
  readonly card: number;
  readonly atr: Uint8Array;
  readonly removed: AbortController;
  offered: boolean;
}

export class CardsInReaders implements CardReader {
  readonly #options: CardsOptions;
  /** At most one per slot. */
  readonly #present = new Map<number, PresentCard>();
  #port: CardPort | undefined;
  #waiter: ((card: PresentCard) => void) | undefined;

  constructor(options: CardsOptions) {
    this.#options = options;
  }

  /** Before it, events are already taken; cards are offered after it only. */
  attach(port: CardPort): void {
    this.#port = port;
    const end = () => {
      for (const card of [...this.#present.values()]) this.#out(card, abortFault(port.lost));
    };
    if (port.lost.aborted) end();
    else port.lost.addEventListener("abort", end, { once: true });
  }

  handle(event: HostEvent): void {
    switch (event.on) {
      case "card-in":
        this.#in({ card: event.card, atr: event.atr, removed: new AbortController(), offered: false });
        return;
      case "card-out": {
        const card = this.#present.get(event.card);
        if (card) this.#out(card, undefined);
        return;
      }
      case "card-unreadable":
        this.#options.log.warn("a card does not answer its reset: inserted the wrong way round, or defective", {
          reader: event.reader,
        });
        return;
      default:
        return;
    }
  }

  async awaitCard(signal: AbortSignal): Promise<CardSession> {
    const port = this.#port;
    if (!port) throw new Fault("device.absent", "the card reader is not open yet");
    if (this.#waiter) throw new Fault("device.busy", "somebody already waits for a card at this reader");
    const either = AbortSignal.any([signal, port.lost]);
    const waiting = [...this.#present.values()].find((card) => !card.offered);
    try {
      const next = waiting ?? new Promise<PresentCard>((resolve) => (this.#waiter = resolve));
      const card = await abortable(Promise.resolve(next), either);
      card.offered = true;
      return new Session(card, port, this.#options);
    } finally {
      this.#waiter = undefined;
    }
  }

  #in(card: PresentCard): void {
    this.#present.set(card.card, card);
    this.#options.log.debug("a card was inserted", { card: card.card });
    this.#waiter?.(card);
  }

  #out(card: PresentCard, cause: Fault | undefined): void {
    this.#present.delete(card.card);
    this.#options.log.debug("a card was removed", { card: card.card });
    const why = cause ? `the reader went away with the card in it: ${cause.message}` : "the card was taken out";
    card.removed.abort(new Fault("card.removed", why, { cause }));
  }
}

const COMMAND_BYTES_MIN = 4;
const STATUS_BYTES = 2;

class Session implements CardSession {
  readonly #card: PresentCard;
  readonly #port: CardPort;
  readonly #options: CardsOptions;
  #running = false;
  /** After the first failure nobody knows what the card has done; so there is no second command (RM3). */
  #failure: Fault | undefined;

  constructor(card: PresentCard, port: CardPort, options: CardsOptions) {
    this.#card = card;
    this.#port = port;
    this.#options = options;
  }

  get atr(): Uint8Array {
    return this.#card.atr;
  }

  get removed(): AbortSignal {
    return this.#card.removed.signal;
  }

  async transceive(command: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    if (command.length < COMMAND_BYTES_MIN || command.length > COMMAND_BYTES_MAX) {
      const limits = `${COMMAND_BYTES_MIN} to ${COMMAND_BYTES_MAX} bytes`;
      throw new Fault("codec.invalid", `a command is ${limits}, not ${command.length}`);
    }
    if (this.#running) throw new Fault("device.busy", "the card still owes the answer to another command");
    if (this.removed.aborted) throw abortFault(this.removed);
    if (this.#failure) throw this.#failure;
    if (signal.aborted) throw abortFault(signal);
    this.#running = true;
    try {
      return await this.#exchange(command, signal);
    } catch (error) {
      this.#failure = this.#failureOf(error, signal);
      throw this.#failure;
    } finally {
      this.#running = false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.removed.aborted && !isFault(this.#failure, "card.mute")) this.#port.release(this.#card.card);
    this.#failure ??= new Fault("transport.closed", "the card session was ended");
  }

  async #exchange(command: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    using limit = deadline(this.#options.clock, this.#options.answerWithinMs, signal);
    const until = AbortSignal.any([limit.signal, this.removed]);
    const response = await this.#port.transmit(this.#card.card, command, until);
    if (response.length < STATUS_BYTES) throw new Fault("card.removed", "the card answered less than a status word");
    if (response.length > RESPONSE_BYTES_MAX) throw new Fault("device.protocol", "the card answered too much");
    return response;
  }

  #failureOf(error: unknown, signal: AbortSignal): Fault {
    if (this.removed.aborted) return abortFault(this.removed);
    if (signal.aborted) return abortFault(signal);
    if (isFault(error, "transport.timeout")) {
      const limit = `${this.#options.answerWithinMs} ms`;
      return new Fault("card.mute", `the card gave no answer within ${limit}: take it out and try again`);
    }
    return isFault(error) ? error : new Fault("device.protocol", "the reader failed", { cause: error });
  }
}
