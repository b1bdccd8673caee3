/** Customers of a simulated shop: accounts at the hub, and cards whose counters outlive every crash. */
import { fromHex, toHex } from "../../base/bytes.ts";
import { INS } from "../../protocols/emv/commands.ts";
import { EmvCard } from "../../sim/card/emv-card.ts";
import type { CardTemper } from "../../sim/card/profile.ts";
import { type CardProfile, cardProfile } from "../../sim/card/profiles.ts";
import type { CardInReader } from "./counter.ts";

export const CARD_BIN = "476173";
const NO_CODES = fromHex("0000000000");
const TEMPERS: readonly CardTemper[] = ["standard", "standard", "standard", "online-only", "offline-only", "declining"];

/** One time that a card was in a reader: what it gave, and how often it was asked the same again (RM3). */
export interface Dialogue {
  readonly card: EmvCard;
  repeated: number;
}

export class Customer {
  readonly pan: string;
  readonly expiry = "3112";
  readonly dialogues: Dialogue[] = [];
  readonly #profile: CardProfile;
  #atc = 0;

  constructor(number: number) {
    this.pan = panOf(number);
    this.#profile = {
      ...cardProfile("second"),
      name: `customer-${number}`,
      pan: this.pan,
      format: 2,
      answers: "data",
      temper: TEMPERS[number % TEMPERS.length] ?? "standard",
      actionCodes: { denial: NO_CODES, online: NO_CODES, default: NO_CODES },
    };
  }

  card(pulledAfter?: number): CardInReader {
    const card = new EmvCard({
      profile: this.#profile,
      atc: this.#atc,
      saveAtc: (atc) => {
        this.#atc = atc;
      },
    });
    const generated = new Set<string>();
    const dialogue: Dialogue = { card, repeated: 0 };
    this.dialogues.push(dialogue);
    const respond = (command: Uint8Array): Uint8Array => {
      const text = toHex(command);
      if (command[1] === INS.generateAc && generated.has(text)) dialogue.repeated += 1;
      generated.add(text);
      return card.respond(command);
    };
    return { respond, ...(pulledAfter === undefined ? {} : { pulledAfter }) };
  }
}

/** A card number of the test range with its check digit. */
function panOf(number: number): string {
  const stem = `${CARD_BIN}${number.toString().padStart(9, "0")}`;
  const sum = [...stem].reverse().reduce((total, digit, index) => {
    const doubled = Number(digit) * (index % 2 === 0 ? 2 : 1);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return `${stem}${(10 - (sum % 10)) % 10}`;
}
