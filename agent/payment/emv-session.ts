/** The dialogue with a chip card in one sale, from selection to the second GENERATE AC (EMV 4.4 Books 1 and 3). */
import type { RandomBytes } from "../../base/ids.ts";
import type { Money } from "../../base/money.ts";
import type { CardData } from "../../wire/card-data.ts";
import type { CardFacts } from "../../wire/journal-entry.ts";
import type { Cryptogram } from "./purchase-machine.ts";

export interface EmvTerminal {
  readonly amount: Money;
  readonly atMs: number;
  readonly timeZone: string;
  readonly random: RandomBytes;
}

/** The card itself says no, or is of no kind that can pay here. */
export class CardRefusal extends Error {
  override readonly name = "CardRefusal";
  readonly why: "refused-command" | "unsupported";
  constructor(why: "refused-command" | "unsupported", message: string) {
    super(message);
    this.why = why;
  }
}

export interface EmvCard {
  readonly facts: Pick<CardFacts, "entryMode" | "maskedPan" | "cardToken" | "aid" | "label">;
  readonly data: CardData;
  readonly track2?: string;
  generateFirst(ask: Cryptogram, signal: AbortSignal): Promise<Cryptogram>;
  generateSecond(
    last: { readonly ask: "TC" | "AAC"; readonly responseCode: string },
    signal: AbortSignal,
  ): Promise<Cryptogram>;
  iccData(): string;
  finalFacts(): CardFacts | undefined;
}
