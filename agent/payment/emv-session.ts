/**
 * A sale's card, from the first command to the last: the EMV kernel's phases in the order in which the purchase asks for
 * them, and what the sale keeps of them. What the kernel decides is its own; this file performs and collects.
 */
import { createHmac, type KeyObject } from "node:crypto";
import { assert } from "../../base/assert.ts";
import { fromHex, toHex } from "../../base/bytes.ts";
import { localTime } from "../../base/clock.ts";
import type { RandomBytes } from "../../base/ids.ts";
import { exponentOf, type Money, numericCodeOf } from "../../base/money.ts";
import type { CardSession } from "../../drivers/capability.ts";
import { encodeTlv, type Tag } from "../../protocols/emv/ber-tlv.ts";
import { hasBit, TVR } from "../../protocols/emv/bits.ts";
import { completeTransaction } from "../../protocols/emv/kernel/completion.ts";
import { firstCryptogram } from "../../protocols/emv/kernel/first-cryptogram.ts";
import type {
  Completion,
  CvmOutcome,
  KernelEnd,
  OnlineResult,
  TerminalSettings,
  Transaction,
  TransactionSettings,
} from "../../protocols/emv/kernel/kernel.ts";
import { readyTransaction } from "../../protocols/emv/kernel/ready.ts";
import { TRANSACTION_TYPE } from "../../protocols/emv/kernel/terminal-type.ts";
import { decodeCompressed, decodeNumeric, encodeNumeric } from "../../protocols/emv/numeric.ts";
import { type CardData, CardDataSchema } from "../../wire/card-data.ts";
import type { CardFacts } from "../../wire/journal-entry.ts";
import { CardDialogue, type CardRecord } from "./card-dialogue.ts";
import type { FixedSettings } from "./emv-terminal.ts";
import type { Cryptogram, RefusedBy } from "./purchase-machine.ts";

