/** The only queue: it has a limit, and says what happens at it. */
import { abortFault } from "./clock.ts";
import { Fault } from "./fault.ts";

/** `refuse` throws at the pusher; `shed-oldest` drops the oldest and counts it. */
export type FullPolicy = "refuse" | "shed-oldest";

export class BoundedQueue<T> {
  readonly #limit: number;
  readonly #policy: FullPolicy;
  #items: T[] = [];
  #waiter: ((item: T) => void) | undefined;
  /** How many items were shed since the start. */
  shed = 0;

  constructor(limit: number, policy: FullPolicy) {
    this.#limit = limit;
    this.#policy = policy;
  }

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#waiter) {
      const waiter = this.#waiter;
      this.#waiter = undefined;
      waiter(item);
      return;
    }
    if (this.#items.length >= this.#limit) {
      if (this.#policy === "refuse") throw new Fault("queue.full", `the queue holds its limit of ${this.#limit}`);
      this.#items.shift();
      this.shed += 1;
    }
    this.#items.push(item);
  }

  shift(): T | undefined {
    return this.#items.shift();
  }

  clear(): void {
    this.#items = [];
  }

  /** The next item, waiting for one. One waiter at a time. */
  next(signal: AbortSignal): Promise<T> {
    const ready = this.#items.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#waiter) throw new Fault("device.busy", "somebody already waits on this queue");
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(abortFault(signal));
      const onAbort = () => {
        this.#waiter = undefined;
        reject(abortFault(signal));
      };
      this.#waiter = (item) => {
        signal.removeEventListener("abort", onAbort);
        resolve(item);
      };
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}
