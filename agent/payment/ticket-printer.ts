/** Prints what is owed on paper: one ticket at a time, the journal as its queue, the intent on disk before the first byte (RM3). */
import { type Clock, deadline } from "../../base/clock.ts";
import type { Lane } from "../../base/daemon.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Money } from "../../base/money.ts";
import type { PrintFailure, ReceiptPrinter } from "../../drivers/capability.ts";
import type { EntryBody, EntryOf } from "../../wire/journal-entry.ts";
import type { Devices } from "../devices/devices.ts";
import { type Journal, NOTHING_TAKEN } from "../journal/journal.ts";
import { nextMarking, nextPrint, viewOf } from "./payment-view.ts";
import type { PaymentStage } from "./payments.ts";
import { challengeSlip, receiptOf, type Site } from "./receipt.ts";

export interface TicketPrinterOptions {
  readonly journal: Journal;
  readonly devices: Devices;
  readonly site: Site;
  readonly clock: Clock;
  /** ISO time of an entry. */
  readonly timestamp: () => string;
  readonly log: Log;
  readonly onStage: (id: PaymentId, stage: PaymentStage) => void;
  readonly onTicket: (id: PaymentId) => void;
  /** A journal that takes nothing more ends the agent. */
  readonly onFatal: (error: unknown) => void;
}

type Outcome = "printed" | "no-printer" | "failed";

/** How long a printer that refused is left alone, unless it or another device changes first. */
const RETRY_AFTER_MS = 2_000;
/** A ticket of the longest receipt at 9,600 baud takes some seconds; one that takes this long will not end. */
const TICKET_WITHIN_MS = 30_000;

export class TicketPrinter implements AsyncDisposable {
  readonly #options: TicketPrinterOptions;
  readonly #stop = new AbortController();
  #wake: (() => void) | undefined;
  #lane: Promise<unknown> = Promise.resolve();
  #loop: Promise<void> | undefined;
  #failures = 0;
  /** When the ticket that is being printed was begun. */
  #printingSinceMs: number | undefined;
  #lastTrouble = "";