export interface EmvTerminal {
  readonly settings: FixedSettings;
  readonly amount: Money;
  /** The part of the amount that is given in cash. */
  readonly cashback?: Money | undefined;
  readonly atMs: number;
  readonly timeZone: string;
  /** Keys the card token. */
  readonly cardTokenKey: KeyObject;
  /** Minor units that the card of this token already owes here offline. */
  readonly spentBy: (cardToken: string) => bigint;
  /** Whether the hub's deny list names the card of this token: the exception file. */
  readonly denies: (cardToken: string) => boolean;
  /** Draws the unpredictable number: the system's CSPRNG, or a seed in a simulation. */
  readonly random: RandomBytes;
  /** The hub is in reach, and the merchant wants to hear it. */
  readonly forceOnline: boolean;
  /** Counts this terminal's transactions, tag 9F41. */
  readonly sequenceCounter: number;
  /** Is filled with what is said, also when that ends badly. */
  readonly record: CardRecord;
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

export interface CompletedCard extends Completion {
  /** Undefined where the card itself declined, or nobody did. */
  readonly refusedBy?: RefusedBy;
}

export interface EmvCard {
  readonly facts: Pick<CardFacts, "entryMode" | "maskedPan" | "cardToken" | "aid" | "label">;
  readonly data: CardData;
  /** Tag 57 in hex: for the online request only, never for a store. */
  readonly track2?: string;
  /** What terminal action analysis asks for (Book 3, 10.7). */
  readonly proposed: Cryptogram;
  readonly cvm: CvmOutcome;
  /** `meanwhile` runs while the card works. */
  generateFirst(ask: Cryptogram, signal: AbortSignal, meanwhile: () => void): Promise<Cryptogram>;
  /** To the second GENERATE AC and what follows it. */
  complete(online: OnlineResult, signal: AbortSignal): Promise<CompletedCard>;
  /** DE 55 as it stands after the last cryptogram, in hex. */
  iccData(): string;
  /** What the decision keeps of the card; undefined before the first cryptogram. */
  finalFacts(): CardFacts | undefined;
  /** Tag 9F5B in hex, when the issuer sent scripts. */
  scriptResults(): string | undefined;
}

/** What an advice may keep of DE 55; card number, track, name and discretionary data are never among it (RM5). */
const ICC_TAGS: readonly Tag[] = [
  0x82, 0x84, 0x8a, 0x95, 0x9a, 0x9b, 0x9c, 0x5f2a, 0x5f34, 0x9f02, 0x9f03, 0x9f07, 0x9f09, 0x9f10, 0x9f1a, 0x9f1e,
  0x9f26, 0x9f27, 0x9f33, 0x9f34, 0x9f35, 0x9f36, 0x9f37, 0x9f41, 0x9f5b,
];

/** Selects the application and reads it. Throws CardRefusal, or the Faults of the session and the codecs. */
export async function readCard(session: CardSession, terminal: EmvTerminal, signal: AbortSignal): Promise<EmvCard> {
  const { record } = terminal;
  const tokenOf = tokens(terminal.cardTokenKey);
  const settings: TerminalSettings = {
    ...terminal.settings,
    entry: isContactless(session.atr) ? "contactless" : "contact",
    onExceptionFile: (pan) => terminal.denies(tokenOf(pan)),
    spentBefore: spentOnce((pan) => terminal.spentBy(tokenOf(pan))),
  };
  const sale = settingsOf(terminal);
  record.began = { terminal: settings, sale };
  const dialogue = new CardDialogue(session, record);
  const ready = await dialogue.run(readyTransaction(settings, sale), signal);
  if (!ready.ok) throw refusalOf(ready.error);
  return new ReadCard({ record, tokenOf, dialogue, ...ready.value });
}

/** One answer for the whole sale: once the sale itself is stored, it counts among what is spent. */
function spentOnce(spentBy: (pan: string) => bigint): (pan: string) => bigint {
  let answer: bigint | undefined;
  return (pan) => {
    answer ??= spentBy(pan);
    return answer;
  };
}

/** Tells cards apart, tells nothing else. */
export const cardTokenOf = (pan: string, key: KeyObject): string => createHmac("sha256", key).update(pan).digest("hex");

/** A sale has one card, and asks for its token several times. */
function tokens(key: KeyObject): (pan: string) => string {
  let last: { readonly pan: string; readonly token: string } | undefined;
  return (pan) => {
    if (last?.pan !== pan) last = { pan, token: cardTokenOf(pan, key) };
    return last.token;
  };
}

/** PC/SC part 3, 3.1.3.2.3: readers make up this answer to reset for a card in their field. */
const isContactless = (atr: Uint8Array): boolean =>
  atr[0] === 0x3b && ((atr[1] ?? 0) & 0xf0) === 0x80 && atr[2] === 0x80 && atr[3] === 0x01;

const UNSUPPORTED: ReadonlySet<KernelEnd["code"]> = new Set([
  "no-application",
  "cancelled",
  "card-blocked",
  "application-blocked",
  "use-contact",
  "not-accepted",
]);
const refusalOf = ({ code, detail }: KernelEnd): CardRefusal =>
  new CardRefusal(UNSUPPORTED.has(code) ? "unsupported" : "refused-command", detail);

function settingsOf(terminal: EmvTerminal): TransactionSettings {
  const local = localTime(terminal.atMs, terminal.timeZone);
  const { amount, cashback, random } = terminal;
  return {
    amountMinor: amount.minor,
    otherMinor: cashback?.minor ?? 0n,
    type: cashback ? TRANSACTION_TYPE.purchaseWithCashback : TRANSACTION_TYPE.purchase,
    currencyCode: encodeNumeric(BigInt(numericCodeOf(amount.currency)), 2),
    currencyExponent: exponentOf(amount.currency),
    today: {
      year: Number(local.slice(0, 4)),
      month: Number(local.slice(5, 7)),
      day: Number(local.slice(8, 10)),
    },
    time: fromHex(local.slice(11).replace(/\D/g, "")),
    unpredictableNumber: random(4),
    randomPercent: percentOf(random(4)),
    sequenceCounter: terminal.sequenceCounter,
    forceOnline: terminal.forceOnline,
    alreadySpentMinor: 0n,
  };
}

/** 1 to 99, each as likely as four bytes allow. */
const percentOf = (bytes: Uint8Array): number =>
  1 + (new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0) % 99);

interface ReadCardInput {
  readonly record: CardRecord;
  readonly tokenOf: (pan: string) => string;
  readonly dialogue: CardDialogue;
  readonly transaction: Transaction;
  readonly proposed: Cryptogram;
}

class ReadCard implements EmvCard {
  readonly facts: EmvCard["facts"];
  readonly data: CardData;
  readonly track2?: string;
  readonly proposed: Cryptogram;
  readonly #dialogue: CardDialogue;
  readonly #transaction: Transaction;
  readonly #record: CardRecord;
  #last: Cryptogram | undefined;

