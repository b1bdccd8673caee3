/** What happened, as one running SHA-256 that two runs of a seed must share, and the newest lines for a report. */
import { createHash } from "node:crypto";

/** How many of the newest lines are kept for a report. */
export const TRACE_TAIL_LINES = 2_000;
/** Lines wait up to this many characters before they are hashed: one call for many lines is much cheaper. */
const UNHASHED_CHARACTERS_MAX = 65_536;

export interface TraceOptions {
  /** Simulated milliseconds since the world began. */
  readonly now: () => number;
  /** Takes out what differs from run to run, such as the folder of the disks. */
  readonly canonical?: (line: string) => string;
}

export class Trace {
  readonly #options: TraceOptions;
  readonly #hash = createHash("sha256");
  readonly #tail: string[] = [];
  #oldest = 0;
  #unhashed = "";
  #events = 0;

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  /** One event. `text` must be canonical: the same for the same event in every run. */
  record(name: string, text = ""): void {
    const { now, canonical } = this.#options;
    const written = `${now()} ${name} ${text}`;
    const line = canonical ? canonical(written) : written;
    this.#events += 1;
    this.#unhashed += `${line}\n`;
    if (this.#unhashed.length >= UNHASHED_CHARACTERS_MAX) this.#flush();
    if (this.#tail.length < TRACE_TAIL_LINES) this.#tail.push(line);
    else {
      this.#tail[this.#oldest] = line;
      this.#oldest = (this.#oldest + 1) % TRACE_TAIL_LINES;
    }
  }

  get events(): number {
    return this.#events;
  }

  /** Over all events so far, as 64 hex digits. */
  hash(): string {
    this.#flush();
    return this.#hash.copy().digest("hex");
  }

  /** The newest lines, oldest first. */
  tail(lines = TRACE_TAIL_LINES): readonly string[] {
    const all = [...this.#tail.slice(this.#oldest), ...this.#tail.slice(0, this.#oldest)];
    return all.slice(Math.max(all.length - lines, 0));
  }

  #flush(): void {
    this.#hash.update(this.#unhashed);
    this.#unhashed = "";
  }
}
