/**
 * The store-and-forward queue: the state of each entry that the hub is told, and its sealed card data until the
 * receipt. Every change of a state goes through the pure machine. All writes here run inside the journal's transactions.
 *
 * Sealed bytes are overwritten in place by as many zeros, and stay: where rows shrink or go, SQLite moves others between
 * its pages, and copies of them were seen to stay in the gaps that leaves, whatever `secure_delete` says (RM5).
 */
import { toHex } from "../../base/bytes.ts";
import type { PaymentId } from "../../base/ids.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import type { EntryReceipt } from "../../wire/advice.ts";
import { readSealedText } from "../../wire/card-data.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { parseJson } from "../../wire/signing.ts";
import { accountsIn, payerIn } from "../saf/accounts.ts";
import { type SafEvent, safStep } from "../saf/saf-machine.ts";
import { amountOf, readBody, toStored } from "./entry-rows.ts";
import type {
  Backlog,
  ForwardableEntry,
  Outstanding,
  QueueEntry,
  QueueFilter,
  QueueState,
  SettledEntry,
} from "./journal.ts";
import { type Counted, type Held, QueueCounts } from "./queue-counts.ts";
import {
  type ForwardRow,
  type ListRow,
  type OldestRow,
  prepareQueue,
  type QueueStatements,
  type StateRow,
} from "./queue-statements.ts";

export const QUEUE_LIST_MAX = 1_000;
/** How many entries one commit looks at while the hub is told again what it lost (RM18). */
export const RESEND_SLICE = 500;

/** What a transaction changes; it counts only when it is on disk. */
interface Pending {
  readonly counted: (readonly [Counted, 1 | -1])[];
  /** By so many more entries are open than before. */
  opened: number;
  readonly reopened: number[];
  queued: boolean;
  erased: boolean;
  /** An entry came among the open ones, or left them, other than by being new. */
  moved: boolean;
  floor: number;
}

const nothing = (): Pending => ({
  counted: [],
  opened: 0,
  reopened: [],
  queued: false,
  erased: false,
  moved: false,
  floor: 0,
});

export class QueueStore {
  readonly #sql: QueueStatements;
  readonly #counts = new QueueCounts();
  /** No untouched entry lies below this sequence. */
  #floor: number;
  #pending = nothing();
  /** Of what holds against the lease, and asked for by every offline sale: new entries are never the oldest. */
  #oldestHeld: string | undefined;

