/** What every uplink tells its listeners: messages from the hub, and whether it is up. */
import { abortFault } from "../../base/clock.ts";
import type { DownEnvelope } from "../../wire/envelope.ts";
import type { LinkState } from "./uplink.ts";

export type MessageListener = (envelope: DownEnvelope) => void;
export type StateListener = (state: LinkState, why: string) => void;

/** How far a link reaches: `advices-only` is `down` for everybody else. */
export type Reach = LinkState | "advices-only";

export class LinkEvents {
  readonly #messages = new Set<MessageListener>();
  readonly #states = new Set<StateListener>();
  #reach: Reach = "down";
  #why = "not connected yet";

  get state(): LinkState {
    return this.#reach === "up" ? "up" : "down";
  }
  get advicesOnly(): boolean {
    return this.#reach === "advices-only";
  }
  get why(): string {
    return this.#why;
  }

  onMessage(listener: MessageListener): () => void {
    this.#messages.add(listener);
    return () => this.#messages.delete(listener);
  }
  onState(listener: StateListener): () => void {
    this.#states.add(listener);
    return () => this.#states.delete(listener);
  }

  deliver(envelope: DownEnvelope): void {
    for (const listener of [...this.#messages]) listener(envelope);
  }
  /** Tells of a change; the same state again only updates the reason. */
  set(reach: Reach, why: string): void {
    if (reach === this.#reach) this.#why = why;
    else this.announce(reach, why);
  }
  /** Tells even when the state is the same: another way to the hub took over. */
  announce(reach: Reach, why: string): void {
    this.#reach = reach;
    this.#why = why;
    for (const listener of [...this.#states]) listener(this.state, why);
  }
}

/** Waits until the link is in that state. Throws Fault `aborted` when the signal ends the wait. */
export function untilState(
  link: { readonly state: LinkState; onState(listener: (state: LinkState) => void): () => void },
  wanted: LinkState,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortFault(signal));
    if (link.state === wanted) return resolve();
    const end = () => {
      stop();
      signal.removeEventListener("abort", onAbort);
    };
    const onAbort = () => {
      end();
      reject(abortFault(signal));
    };
    const stop = link.onState((state) => {
      if (state !== wanted) return;
      end();
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
