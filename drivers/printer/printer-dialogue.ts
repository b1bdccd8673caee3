/** Question and answer with one printer: whose turn it is on the line, and which reply belongs to which request. */
import { abortable, abortFault, type Clock, deadline } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import {
  AUTOMATIC_STATUS_OFF,
  decodeOfflineCause,
  decodePaperPart,
  decodePaperSensor,
  decodePrinterPart,
  PAPER_SENSOR_REQUEST,
  type PaperState,
  type RealTimePart,
  realTimeStatusRequest,
  StatusDecoder,
} from "../../protocols/escpos/status.ts";
import type { PrinterStatus } from "../capability.ts";
import type { Transport } from "../transports/transport.ts";

/** A printer answers real-time requests in a few milliseconds, whatever else it does. */
export const ANSWER_WITHIN_MS = 1_000;
/** How long the reply to GS r is awaited before a half-received command is suspected of having swallowed the request. */
export const SYNCHRONISE_FIRST_MS = 1_500;
/** A printer that still works off its buffer gets this long to come to our request. */
export const SYNCHRONISE_WITHIN_MS = 10_000;
/** Replies to requests of an earlier life come within this time of each other. */
export const SYNCHRONISE_QUIET_MS = 100;
/** More replies than requests can have been left behind. */
const SYNCHRONISE_REPLIES_MAX = 32;
/** Longer than the parameters of any command we send, so that it completes one whose rest was lost. NUL prints nothing. */
const PADDING_BYTES = 512;
/** Callers that may wait for the line; more means that somebody asks without listening. */
const TURNS_WAITING_MAX = 16;

/** Waits for the reply to GS r; `undefined` when none came within the time. May be called again. */
export type Confirmation = (withinMs: number) => Promise<PaperState | undefined>;

export class PrinterDialogue {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #decoder = new StatusDecoder();
  readonly #lost = new AbortController();
  /** The last piece of work that had the line; never rejects. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #onRealTime: ((byte: number) => void) | undefined;
  #onSensor: ((paper: PaperState) => void) | undefined;
  #reportedDiscards = 0;
  /** True when no reply to an earlier GS r can still come. */
  #synchronised = false;

