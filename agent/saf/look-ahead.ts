/**
 * The next entries of the queue, read ahead of their sending: those whose account has an earlier entry under way stay in here,
 * and entries of other accounts move past them.
 */
import { BATCH_ENTRIES_MAX } from "../../wire/advice.ts";
import type { ForwardableEntry } from "../journal/journal.ts";
import { charactersOf } from "./forward-batch.ts";
import type { Underway } from "./underway.ts";

/** Characters of one batch, so that it fits well into `MESSAGE_BYTES_MAX` with its quotes escaped. */
export const BATCH_CHARACTERS_MAX = 300_000;
/** Entries that wait for one of their account while others move past them; more, and the rest of the queue waits too. */
export const LOOK_AHEAD_MAX = 2_000;
/** How many entries are read at one time. */
const READ_ENTRIES = 4 * BATCH_ENTRIES_MAX;

export type ReadQueue = (limit: number, after: number) => readonly ForwardableEntry[];

export class LookAhead {
  readonly #read: ReadQueue;
  readonly #underway: Underway;
  /** In order of sequence; none of them is under way. */
  #entries: ForwardableEntry[] = [];
  /** Everything up to this sequence was read. */
  #cursor = 0;
  /** There was nothing behind the cursor when it was last read. */
  #atEnd = false;

  constructor(read: ReadQueue, underway: Underway) {
    this.#read = read;
    this.#underway = underway;
  }

  /** The queue has new entries behind all others. */
  grown(): void {
    this.#atEnd = false;
  }

  /** Reads again from this sequence on: it, or one after it, came to wait anew. */
  rereadFrom(sequence: number): void {
    this.#atEnd = false;
    if (sequence > this.#cursor) return;
    this.#cursor = sequence - 1;
    this.#entries = this.#entries.filter((entry) => entry.sequence < sequence);
  }

  drop(sequence: number): void {
    this.#entries = this.#entries.filter((entry) => entry.sequence !== sequence);
  }

  /** The entries of the next batch, oldest first, each in the order of its account; none when nothing may leave. */
  take(): readonly ForwardableEntry[] {
    const taken = new Set<ForwardableEntry>();
    /** Accounts of entries that must stay: no later one of theirs may pass them. */
    const held = new Set<string>();
    let characters = 0;
    for (let at = 0; taken.size < BATCH_ENTRIES_MAX; at += 1) {
      if (at === this.#entries.length && !this.#readMore()) break;
      const entry = this.#entries[at];
      if (entry === undefined) break;
      if (entry.accounts.some((account) => held.has(account)) || this.#underway.isBehind(entry)) {
        for (const account of entry.accounts) held.add(account);
        continue;
      }
      characters += charactersOf(entry);
      if (taken.size > 0 && characters > BATCH_CHARACTERS_MAX) break;
      taken.add(entry);
    }
    if (taken.size > 0) this.#entries = this.#entries.filter((entry) => !taken.has(entry));
    return [...taken];
  }

  /** Whether there was more that is not under way. */
  #readMore(): boolean {
    const known = this.#entries.length;
    if (known >= LOOK_AHEAD_MAX) return false;
    while (this.#entries.length === known) {
      if (this.#atEnd) return false;
      const next = this.#read(READ_ENTRIES, this.#cursor);
      const last = next.at(-1);
      this.#atEnd = next.length < READ_ENTRIES;
      if (last === undefined) return false;
      this.#cursor = last.sequence;
      for (const entry of next) if (this.#underway.batchOf(entry.sequence) === undefined) this.#entries.push(entry);
    }
    return true;
  }
}
