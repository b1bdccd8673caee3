/**
 * The hardware of one simulated counter, below the agent's capabilities: a reader in which customers put cards, a printer
 * whose paper outlives every crash, and a scanner. What is on paper stays on paper.
 */
import type { Devices } from "../../agent/devices/devices.ts";
import { abortFault } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { fail, ok } from "../../base/result.ts";
import type {
  CapabilityMap,
  CapabilityName,
  CardReader,
  CardSession,
  CodeScanner,
  PrintFailure,
  ReceiptPrinter,
  Scan,
} from "../../drivers/capability.ts";
import type { ReceiptDocument } from "../../protocols/escpos/document.ts";
import type { ChanceStream } from "../../sim/world/chance.ts";
import type { NodeContext } from "../../sim/world/node.ts";

/** A card as it lies in the reader: one command in, one response out. */
export interface CardInReader {
  respond(command: Uint8Array): Uint8Array;
  /** After so many commands it is pulled; never when not said. */
  readonly pulledAfter?: number;
}

/** A ticket on paper, or what came out of one. */
export interface Paper {
  readonly document: ReceiptDocument;
  readonly complete: boolean;
}

export type CounterFault = "printer.paper-out" | "printer.answer-lost" | "card.pulled" | "card.answer-lost";

/** How long a command to a card takes, and a ticket, in simulated milliseconds. */
const COMMAND_MS = 8;
const TICKET_MS = 900;

export class Counter {
  readonly papers: Paper[] = [];
  /** What is presented next; taken by whoever awaits it. */
  card: CardInReader | undefined;
  code: string | undefined;
  /** Probabilities, drawn for each ticket. */
  printing = { paperOut: 0, lost: 0 };
  /** How likely the answer to a command does not come back from the card, which carried it out all the same. */
  hiccup = 0;
  readonly #chance: ChanceStream;
  readonly #count: (fault: CounterFault) => void;
  readonly #waiting = new Set<() => void>();

  constructor(chance: ChanceStream, count: (fault: CounterFault) => void) {
    this.#chance = chance;
    this.#count = count;
  }

  present(means: { readonly card?: CardInReader; readonly code?: string }): void {
    this.card = means.card;
    this.code = means.code;
    for (const wake of [...this.#waiting]) wake();
  }

  /** The customer has gone. */
  clear(): void {
    this.card = undefined;
    this.code = undefined;
  }

  /** As one life of the agent sees it. */
  devices(context: NodeContext): Devices {
    const capabilities: CapabilityMap = {
      "card-reader": this.#reader(context),
      "receipt-printer": this.#printer(context),
      "code-scanner": this.#scanner(context),
    };
    return {
      lend: <N extends CapabilityName>(name: N) => capabilities[name],
      list: () => [],
      onChange: () => () => undefined,
    };
  }

  #reader(context: NodeContext): CardReader {
    return {
      awaitCard: async (signal) => {
        const card = await this.#take(signal, () => this.card);
        this.card = undefined;
        return session({ card, context, count: this.#count, isLost: () => this.#chance.happens(this.hiccup) });
      },
    };
  }

  #scanner(_context: NodeContext): CodeScanner {
    return {
      nextScan: async (signal): Promise<Scan> => {
        const text = await this.#take(signal, () => this.code);
        this.code = undefined;
        return { text };
      },
    };
  }

  #take<T>(signal: AbortSignal, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", onAbort);
      };
      const wake = () => {
        const found = look();
        if (found === undefined) return;
        end();
        resolve(found);
      };
      const onAbort = () => {
        end();
        reject(abortFault(signal));
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(wake);
      wake();
    });
  }

  #printer(context: NodeContext): ReceiptPrinter {
    const busy = (ms: number) => new Promise<void>((resolve) => context.clock.after(ms, resolve));
    return {
      status: async () => ({ online: true, paper: "ok", coverOpen: false }),
      print: async (document, { beforeFirstByte }) => {
        const chance = this.#chance;
        if (chance.happens(this.printing.paperOut)) {
          this.#count("printer.paper-out");
          return fail<PrintFailure>({ why: "paper-out", printed: "nothing" });
        }
        await beforeFirstByte();
        if (!context.isAlive()) throw new Fault("aborted", "the machine is gone");
        const lost = chance.happens(this.printing.lost);
        // From the first byte on something may be on paper, whatever becomes of the agent.
        const at = this.papers.push({ document, complete: false }) - 1;
        await busy(TICKET_MS / 2);
        if (lost) {
          this.#count("printer.answer-lost");
          return fail<PrintFailure>({ why: "lost", printed: "unknown" });
        }
        await busy(TICKET_MS / 2);
        this.papers[at] = { document, complete: true };
        return ok(undefined);
      },
    };
  }
}

interface Dialogue {
  readonly card: CardInReader;
  readonly context: NodeContext;
  readonly count: (fault: CounterFault) => void;
  readonly isLost: () => boolean;
}

function session({ card, context, count, isLost }: Dialogue): CardSession {
  const removed = new AbortController();
  let commands = 0;
  return {
    atr: Uint8Array.of(0x3b, 0x00),
    removed: removed.signal,
    async transceive(command, signal) {
      if (signal.aborted) throw abortFault(signal);
      commands += 1;
      if (commands > (card.pulledAfter ?? Number.POSITIVE_INFINITY)) {
        if (!removed.signal.aborted) count("card.pulled");
        const pulled = new Fault("card.removed", "the card was pulled");
        removed.abort(pulled);
        throw pulled;
      }
      await new Promise<void>((resolve) => context.clock.after(COMMAND_MS, resolve));
      const response = card.respond(command);
      if (!isLost()) return response;
      count("card.answer-lost");
      throw new Fault("card.mute", "the card gave no answer");
    },
    async [Symbol.asyncDispose]() {},
  };
}