  /** `floor` may be too low, never too high. */
  constructor(database: Sqlite, floor: number) {
    this.#sql = prepareQueue(database);
    this.#floor = this.#sql.oldestUntouched.get(floor)?.sequence ?? floor;
    for (const row of this.#sql.openStated.iterate()) this.#counts.add(countedOf(row), 1);
    for (const row of this.#sql.openUntouched.iterate(this.#floor)) this.#counts.add(countedOf(row), 1);
  }

  get floor(): number {
    return this.#floor;
  }

  begun(): void {
    this.#pending = nothing();
  }

  committed(): { readonly queued: boolean; readonly erased: boolean; readonly reopened: readonly number[] } {
    const { counted, floor, queued, erased, reopened, moved } = this.#pending;
    if (moved) this.#oldestHeld = undefined;
    for (const [entry, entries] of counted) this.#counts.add(entry, entries);
    this.#floor = Math.max(this.#floor, floor);
    return { queued, erased, reopened };
  }

  /** An entry was added that the hub is to be told; `held`: minor units that it holds against the lease (RM8). */
  added(sequence: number, entry: { readonly held: number | undefined; readonly payer: string | undefined }): void {
    // With nothing open before it, all that lies below is settled: no opening needs to read it again.
    if (this.#counts.depth + this.#pending.opened === 0) this.#pending.floor = sequence;
    this.#count({ held: entry.held ?? null, payer: entry.payer }, 1);
  }

  /** Those of `sequences` that may leave now. */
  markForwarding(sequences: readonly number[]): readonly number[] {
    const moves = new Moves();
    for (const row of this.#sql.rows.all(JSON.stringify(sequences))) this.#step(row, { on: "send" }, moves);
    this.#write(moves);
    this.#raiseFloor();
    return moves.sequences;
  }

  /** Whether the entry was there, and ended by this; else the state that it is in. */
  void(
    target: { readonly sequence: number; readonly forward: number; readonly paymentId: PaymentId },
    by: "void" | "cancel",
  ): "done" | QueueState | "not-found" {
    const row = this.#row(target.sequence);
    if (row?.payment_id !== target.paymentId || row.forward !== target.forward) return "not-found";
    return row.kind === "decision" ? this.#stepOne(row, { on: by }) : "not-found";
  }

  /** Whether the action applies to its target; a forced entry goes ahead of others, but stays in its state. */
  act({ action, targetSequence, paymentId }: EntryOf<"queue-action">): "done" | QueueState | "not-found" {
    const row = this.#row(targetSequence);
    if (row?.payment_id !== paymentId || action === "cancel") return "not-found";
    if (action === "retry") return this.#stepOne(row, { on: "retry" });
    return row.state === "eligible" || row.state === "forwarding" ? "done" : row.state;
  }

  settle(
    results: readonly EntryReceipt[],
    fresh: boolean,
  ): { readonly settled: readonly SettledEntry[]; readonly unknown: number } {
    const found = this.#sql.rows.all(JSON.stringify(results.map((receipt) => receipt.sequence)));
    const rows = new Map(found.map((row) => [row.sequence, row]));
    const moves = new Moves();
    const settled: SettledEntry[] = [];
    let unknown = 0;
    for (const receipt of results) {
      const row = rows.get(receipt.sequence);
      if (!row || toHex(row.hash) !== receipt.hash || row.state === "voided") {
        unknown += 1;
        continue;
      }
      const state = this.#step(row, { on: "receipt", status: receipt.status, fresh }, moves, receipt);
      if (state === undefined) continue;
      // The same entry once more in one receipt finds it settled.
      rows.set(row.sequence, { ...row, state });
      settled.push(settledOf(row, state, receipt));
      if (row.kind === "void" && state === "declined") this.#unvoid(receipt, moves);
    }
    this.#write(moves);
    this.#raiseFloor();
    return { settled, unknown };
  }

  /** Moves receipted entries above `forward` back among the open ones, one slice; says how far it came, and how many moved. */
  resend(forward: number): { readonly upTo: number; readonly moved: number; readonly more: boolean } {
    const rows = this.#sql.rowsFrom.all(this.#firstAbove(forward), RESEND_SLICE);
    const moves = new Moves();
    for (const row of rows) this.#step(row, { on: "resend" }, moves);
    this.#write(moves);
    return { upTo: rows.at(-1)?.forward ?? forward, moved: moves.sequences.length, more: rows.length === RESEND_SLICE };
  }

  resendOne(forward: number): boolean {
    const [row] = this.#sql.rowsFrom.all(this.#firstAbove(forward - 1), 1);
    return row?.forward === forward && this.#stepOne(row, { on: "resend" }) === "done";
  }

  outstanding(): Outstanding {
    const { count, minor } = this.#counts.held;
    if (count === 0) return { count, minor };
    this.#oldestHeld ??= atOf(this.#sql.oldestStatedHeld.get(), this.#sql.oldestUntouchedHeld.get(this.#floor));
    return this.#oldestHeld === undefined ? { count, minor } : { count, minor, oldestAt: this.#oldestHeld };
  }

  outstandingOf(payer: string): Held {
    return this.#counts.ofPayer(payer);
  }

  backlog(): Backlog {
    const { depth } = this.#counts;
    if (depth === 0) return { depth };
    const oldestAt = atOf(this.#sql.oldestStated.get(), this.#sql.oldestUntouched.get(this.#floor));
    return oldestAt === undefined ? { depth } : { depth, oldestAt };
  }

  get depth(): number {
    return this.#counts.depth;
  }

  list(filter: QueueFilter): readonly QueueEntry[] {
    const limit = Math.min(filter.limit ?? QUEUE_LIST_MAX, QUEUE_LIST_MAX);
    return this.#rows(filter, limit).map(toQueueEntry).reverse();
  }

  nextToForward(limit: number, after: number): readonly ForwardableEntry[] {
    const stated = this.#sql.nextStated.all(after + 1, limit);
    const untouched = this.#sql.nextUntouched.all(Math.max(after + 1, this.#floor), limit);
    const rows = stated.length === 0 ? untouched : [...stated, ...untouched].sort((a, b) => a.sequence - b.sequence);
    return rows.slice(0, limit).map(toForwardable);
  }

  waitingBefore(entry: ForwardableEntry): number | undefined {
    const payer = payerIn(entry.text);
    const find = { floor: this.#floor, before: entry.sequence, payment: entry.paymentId, payer: payer ?? null };
    const found = [this.#sql.statedOfAccount.get(find), this.#sql.untouchedOfAccount.get(find)];
    return found.flatMap((row) => row?.sequence ?? []).sort((a, b) => a - b)[0];
  }

  #rows(filter: QueueFilter, limit: number): readonly ListRow[] {
    const { state, paymentId, sequence } = filter;
    const fits = (row: ListRow) => state === undefined || row.state === state;
    if (sequence !== undefined) {
      const row = this.#sql.one.get(sequence);
      return row && fits(row) ? [row] : [];
    }
    if (paymentId !== undefined) return this.#sql.ofPayment.all(paymentId).filter(fits).slice(0, limit);
    switch (state) {
      case undefined:
        return this.#sql.newestAny.all(limit);
      case "eligible": {
        const rows = [...this.#sql.newestOpen.all(state, limit), ...this.#sql.newestUntouched.all(this.#floor, limit)];
        return rows.sort((a, b) => b.sequence - a.sequence).slice(0, limit);
      }
      case "forwarding":
        return this.#sql.newestOpen.all(state, limit);
      case "quarantined":
        return this.#sql.newestQuarantined.all(limit);
      default:
        return this.#sql.newestIn.all(state, limit);
    }
  }

  #row(sequence: number): StateRow | undefined {
    return this.#sql.rows.get(JSON.stringify([sequence]));
  }

  /** The first entry of the queue with a higher number than `forward`: numbers rise with sequences, so by halving. */
  #firstAbove(forward: number): number {
    let low = (this.#sql.archivedThrough.get() ?? 0) + 1;
    let high = (this.#sql.newest.get()?.sequence ?? 0) + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = this.#sql.firstQueuedFrom.get(middle);
      if (row === undefined || row.forward > forward) high = middle;
      else low = row.sequence + 1;
    }
    return low;
  }

  #stepOne(row: StateRow, event: SafEvent): "done" | QueueState {
    const moves = new Moves();
    if (this.#step(row, event, moves) === undefined) return row.state;
    this.#write(moves);
    this.#raiseFloor();
    return "done";
  }

  /** Notes down where the machine moves the row; undefined where it does not. */
  #step(row: StateRow, event: SafEvent, moves: Moves, receipt?: EntryReceipt): QueueState | undefined {
    const from = { at: row.state, attempts: row.attempts };
    const { state, effects } = safStep(from, event);
    if (state === from) return undefined;
    moves.add(row.sequence, state, receipt);
    if (effects.some((effect) => effect.do === "erase-sealed")) moves.erased.push(row.sequence);
    const [was, is] = [isOpen(row.state), isOpen(state.at)];
    if (was !== is) {
      this.#count(countedOf(row), is ? 1 : -1);
      this.#pending.moved = true;
    }
    if (is && !was) this.#pending.reopened.push(row.sequence);
    return state.at;
  }

  /** What the hub says of the void is what a person reads of its target. */
  #unvoid(receipt: EntryReceipt, moves: Moves): void {
    const target = this.#sql.voidedBy.get(receipt.sequence);
    if (target) this.#step(target, { on: "void-declined" }, moves, receipt);
  }

  #write({ groups, erased }: Moves): void {
    for (const { state, attempts, reason, detail, sequences } of groups.values())
      this.#sql.move.run(state, attempts, reason, detail, JSON.stringify(sequences));
    if (erased.length === 0) return;
    this.#sql.overwrite.run(JSON.stringify(erased));
    this.#pending.erased = true;
  }

  /** To the oldest untouched entry, or past them all. */
  #raiseFloor(): void {
    const oldest = this.#sql.oldestUntouched.get(this.#floor)?.sequence;
    this.#pending.floor = oldest ?? (this.#sql.newest.get()?.sequence ?? 0) + 1;
  }

  #count(entry: Counted, entries: 1 | -1): void {
    this.#pending.counted.push([entry, entries]);
    this.#pending.opened += entries;
    this.#pending.queued ||= entries > 0;
  }
}

interface MoveGroup {
  readonly state: QueueState;
  readonly attempts: number;
  readonly reason: string | null;
  readonly detail: string | null;
  readonly sequences: number[];
}

/** The moves of one call, gathered: rows that come to be alike are written by one statement, most often all of a batch. */
class Moves {
  readonly groups = new Map<string, MoveGroup>();
  readonly sequences: number[] = [];
  readonly erased: number[] = [];

