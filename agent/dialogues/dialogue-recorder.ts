/** Keeps each sale's dialogue with its card: sealed for the hub, masked for people (RM6). Runs after the till has its answer. */
import { Fault, reasonOf } from "../../base/fault.ts";
import type { PaymentId, RandomBytes, TerminalId } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { transcriptOf } from "../../protocols/emv/kernel/transcript-settings.ts";
import { formatTranscript, maskTranscript } from "../../protocols/emv/transcript.ts";
import { type DialogueFile, DialogueFileSchema, sealDialogue } from "../../wire/card-dialogue.ts";
import { firstIssue } from "../../wire/signing.ts";
import type { SealingKey } from "../lease/lease-keeper.ts";
import type { CardRecord } from "../payment/card-dialogue.ts";
import type { DialogueStore } from "./dialogue-store.ts";

export interface DialogueRecorderOptions {
  readonly store: DialogueStore;
  readonly terminalId: TerminalId;
  /** The hub's key of today. */
  readonly sealingKey: () => SealingKey;
  readonly random: RandomBytes;
  readonly now: () => number;
  readonly log: Log;
}

/** Where the API finds a recorded dialogue. */
export interface Dialogues {
  dialogueOf(id: PaymentId): DialogueFile | undefined;
}

export class DialogueRecorder implements Dialogues {
  readonly #options: DialogueRecorderOptions;

  constructor(options: DialogueRecorderOptions) {
    this.#options = options;
  }

  /** A dialogue that cannot be kept is worth a warning, never a sale. */
  keep(paymentId: PaymentId, record: CardRecord): void {
    const { store, terminalId, sealingKey, random, now, log } = this.#options;
    const { began, online, lines, choices } = record;
    if (!began) return;
    try {
      const transcript = transcriptOf({
        terminal: began.terminal,
        settings: began.sale,
        exchanges: lines,
        choices,
        ...(online && { online }),
      });
      const text = formatTranscript(transcript);
      const kept = {
        paymentId,
        at: new Date(now()).toISOString(),
        masked: maskTranscript(transcript),
        sealed: sealDialogue({ key: sealingKey(), random, terminalId, paymentId, transcript: text }),
      };
      // A card may talk longer than any file that it could be given out in.
      const checked = DialogueFileSchema.safeParse({ v: 1, terminalId, ...kept });
      if (!checked.success) throw new Fault("codec.too-long", firstIssue(checked.error));
      store.keep(kept);
    } catch (error) {
      log.warn("the dialogue with a card was not kept", { paymentId, why: reasonOf(error) });
    }
  }

  dialogueOf(id: PaymentId): DialogueFile | undefined {
    const kept = this.#options.store.get(id);
    return kept && { v: 1, terminalId: this.#options.terminalId, ...kept };
  }
}
