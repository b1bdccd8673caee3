/** Server-sent events: every listener is bounded, and one that does not read is dropped rather than waited for. */
import type { ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";

export const CLIENTS_MAX = 16;
/** Bytes that one client may leave unread. */
export const CLIENT_BYTES_MAX = 262_144;
export const HEARTBEAT_MS = 15_000;

/** The part of a response that is written to. */
export type EventSink = Pick<ServerResponse, "write" | "end" | "destroy" | "writableLength" | "on">;

export class EventStream implements Disposable {
  readonly #clock: Clock;
  readonly #clients = new Map<EventSink, () => void>();
  /** Clients dropped as too slow since the start. */
  dropped = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** False when there is no room for another one. */
  add(sink: EventSink): boolean {
    if (this.#clients.size >= CLIENTS_MAX) return false;
    let cancel: () => void = () => undefined;
    const beat = () => {
      cancel = this.#clock.after(HEARTBEAT_MS, beat);
      this.#write(sink, ": heartbeat\n\n");
    };
    cancel = this.#clock.after(HEARTBEAT_MS, beat);
    this.#clients.set(sink, () => cancel());
    sink.on("close", () => this.#remove(sink));
    sink.on("error", () => this.#remove(sink));
    sink.write(": tillway events\n\n");
    return true;
  }

  send(type: string, data: unknown): void {
    if (this.#clients.size === 0) return;
    const text = `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const sink of [...this.#clients.keys()]) this.#write(sink, text);
  }

  [Symbol.dispose](): void {
    for (const sink of [...this.#clients.keys()]) {
      this.#remove(sink);
      sink.end();
    }
  }

  #write(sink: EventSink, text: string): void {
    if (sink.writableLength > CLIENT_BYTES_MAX) {
      this.dropped += 1;
      this.#remove(sink);
      sink.destroy();
      return;
    }
    sink.write(text);
  }

  #remove(sink: EventSink): void {
    this.#clients.get(sink)?.();
    this.#clients.delete(sink);
  }
}
