/**
 * Which terminals are connected, as far as their presence tells: each replica hears every presence beside what it takes from
 * the streams. A terminal says it at least once a minute, and its Last Will that it has gone.
 */
import type { Clock } from "../../base/clock.ts";
import type { TerminalId } from "../../base/ids.ts";
import type { Presence } from "../../wire/terminal.ts";

/** Two presences and a half. */
const SILENT_MAX_MS = 150_000;
/** The one not heard for longest is forgotten at the limit. */
const TERMINALS_MAX = 1_000_000;

export class ConnectedTerminals {
  readonly #clock: Clock;
  /** When each was last heard, oldest first. */
  readonly #heard = new Map<TerminalId, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hear(terminalId: TerminalId, status: Presence["status"]): void {
    this.#heard.delete(terminalId);
    if (status !== "offline") this.#heard.set(terminalId, this.#clock.monotonic());
    const [oldest] = this.#heard.keys();
    if (this.#heard.size > TERMINALS_MAX && oldest !== undefined) this.#heard.delete(oldest);
  }

  has(terminalId: TerminalId): boolean {
    this.#forgetSilent();
    return this.#heard.has(terminalId);
  }

  list(): readonly TerminalId[] {
    this.#forgetSilent();
    return [...this.#heard.keys()];
  }

  get count(): number {
    this.#forgetSilent();
    return this.#heard.size;
  }

  #forgetSilent(): void {
    const since = this.#clock.monotonic() - SILENT_MAX_MS;
    for (const [terminalId, heardAt] of this.#heard) {
      if (heardAt >= since) return;
      this.#heard.delete(terminalId);
    }
  }
}
