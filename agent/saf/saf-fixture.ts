/** A hub of a few lines that loses, splits and refuses on demand, and entries to send to it. */
import type { Fault } from "../../base/fault.ts";
import type { Epoch, PaymentId } from "../../base/ids.ts";
import type { EntryReceipt, ForwardedEntry } from "../../wire/advice.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import type { NewEntry } from "../journal/journal.ts";
import type { Hub } from "../uplink/hub.ts";
import type { LinkState } from "../uplink/uplink.ts";

export type Sent = Parameters<Hub["forward"]>[0];
export type Answer = (batch: Sent) => readonly EntryReceipt[];

export const processed = (entry: ForwardedEntry): EntryReceipt => ({
  sequence: entry.sequence,
  hash: entry.hash,
  status: "processed",
});
export const takesAll: Answer = (batch) => batch.entries.map(processed);

/** Answers each batch in the next turn with what `answer` says; nothing when that is empty. */
export class SmallHub {
  state: LinkState = "up";
  readonly advicesOnly = false;
  via = "mqtt";
  answer: Answer = takesAll;
  fault: Fault | undefined;
  /** Hub time, milliseconds. */
  time = 1_000;
  readonly batches: Sent[] = [];
  readonly receipts = new Set<Parameters<Hub["onReceipt"]>[0]>();
  readonly holdings = new Set<Parameters<Hub["onHeld"]>[0]>();
  readonly states = new Set<(state: LinkState) => void>();
  forward = async (batch: Sent): Promise<void> => {
    this.batches.push(batch);
    if (this.fault) throw this.fault;
    const results = this.answer(batch);
    if (results.length > 0) setImmediate(() => this.receipt(results, batch.epoch));
  };
  onReceipt: Hub["onReceipt"] = (listener) => {
    this.receipts.add(listener);
    return () => this.receipts.delete(listener);
  };
  onHeld: Hub["onHeld"] = (listener) => {
    this.holdings.add(listener);
    return () => this.holdings.delete(listener);
  };
  onState: Hub["onState"] = (listener) => {
    this.states.add(listener);
    return () => this.states.delete(listener);
  };
  receipt(results: readonly EntryReceipt[], epoch: string): void {
    for (const listener of this.receipts) listener({ epoch, results, fresh: true, saidAt: this.time });
  }
  /** What it durably holds, said later than all before unless told otherwise. */
  holds(watermark: number, more: { readonly hubEpoch?: Epoch; readonly fresh?: false } = {}): void {
    const held = { hubEpoch: HUB_EPOCH, watermark, ...more, fresh: more.fresh ?? true, saidAt: this.time };
    for (const listener of this.holdings) listener(held);
  }
  link(state: LinkState): void {
    this.state = state;
    for (const listener of this.states) listener(state);
  }
  get sequences(): number[][] {
    return this.batches.map((batch) => batch.entries.map((entry) => entry.sequence));
  }
}

export const HUB_EPOCH = "aaaaaaaaaaaaaaaa" as Epoch;
const DIGEST_CHARACTERS = 64;
/** A card's token in a journal: a digest of this name. */
export const tokenOf = (card: string): string => Buffer.from(card).toString("hex").padEnd(DIGEST_CHARACTERS, "0");
const cardOf = (card: string): NonNullable<EntryOf<"decision">["card"]> => ({
  entryMode: "chip",
  maskedPan: "476173******0010",
  cardToken: tokenOf(card),
  aid: "a0000000031010",
  label: "VISA",
  cryptogramType: "TC",
  iccData: "9f2701",
});

/** An approved offline sale of 1.00, by this card where one is named. */
export const advice = (payment: string, { ciphertext = "BBBB", card = "" } = {}): NewEntry => ({
  forward: true,
  sealed: { keyId: "hub-1", enc: "AAAA", ciphertext },
  body: {
    kind: "decision",
    paymentId: payment as PaymentId,
    at: "2026-01-05T09:00:00.000Z",
    outcome: "approved",
    mode: "offline",
    operation: "purchase",
    amount: { minor: "100", currency: "EUR" as never },
    attempts: [],
    businessDate: "2026-01-05",
    ...(card === "" ? {} : { card: cardOf(card) }),
  },
});