  add(sequence: number, to: { readonly at: QueueState; readonly attempts: number }, receipt?: EntryReceipt): void {
    const { reason = null, detail = null } = receipt ?? {};
    const key = `${to.at}/${to.attempts}/${reason ?? ""}/${detail ?? ""}`;
    const group = this.groups.get(key);
    if (group) group.sequences.push(sequence);
    else this.groups.set(key, { state: to.at, attempts: to.attempts, reason, detail, sequences: [sequence] });
    this.sequences.push(sequence);
  }
}

const isOpen = (state: QueueState): boolean => state === "eligible" || state === "forwarding";

const countedOf = ({ held, heldText }: { held: number | null; heldText: string | null }): Counted => ({
  held,
  payer: heldText === null ? undefined : payerIn(heldText),
});

const settledOf = (row: StateRow, state: QueueState, { reason, detail }: EntryReceipt): SettledEntry => ({
  sequence: row.sequence,
  forward: row.forward,
  paymentId: row.payment_id,
  kind: row.kind,
  state,
  attempts: row.attempts,
  ...(reason === undefined ? {} : { reason }),
  ...(detail === undefined ? {} : { detail }),
});

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

/** As the hub gets it: the stored text to the byte. What it says was checked when it was written, and its hash goes with it. */
function toForwardable(row: ForwardRow): ForwardableEntry {
  const entry = { ...toStored(row), paymentId: row.payment_id };
  const accounts = accountsIn(entry);
  // Sealed data begin with the name of a key: a zero shows that they were erased after an earlier receipt (RM18).
  if (row.sealed === null || row.sealed[0] === 0) return { ...entry, accounts };
  return { ...entry, accounts, sealed: readSealedText(Buffer.from(row.sealed).toString("utf8")) };
}

/** When the older of two entries was made. */
function atOf(one: OldestRow | undefined, other: OldestRow | undefined): string | undefined {
  const oldest = one && other ? (one.sequence < other.sequence ? one : other) : (one ?? other);
  if (oldest === undefined) return undefined;
  // Only the time is wanted, of a text that this journal wrote.
  const { at } = parseJson(oldest.text) as { readonly at: string };
  return at;
}
