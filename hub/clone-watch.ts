/**
 * Tells a terminal that came back from a second box with the same identity, by what their connections do.
 *
 * A terminal has one connection, and gives the old one up before it makes the next: what had left it on the old one may still
 * arrive for a moment, and then that one is silent for ever. So an older connection stays open beside the newer one for
 * `WATCH_MS`, which is longer than a terminal that lives goes without a word (its keep-alive is 15 s). When it says something
 * later than `SETTLED_MS` after the newer one came, two boxes are alive: that is a clone, and it is named. When it stays
 * silent, the line had been lost half-way, and it is closed. Either way the newer connection serves from its first moment and
 * nobody is locked out: which of two boxes is the thief's is for a person to say.
 *
 * Two copies that take turns, or of which one speaks over HTTPS, are not seen here. Their journals contradict each other
 * (core/ingest/findings.ts), and the first renewal closes the certificate of the other.
 */
import type { Clock } from "../base/clock.ts";
import type { TerminalId } from "../base/ids.ts";

export const SETTLED_MS = 5_000;
export const WATCH_MS = 25_000;

export interface CloneWatchOptions<Connection> {
  readonly clock: Clock;
  /** An older connection has nothing more to say, or has said too much. */
  close(connection: Connection): void;
  onClone(terminalId: TerminalId): void;
}

interface Older<Connection> {
  readonly connection: Connection;
  readonly terminalId: TerminalId;
  readonly since: number;
  cancel(): void;
}

export class CloneWatch<Connection extends object> {
  readonly #options: CloneWatchOptions<Connection>;
  /** One for each terminal at most: a third connection ends the wait for the first. */
  readonly #older = new Map<TerminalId, Older<Connection>>();

  constructor(options: CloneWatchOptions<Connection>) {
    this.#options = options;
  }

  /** A newer connection of this terminal has taken the place of this one. */
  followed(terminalId: TerminalId, connection: Connection): void {
    const { clock } = this.#options;
    this.#end(this.#older.get(terminalId));
    const cancel = clock.after(WATCH_MS, () => this.#end(this.#older.get(terminalId)));
    this.#older.set(terminalId, { connection, terminalId, since: clock.monotonic(), cancel });
  }

  /** Bytes came on a connection of this terminal. */
  spoke(terminalId: TerminalId, connection: Connection): void {
    const older = this.#older.get(terminalId);
    if (older?.connection !== connection) return;
    if (this.#options.clock.monotonic() - older.since < SETTLED_MS) return;
    this.#options.onClone(terminalId);
    this.#end(older);
  }

  closed(terminalId: TerminalId, connection: Connection): void {
    const older = this.#older.get(terminalId);
    if (older?.connection !== connection) return;
    older.cancel();
    this.#older.delete(terminalId);
  }

  #end(older: Older<Connection> | undefined): void {
    if (!older) return;
    this.closed(older.terminalId, older.connection);
    this.#options.close(older.connection);
  }

  [Symbol.dispose](): void {
    for (const older of [...this.#older.values()]) this.closed(older.terminalId, older.connection);
  }
}
