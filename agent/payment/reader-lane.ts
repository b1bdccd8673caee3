/** One customer at a time: whoever waits for a card gets the reader in the order of asking, whatever the reader does meanwhile. */
import { abortFault } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import type { CardReader, CardSession } from "../../drivers/capability.ts";
import { deviceChange } from "../devices/device-change.ts";
import type { Devices } from "../devices/devices.ts";

/** Calls `then` once the answer to the till has left: whatever else a sale has to do would compete with it for the cores. */
export type AnswerFirst = (then: () => void) => void;

export class ReaderLane {
  readonly #devices: Devices;
  readonly #answerFirst: AnswerFirst;
  #lane: Promise<unknown> = Promise.resolve();

  constructor(devices: Devices, answerFirst: AnswerFirst) {
    this.#devices = devices;
    this.#answerFirst = answerFirst;
  }

  /**
   * Lends the next card to `work`, which has the reader to itself. A reader that is absent or lost while waiting is waited
   * for; `seen` is called when there is one. Throws the signal's Fault when it aborts first, also while others still have
   * the reader. The result does not wait for the card's release, which takes the reader a while; the next customer does.
   */
  withCard<T>(signal: AbortSignal, seen: () => void, work: (session: CardSession) => Promise<T>): Promise<T> {
    if (signal.aborted) return Promise.reject(abortFault(signal));
    if (this.#devices.lend("card-reader")) seen();
    const result = Promise.withResolvers<T>();
    const onAbort = () => result.reject(abortFault(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    const turn = async (): Promise<void> => {
      // From here on the wait for the card ends by the signal, and work with a card does not.
      signal.removeEventListener("abort", onAbort);
      await using session = await this.#await(signal, seen);
      await work(session).then(result.resolve, result.reject);
      await new Promise<void>(this.#answerFirst);
    };
    this.#lane = this.#lane.then(turn).catch(result.reject);
    return result.promise;
  }

  async #await(signal: AbortSignal, seen: () => void): Promise<CardSession> {
    for (;;) {
      if (signal.aborted) throw abortFault(signal);
      const reader = this.#devices.lend("card-reader");
      if (!reader) {
        await deviceChange(this.#devices, signal);
        continue;
      }
      seen();
      const session = await takeCard(reader, signal);
      if (session) return session;
      await this.#changedFrom(reader, signal);
    }
  }

  /** A reader that failed is not asked again before the device manager has replaced it. */
  async #changedFrom(reader: CardReader, signal: AbortSignal): Promise<void> {
    while (this.#devices.lend("card-reader") === reader) await deviceChange(this.#devices, signal);
  }
}

/** The card, or undefined when the reader failed under us. */
async function takeCard(reader: CardReader, signal: AbortSignal): Promise<CardSession | undefined> {
  try {
    return await reader.awaitCard(signal);
  } catch (error) {
    if (signal.aborted) throw abortFault(signal);
    if (isFault(error)) return undefined;
    throw error;
  }
}
