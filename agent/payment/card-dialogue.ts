/** Runs the phases of the EMV kernel against the card in the reader, and keeps what was said for the transcript (RM6). */
import type { CardSession } from "../../drivers/capability.ts";
import { encodeCommand, encodeResponse, exchange } from "../../protocols/emv/apdu.ts";
import type {
  Candidate,
  Kernel,
  OnlineResult,
  TerminalSettings,
  TransactionSettings,
} from "../../protocols/emv/kernel/kernel.ts";

/** One command and its whole answer, as the kernel saw them. Holds card data in clear. */
export interface SpokenLine {
  readonly command: Uint8Array;
  readonly answer: Uint8Array;
}

/** All that is needed to run the same dialogue again. Holds card data in clear: it is sealed or forgotten after the sale. */
export interface CardRecord {
  /** Undefined until a card was spoken to. */
  began?: { readonly terminal: TerminalSettings; readonly sale: TransactionSettings };
  readonly lines: SpokenLine[];
  /** The cardholder's choices, in order. */
  readonly choices: (number | undefined)[];
  online?: OnlineResult;
}

export const newRecord = (): CardRecord => ({ lines: [], choices: [] });

/** A card that answers for ever is ended by the kernel long before; this bounds what is kept. */
const LINES_MAX = 512;

export class CardDialogue {
  readonly #session: CardSession;
  readonly #record: CardRecord;

  constructor(session: CardSession, record: CardRecord) {
    this.#session = session;
    this.#record = record;
  }

  /**
   * To the phase's end. Throws the session's Faults, which end the dialogue: no command is repeated (RM3). `meanwhile` runs
   * once, while the card works on the phase's first command; what the kernel has to work ahead, while it works on that one.
   */
  async run<T>(phase: Kernel<T>, signal: AbortSignal, meanwhile?: () => void): Promise<T> {
    let step = phase.next();
    let aside = meanwhile;
    while (!step.done) {
      const ask = step.value;
      if (ask.ask === "choose") {
        const chosen = withoutAsking(ask.candidates);
        this.#record.choices.push(chosen);
        step = phase.next({ chosen });
        continue;
      }
      const exchanged = exchange((bytes) => this.#session.transceive(bytes, signal), ask.command);
      const [response] = await Promise.all([exchanged, later(ask.meanwhile, aside)]);
      aside = undefined;
      if (this.#record.lines.length < LINES_MAX) {
        this.#record.lines.push({ command: encodeCommand(ask.command), answer: encodeResponse(response) });
      }
      step = phase.next({ response });
    }
    return step.value;
  }
}

/** In the next microtask: the command before it has left by then. */
async function later(...works: readonly ((() => void) | undefined)[]): Promise<void> {
  await Promise.resolve();
  for (const work of works) work?.();
}

/** Without a display to ask on, the first application that needs no consent (Book 1, 12.4). */
function withoutAsking(candidates: readonly Candidate[]): number | undefined {
  const index = candidates.findIndex((candidate) => !candidate.confirm);
  return index < 0 ? undefined : index;
}
