/**
 * The store-and-forward queue: the state of each entry that the hub is told, and its sealed card data until the
 * receipt. Every change of a state goes through the pure machine. All writes here run inside the journal's transactions.
 *
 * Sealed bytes are overwritten in place by as many zeros, and stay: where rows shrink or go, SQLite moves others between
 * its pages, and copies of them were seen to stay in the gaps that leaves, whatever `secure_delete` says (RM5).
 */
import { assert } from "../../base/assert.ts";
import { toHex } from "../../base/bytes.ts";
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import { readSealedText } from "../../wire/card-data.ts";
import { type SafEvent, type SafState, safStep } from "../saf/saf-machine.ts";
import { amountOf, readBody, toEntry } from "./entry-rows.ts";
import type { Backlog, ForwardableEntry, Outstanding, QueueEntry, QueueFilter, QueueState } from "./journal.ts";
import {
  type ForwardRow,
  type ListRow,
  prepareQueue,
  type QueueStatements,
  type StateRow,
} from "./queue-statements.ts";

export const QUEUE_LIST_MAX = 1_000;

const NOTHING = { depth: 0, heldCount: 0, heldMinor: 0n, queued: false, erased: false, floor: 0 };

export class QueueStore {
  readonly #sql: QueueStatements;
  #depth: number;
  #heldCount: number;
  #heldMinor: bigint;
  /** No open entry lies below this sequence. */
  #floor: number;
  /** What this transaction changes in the counts above; they follow only when it is on disk. */
  #pending = NOTHING;

  /** `floor` may be too low, never too high. */
  constructor(database: Sqlite, floor: number) {
    this.#sql = prepareQueue(database);
    this.#floor = this.#sql.oldest.get(floor)?.sequence ?? floor;
    const totals = this.#sql.totals.get(this.#floor);
    this.#depth = Number(totals?.depth ?? 0n);
    this.#heldCount = Number(totals?.count ?? 0n);
    this.#heldMinor = totals?.minor ?? 0n;
  }

  get floor(): number {
    return this.#floor;
  }

  begun(): void {
    this.#pending = NOTHING;
  }

  committed(): { readonly queued: boolean; readonly erased: boolean } {
    const { depth, heldCount, heldMinor, queued, erased, floor } = this.#pending;
    this.#depth += depth;
    this.#heldCount += heldCount;
    this.#heldMinor += heldMinor;
    this.#floor = Math.max(this.#floor, floor);
    return { queued, erased };
  }

  /** An entry was added that the hub is to be told; `held`: minor units that it holds against the lease (RM8). */
  added(held: number | undefined): void {
    this.#count(1, held ?? null);
  }

  /** Those of `sequences` that may leave now. */
  markForwarding(sequences: readonly number[]): readonly number[] {
    return sequences.filter((sequence) => {
      const row = this.#sql.find.get(sequence);
      return row !== undefined && this.#step(row, { on: "send" });
    });
  }

  /** Whether the entry was there, open and voided; else the state that it is in. */
  void(target: { sequence: number; forward: number; paymentId: PaymentId }): "done" | QueueState | "not-found" {
    const row = this.#sql.find.get(target.sequence);
    const listed = this.#sql.one.get(target.sequence);
    if (!row || row.payment_id !== target.paymentId || listed?.forward !== target.forward) return "not-found";
    if (readBody(listed).kind !== "decision") return "not-found";
    return this.#step(row, { on: "void" }) ? "done" : row.state;
  }

  settle(results: readonly EntryReceipt[]): { readonly settled: readonly QueueEntry[]; readonly unknown: number } {
    const settled: QueueEntry[] = [];
    let unknown = 0;
    for (const receipt of results) {
      const row = this.#sql.find.get(receipt.sequence);
      if (!row || toHex(row.hash) !== receipt.hash || row.state === "voided") {
        unknown += 1;
        continue;
      }
      if (!this.#step(row, { on: "receipt", status: receipt.status }, receipt)) continue;
      const listed = this.#sql.one.get(receipt.sequence);
      if (listed) settled.push(toQueueEntry(listed));
    }
    const last = settled.at(-1);
    if (last) this.#raiseFloor(last.sequence + 1);
    return { settled, unknown };
  }

  /** To the oldest open entry; `none` when there is none. */
  #raiseFloor(none: number): void {
    const oldest = this.#sql.oldest.get(this.#floor);
    this.#pending = { ...this.#pending, floor: oldest?.sequence ?? none };
  }

