/** What every uplink tells its listeners: messages from the hub, and whether it is up. */
import { abortFault } from "../../base/clock.ts";
import type { DownEnvelope } from "../../wire/envelope.ts";
import type { LinkState } from "./uplink.ts";

export type MessageListener = (envelope: DownEnvelope) => void;
export type StateListener = (state: LinkState, why: string) => void;

export class LinkEvents {
  readonly #messages = new Set<MessageListener>();
  readonly #states = new Set<StateListener>();
  #state: LinkState = "down";
  #why = "not connected yet";

  get state(): LinkState {
    return this.#state;
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
  set(state: LinkState, why: string): void {
    if (state === this.#state) this.#why = why;
    else this.announce(state, why);
  }
  /** Tells even when the state is the same: another way to the hub took over. */
  announce(state: LinkState, why: string): void {
    this.#state = state;
    this.#why = why;
    for (const listener of [...this.#states]) listener(state, why);
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
