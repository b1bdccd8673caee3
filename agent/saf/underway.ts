/**
 * What is on its way to the hub, in flight or resting, and whose money it moves: an entry is not sent while an earlier one of
 * its account is under way in another batch. So one bad entry holds up its own account, and no other.
 */
import type { ForwardableEntry } from "../journal/journal.ts";
import { charactersOf, type ForwardBatch } from "./forward-batch.ts";

export class Underway {
  readonly #batches = new Map<number, ForwardBatch>();
  /** For each account, the sequences of its entries under way: few, as most wait for the first of them. */
  readonly #accounts = new Map<string, Set<number>>();
  /** Of all that is under way: the memory that it takes. */
  characters = 0;

  get size(): number {
    return this.#batches.size;
  }

  batchOf(sequence: number): ForwardBatch | undefined {
    return this.#batches.get(sequence);
  }

  add(entry: ForwardableEntry, batch: ForwardBatch): void {
    if (!this.#batches.has(entry.sequence)) this.characters += charactersOf(entry);
    this.#batches.set(entry.sequence, batch);
    for (const account of entry.accounts) {
      const sequences = this.#accounts.get(account);
      if (sequences) sequences.add(entry.sequence);
      else this.#accounts.set(account, new Set([entry.sequence]));
    }
  }

  remove(entry: ForwardableEntry): void {
    if (!this.#batches.delete(entry.sequence)) return;
    this.characters -= charactersOf(entry);
    for (const account of entry.accounts) {
      const sequences = this.#accounts.get(account);
      sequences?.delete(entry.sequence);
      if (sequences?.size === 0) this.#accounts.delete(account);
    }
  }

  clear(): void {
    this.#batches.clear();
    this.#accounts.clear();
    this.characters = 0;
  }

  /** Whether an earlier entry of one of its accounts is under way, in another batch than `own`. */
  isBehind(entry: ForwardableEntry, own?: ForwardBatch): boolean {
    for (const account of entry.accounts) {
      for (const sequence of this.#accounts.get(account) ?? []) {
        if (sequence < entry.sequence && this.#batches.get(sequence) !== own) return true;
      }
    }
    return false;
  }
}