  constructor(parts: { readonly transport: Transport; readonly clock: Clock; readonly log: Log }) {
    this.#transport = parts.transport;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#transport.onReceived((chunk) => this.#received(chunk));
    const { closed } = this.#transport;
    if (closed.aborted) this.#lost.abort(closed.reason);
    closed.addEventListener("abort", () => this.#lost.abort(closed.reason), { once: true });
  }

  /** Aborts with the Fault that ended the dialogue: the port went, or the printer did not answer once. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Nobody has the line or waits for it. */
  get idle(): boolean {
    return this.#waiting === 0;
  }

  /**
   * Gives `work` the line alone. A real-time request between the bytes of a ticket could fall into the parameters of
   * a command and be printed as one (ESC/POS reference, notes of DLE EOT), so nobody asks meanwhile.
   */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= TURNS_WAITING_MAX) {
      throw new Fault("device.busy", `${this.#transport.name}: ${TURNS_WAITING_MAX} callers already wait for it`);
    }
    this.#waiting += 1;
    const done = this.#turn.then(work).finally(() => {
      this.#waiting -= 1;
    });
    this.#turn = done.then(
      () => undefined,
      () => undefined,
    );
    return await done;
  }

  /**
   * The whole status in three questions; for the holder of the line. Takes no signal: a reply that nobody awaits any
   * more would answer the next question. Throws Fault `device.hung` or what ended the transport.
   */
  async status(): Promise<PrinterStatus> {
    const printer = decodePrinterPart(await this.#ask("printer"));
    const cause = decodeOfflineCause(await this.#ask("offlineCause"));
    const paper = decodePaperPart(await this.#ask("paper"));
    return {
      online: !printer.offline && !cause.error,
      paper: cause.paperEnd ? "out" : paper,
      coverOpen: cause.coverOpen,
    };
  }

  /** One question, to hear that the printer is there; for the holder of the line. */
  async ping(): Promise<void> {
    decodePrinterPart(await this.#ask("printer"));
  }

  /** Sends a ticket and, behind it, GS r, whose reply says that the printer has processed it; for the holder of the line. */
  async sendTicket(bytes: Uint8Array, signal: AbortSignal): Promise<Confirmation> {
    this.#synchronised = false;
    return this.#sendWithRequest(bytes, signal, () => {
      this.#synchronised = true;
    });
  }

  /**
   * Makes sure that no reply to an earlier GS r is still to come, as it would confirm a ticket that is not printed
   * yet; for the holder of the line. Gives `false` when the printer does not come to our request.
   */
  async synchronise(signal: AbortSignal): Promise<boolean> {
    if (this.#synchronised) return true;
    let confirmation = await this.#sendWithRequest(AUTOMATIC_STATUS_OFF, signal);
    if ((await confirmation(SYNCHRONISE_FIRST_MS)) === undefined) {
      confirmation = await this.#sendWithRequest(new Uint8Array(PADDING_BYTES), signal);
      if ((await confirmation(SYNCHRONISE_WITHIN_MS)) === undefined) return false;
    }
    for (let reply = 0; reply < SYNCHRONISE_REPLIES_MAX; reply += 1) {
      if ((await this.#nextSensor(signal)(SYNCHRONISE_QUIET_MS)) !== undefined) continue;
      this.#synchronised = true;
      return true;
    }
    return false;
  }

  async #sendWithRequest(bytes: Uint8Array, signal: AbortSignal, onReply?: () => void): Promise<Confirmation> {
    const confirmation = this.#nextSensor(signal, onReply);
    await this.#transport.write(bytes, signal);
    await this.#transport.write(PAPER_SENSOR_REQUEST, signal);
    return confirmation;
  }

  #nextSensor(signal: AbortSignal, onReply?: () => void): Confirmation {
    const replied = Promise.withResolvers<PaperState>();
    this.#onSensor = (paper) => {
      this.#onSensor = undefined;
      onReply?.();
      replied.resolve(paper);
    };
    return (withinMs) => this.#await(replied.promise, withinMs, signal);
  }

  async #await<T>(reply: Promise<T>, withinMs: number, signal?: AbortSignal): Promise<T | undefined> {
    const stop = signal ? AbortSignal.any([this.lost, signal]) : this.lost;
    using limit = deadline(this.#clock, withinMs, stop);
    try {
      return await abortable(reply, limit.signal);
    } catch (error) {
      if (stop.aborted) throw abortFault(stop);
      if (limit.signal.aborted) return undefined;
      throw error;
    }
  }

  async #ask(part: RealTimePart): Promise<number> {
    if (this.lost.aborted) throw abortFault(this.lost);
    const replied = Promise.withResolvers<number>();
    this.#onRealTime = replied.resolve;
    try {
      await this.#transport.write(realTimeStatusRequest(part), this.lost);
      const byte = await this.#await(replied.promise, ANSWER_WITHIN_MS);
      if (byte !== undefined) return byte;
    } finally {
      this.#onRealTime = undefined;
    }
    const mend = "check its power and cable, and that baud matches its setting";
    const hung = new Fault("device.hung", `${this.#transport.name}: the printer does not answer; ${mend}`);
    this.#lost.abort(hung);
    throw hung;
  }

  #received(chunk: Uint8Array): void {
    for (const reply of this.#decoder.push(chunk)) {
      if (reply.kind === "real-time") this.#onRealTime?.(reply.byte);
      if (reply.kind === "paper-sensor") this.#onSensor?.(decodePaperSensor(reply.byte));
    }
    const discarded = this.#decoder.discarded - this.#reportedDiscards;
    if (discarded === 0) return;
    this.#reportedDiscards = this.#decoder.discarded;
    this.#log.debug("bytes from the printer that are no status", { port: this.#transport.name, discarded });
  }
}