  outstanding(): Outstanding {
    const oldest = this.#heldCount === 0 ? undefined : this.#oldestAt(this.#sql.oldestHeld);
    const sums = { count: this.#heldCount, minor: this.#heldMinor };
    return oldest === undefined ? sums : { ...sums, oldestAt: oldest };
  }

  backlog(): Backlog {
    const oldest = this.#depth === 0 ? undefined : this.#oldestAt(this.#sql.oldest);
    return oldest === undefined ? { depth: this.#depth } : { depth: this.#depth, oldestAt: oldest };
  }

  list(filter: QueueFilter): readonly QueueEntry[] {
    const limit = Math.min(filter.limit ?? QUEUE_LIST_MAX, QUEUE_LIST_MAX);
    return this.#rows(filter, limit).map(toQueueEntry).reverse();
  }

  nextToForward(limit: number, except: ReadonlySet<number>): readonly ForwardableEntry[] {
    // What is on its way has been marked, so only rows of that state can be among the exceptions.
    const underWay = this.#sql.forwarding
      .all(this.#floor, limit + except.size)
      .filter((row) => !except.has(row.sequence));
    const rows = underWay.slice(0, limit);
    if (rows.length < limit) rows.push(...this.#sql.eligible.all(this.#floor, limit - rows.length));
    return rows.map(toForwardable);
  }

  #rows(filter: QueueFilter, limit: number): readonly ListRow[] {
    if (filter.paymentId !== undefined) {
      const rows = this.#sql.ofPayment.all(filter.paymentId);
      return rows.filter((row) => filter.state === undefined || row.state === filter.state).slice(0, limit);
    }
    switch (filter.state) {
      case undefined:
        return this.#sql.newest.all(limit);
      case "eligible":
        return this.#sql.newestEligible.all(this.#floor, limit);
      case "quarantined":
        return this.#sql.newestQuarantined.all(limit);
      default:
        return this.#sql.newestIn.all(filter.state, limit);
    }
  }

  #oldestAt(statement: QueueStatements["oldest"]): string | undefined {
    const oldest = statement.get(this.#floor);
    return oldest && readBody(oldest).at;
  }

  /** Moves the row if the machine does; says whether it did. */
  #step(row: StateRow, event: SafEvent, receipt?: EntryReceipt): boolean {
    const before = stateOf(row);
    const { state: after, effects } = safStep(before, event);
    if (after === before) return false;
    const attempts = after.at === "forwarding" ? after.attempts : row.attempts;
    this.#sql.move.run(row.sequence, after.at, attempts, receipt?.reason ?? null, receipt?.detail ?? null);
    if (after.at !== "forwarding") this.#count(-1, row.held);
    if (effects.some((effect) => effect.do === "erase-sealed")) this.#sql.overwrite.run(row.sequence);
    return true;
  }

  #count(entries: 1 | -1, held: number | null): void {
    const { depth, heldCount, heldMinor, queued, erased, floor } = this.#pending;
    this.#pending = {
      floor,
      depth: depth + entries,
      heldCount: held === null ? heldCount : heldCount + entries,
      heldMinor: held === null ? heldMinor : heldMinor + BigInt(entries * held),
      queued: queued || entries > 0,
      erased: erased || entries < 0,
    };
  }
}

function stateOf(row: StateRow): SafState {
  if (row.state === "forwarding") return { at: "forwarding", attempts: row.attempts };
  return { at: row.state };
}

function toQueueEntry(row: ListRow): QueueEntry {
  const body = readBody(row);
  const amount = amountOf(body);
  return {
    sequence: row.sequence,
    forward: row.forward,
    paymentId: body.paymentId,
    kind: body.kind,
    state: row.state,
    attempts: row.attempts,
    at: body.at,
    ...(amount === undefined ? {} : { amount }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.detail === null ? {} : { detail: row.detail }),
  };
}

function toForwardable(row: ForwardRow): ForwardableEntry {
  const entry = toEntry(row);
  assert(entry.sealedDigest === undefined || row.sealed !== null, `sealed data of waiting entry ${row.sequence}`);
  if (row.sealed === null) return entry;
  return { ...entry, sealed: readSealedText(Buffer.from(row.sealed).toString("utf8")) };
}