  constructor({ record, tokenOf, dialogue, transaction, proposed }: ReadCardInput) {
    this.#dialogue = dialogue;
    this.#transaction = transaction;
    this.#record = record;
    this.proposed = proposed;
    const { values } = transaction;
    this.data = cardDataOf(values);
    const track2 = values.get(0x57);
    if (track2) this.track2 = toHex(track2);
    // The hub could not read them, and would find out only after the goods are gone.
    if (!CardDataSchema.safeParse({ ...this.data, ...(track2 && { track2: this.track2 }) }).success)
      throw new CardRefusal("unsupported", "the card's number or track is of a form that cannot pay here");
    this.facts = {
      entryMode: transaction.terminal.entry === "contact" ? "chip" : "contactless",
      maskedPan: mask(this.data.pan),
      cardToken: tokenOf(this.data.pan),
      aid: toHex(transaction.aid),
      label: transaction.label.replace(/[^\x20-\x7e]/g, "").slice(0, 16),
    };
  }

  get cvm(): CvmOutcome {
    return this.#transaction.cvm;
  }

  async generateFirst(ask: Cryptogram, signal: AbortSignal, meanwhile: () => void): Promise<Cryptogram> {
    const first = await this.#dialogue.run(firstCryptogram(this.#transaction, ask), signal, meanwhile);
    if (!first.ok) throw refusalOf(first.error);
    this.#last = first.value.type;
    return first.value.type;
  }

  async complete(online: OnlineResult, signal: AbortSignal): Promise<CompletedCard> {
    assert(this.#last === "ARQC", "only a card that asked for the issuer is told its answer");
    this.#record.online = online;
    const { tvr } = this.#transaction;
    // Where CDA had failed before, no signature was asked for.
    const failedBefore = hasBit(tvr, TVR.cdaFailed);
    const completed = await this.#dialogue.run(completeTransaction(this.#transaction, online), signal);
    if (!completed.ok) throw refusalOf(completed.error);
    this.#last = completed.value.type;
    const refusedBy = !failedBefore && hasBit(tvr, TVR.cdaFailed) ? "signature" : failedCheck(online, tvr);
    return { ...completed.value, ...(refusedBy && { refusedBy }) };
  }

  iccData(): string {
    const objects = ICC_TAGS.flatMap((tag) => {
      const value = this.#transaction.values.get(tag);
      return value && value.length > 0 ? [{ tag, value }] : [];
    });
    return toHex(encodeTlv(objects));
  }

  scriptResults(): string | undefined {
    const results = this.#transaction.values.get(0x9f5b);
    return results && results.length > 0 ? toHex(results) : undefined;
  }

  finalFacts(): CardFacts | undefined {
    if (this.#last === undefined) return undefined;
    const signature = this.cvm === "signature" ? { signature: true as const } : {};
    return { ...this.facts, cryptogramType: this.#last, iccData: this.iccData(), ...signature };
  }
}

/** Beyond these, what a card cannot show or a terminal cannot check is the risk that a merchant may take (RM9). */
const UNSOUND = [
  TVR.sdaFailed,
  TVR.ddaFailed,
  TVR.cdaFailed,
  TVR.onExceptionFile,
  TVR.expired,
  TVR.notYetEffective,
  TVR.serviceNotAllowed,
];
const failedCheck = (online: OnlineResult, tvr: Uint8Array): RefusedBy | undefined =>
  online.was === "unable" && UNSOUND.some((bit) => hasBit(tvr, bit)) ? "failed-check" : undefined;

function cardDataOf(values: ReadonlyMap<Tag, Uint8Array>): CardData {
  const [pan, expiry] = [values.get(0x5a), values.get(0x5f24)];
  assert(pan !== undefined && expiry !== undefined, "the kernel ends a transaction whose mandatory data are missing");
  const sequenceNumber = values.get(0x5f34);
  return {
    pan: decodeCompressed(pan),
    expiry: toHex(expiry).slice(0, 4),
    ...(sequenceNumber ? { sequenceNumber: decodeNumeric(sequenceNumber).toString() } : {}),
  };
}

/** First six and last four digits, the most that may be shown. */
const mask = (pan: string): string => `${pan.slice(0, 6)}${"*".repeat(Math.max(1, pan.length - 10))}${pan.slice(-4)}`;