  constructor(options: TicketPrinterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run().catch(this.#options.onFatal);
  }

  /** A ticket that neither ends nor fails within its own limit stands still. */
  get lane(): Lane {
    const since = this.#printingSinceMs;
    const lastProgressMs = since ?? this.#options.clock.monotonic();
    return { name: "tickets", lastProgressMs, idle: since === undefined, limitMs: 2 * TICKET_WITHIN_MS };
  }

  /** Something may be due: a sale was decided, or a printer came back. */
  wake(): void {
    this.#wake?.();
  }

  /** Prints a marked copy now, whatever is due. */
  copy(id: PaymentId): Promise<Outcome> {
    return this.#inLane(() => this.#print(id));
  }

  /** Prints what a phone scans to pay with a note. It is no receipt, so nothing of it is written down. */
  challenge(text: string, amount: Money): Promise<Outcome> {
    return this.#inLane(async () => {
      const printer = this.#options.devices.lend("receipt-printer");
      if (!printer) return "no-printer";
      const document = challengeSlip({ text, amount, site: this.#options.site });
      const { result } = await this.#send(printer, document, () => Promise.resolve());
      return result === "proven" ? "printed" : "failed";
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.wake();
    await this.#loop;
    await this.#lane;
  }

  async #run(): Promise<void> {
    const unsubscribe = this.#options.devices.onChange(() => this.wake());
    try {
      while (!this.#stop.signal.aborted) {
        if (this.#next() === undefined) {
          await this.#rest(undefined);
          continue;
        }
        const outcome = await this.#inLane(() => this.#printDue());
        this.#failures = outcome === "failed" ? this.#failures + 1 : 0;
        if (outcome === "failed" || outcome === "no-printer") await this.#rest(RETRY_AFTER_MS);
      }
    } finally {
      unsubscribe();
    }
  }

  /** Looks anew when it has the lane: while a copy was printed, what was due may have become void or have been printed. */
  async #printDue(): Promise<Outcome | "nothing-due"> {
    const due = this.#next();
    return due === undefined ? "nothing-due" : await this.#print(due);
  }

  /** The oldest ticket that is due; after a failure the next one, so that none that cannot be printed blocks the rest. */
  #next(): PaymentId | undefined {
    const due = this.#options.journal.unprinted();
    return due[this.#failures % Math.max(1, due.length)];
  }

  /** Waits to be woken, at most `limitMs`. */
  #rest(limitMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const cancel = limitMs === undefined ? undefined : this.#options.clock.after(limitMs, () => this.#wake?.());
      this.#wake = () => {
        this.#wake = undefined;
        cancel?.();
        resolve();
      };
      if (this.#stop.signal.aborted) this.#wake();
    });
  }

  #inLane<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lane.then(work);
    this.#lane = turn.catch(() => undefined);
    return turn;
  }

  async #print(id: PaymentId): Promise<Outcome> {
    const { journal, devices, site, onStage, onTicket } = this.#options;
    const printer = devices.lend("receipt-printer");
    if (!printer) return this.#trouble(id, "no-printer", "no receipt printer is ready");
    const entries = journal.entriesOf(id).map((entry) => entry.body);
    const payment = viewOf(entries, undefined);
    if (!payment) return "failed";
    const marking = nextMarking(entries);
    const print = nextPrint(entries);
    const begin = async () => {
      await this.#append({ kind: "print-intent", paymentId: id, at: this.#options.timestamp(), print, marking });
      onStage(id, "print-intent-stored");
      onStage(id, "print-started");
    };
    const document = receiptOf({ payment, site, terminalId: journal.terminalId, marking });
    this.#printingSinceMs = this.#options.clock.monotonic();
    const ended = await this.#send(printer, document, begin).finally(() => {
      this.#printingSinceMs = undefined;
    });
    if (ended.begun) {
      onStage(id, "print-finished");
      const { result } = ended;
      try {
        await this.#append({ kind: "printed", paymentId: id, at: this.#options.timestamp(), print, result });
      } catch (error) {
        // A print with no stored end may be on paper, so the next ticket is marked as a possible copy.
        if (!isFault(error, ...NOTHING_TAKEN)) throw error;
        return this.#trouble(id, "failed", error.message);
      }
      onStage(id, "print-stored");
      onTicket(id);
    }
    if (ended.result === "proven") {
      this.#lastTrouble = "";
      return "printed";
    }
    return this.#trouble(id, "failed", ended.why);
  }

  async #send(
    printer: ReceiptPrinter,
    document: Parameters<ReceiptPrinter["print"]>[0],
    begin: () => Promise<void>,
  ): Promise<{ readonly begun: boolean; readonly result: EntryOf<"printed">["result"]; readonly why: string }> {
    let begun = false;
    using limit = deadline(this.#options.clock, TICKET_WITHIN_MS, this.#stop.signal);
    const beforeFirstByte = async () => {
      await begin();
      begun = true;
    };
    try {
      const printed = await printer.print(document, { beforeFirstByte, signal: limit.signal });
      if (printed.ok) return { begun, result: "proven", why: "" };
      return { begun, result: onPaper(printed.error), why: printed.error.why };
    } catch (error) {
      if (isFault(error, "journal.failed")) throw error;
      return { begun, result: "unproven", why: reasonOf(error) };
    }
  }

  async #append(body: EntryBody): Promise<void> {
    await this.#options.journal.append([{ body }]);
  }

  /** One line for each new trouble, not for each try. */
  #trouble(id: PaymentId, outcome: Outcome, why: string): Outcome {
    if (why !== this.#lastTrouble) this.#options.log.warn("tickets wait", { paymentId: id, why });
    this.#lastTrouble = why;
    return outcome;
  }
}

const onPaper = (failure: PrintFailure): "nothing" | "unproven" =>
  failure.printed === "nothing" ? "nothing" : "unproven";
