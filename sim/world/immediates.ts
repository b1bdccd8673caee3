/**
 * Makes "nothing is left to do at this instant" exact. While a world runs, `setImmediate` is its own queue: one callback
 * a turn of the real event loop, in the order asked for, and one turn drains every micro-task and tick that it led to.
 * So the world is quiet when a turn has passed and the queue is empty; nothing is guessed, and no turn is wasted.
 */
import { promisify } from "node:util";
import { assert } from "../../base/assert.ts";

type Callback = () => void;

const realSetImmediate = globalThis.setImmediate;
const realClearImmediate = globalThis.clearImmediate;

/** The real one: after it, all micro-tasks have run. */
export const nextTurn = (callback: Callback): void => void realSetImmediate(callback);

/** What `setImmediate` gives back while a world runs. */
class QueuedImmediate {
  callback: Callback | undefined;

  constructor(callback: Callback) {
    this.callback = callback;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  [Symbol.dispose](): void {
    this.callback = undefined;
  }
}

/** Node runs one world at a time: the queue belongs to the process, as `setImmediate` does. */
let inUse = false;

export class Immediates implements Disposable {
  #queue: QueuedImmediate[] = [];
  #first = 0;

  /** From here until it is disposed of, everyone's `setImmediate` comes here. */
  constructor() {
    assert(!inUse, "only one world of a process can run at a time");
    inUse = true;
    const queue = (callback: (...values: unknown[]) => void, ...values: unknown[]) => {
      const immediate = new QueuedImmediate(() => callback(...values));
      this.#queue.push(immediate);
      return immediate;
    };
    const promised = <T>(value: T) => new Promise<T>((resolve) => queue(() => resolve(value)));
    globalThis.setImmediate = Object.assign(queue, { [promisify.custom]: promised }) as unknown as typeof setImmediate;
    globalThis.clearImmediate = (immediate) => {
      if (immediate instanceof QueuedImmediate) immediate.callback = undefined;
      else realClearImmediate(immediate);
    };
  }

  /** Calls the one that waits longest; false when none does. */
  runOne(): boolean {
    while (this.#first < this.#queue.length) {
      const immediate = this.#queue[this.#first];
      this.#first += 1;
      if (!immediate?.callback) continue;
      immediate.callback();
      return true;
    }
    if (this.#first > 0) {
      this.#queue = [];
      this.#first = 0;
    }
    return false;
  }

  /** Gives `setImmediate` back to Node. Something waits only in a world that failed, and goes with it. */
  [Symbol.dispose](): void {
    globalThis.setImmediate = realSetImmediate;
    globalThis.clearImmediate = realClearImmediate;
    inUse = false;
    this.#queue = [];
    this.#first = 0;
  }
}
