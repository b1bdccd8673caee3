/** Two ways to the hub that look like one: the preferred while it is up, the other while it is not. */
import { type Clock, deadline, eitherOf } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import { LinkEvents, type MessageListener, type StateListener, untilState } from "./link-events.ts";
import type { LinkState, RunningUplink, Uplink } from "./uplink.ts";

/** How long the preferred way may be down before the other is tried. */
export const FALLBACK_AFTER_MS = 3_000;

export interface PreferringOptions {
  readonly preferred: RunningUplink;
  readonly fallback: RunningUplink;
  readonly clock: Clock;
  readonly log: Log;
}

export class PreferringUplink implements RunningUplink {
  readonly #options: PreferringOptions;
  readonly #events = new LinkEvents();
  readonly #unsubscribe: readonly (() => void)[];
  #active: Uplink | undefined;

  constructor(options: PreferringOptions) {
    this.#options = options;
    const { preferred, fallback } = options;
    const deliver: MessageListener = (envelope) => this.#events.deliver(envelope);
    const choose: StateListener = (_state, why) => this.#choose(why);
    this.#unsubscribe = [preferred, fallback].flatMap((way) => [way.onMessage(deliver), way.onState(choose)]);
  }

  get name(): string {
    return this.#active?.name ?? this.#options.preferred.name;
  }
  get state(): LinkState {
    return this.#events.state;
  }
  get advicesOnly(): boolean {
    return this.#events.advicesOnly;
  }
  onMessage(listener: MessageListener): () => void {
    return this.#events.onMessage(listener);
  }
  onState(listener: StateListener): () => void {
    return this.#events.onState(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#options.preferred.run(signal), this.#runFallback(signal)]);
  }

  /** Down or refused, the preferred way gives the better reason. */
  async send(envelope: UpEnvelope, signal: AbortSignal): Promise<void> {
    await (this.#active ?? this.#options.preferred).send(envelope, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await Promise.all([this.#options.preferred[Symbol.asyncDispose](), this.#options.fallback[Symbol.asyncDispose]()]);
  }

  /** The fallback runs only while the preferred way has been down for a while; messages on it then still end in peace. */
  async #runFallback(signal: AbortSignal): Promise<void> {
    const { preferred, fallback, log } = this.#options;
    while (!signal.aborted) {
      if (!(await this.#downForLong(signal))) continue;
      log.info("trying the other way to the hub", { way: fallback.name });
      const back = new AbortController();
      using stop = eitherOf(signal, back.signal);
      const ended = fallback.run(stop.signal);
      await untilState(preferred, "up", signal).catch(() => undefined);
      back.abort(new Fault("aborted", `${preferred.name} is back`));
      await ended;
    }
  }

  /** True when the preferred way stayed down for the whole of the limit. */
  async #downForLong(signal: AbortSignal): Promise<boolean> {
    const { preferred, clock } = this.#options;
    try {
      await untilState(preferred, "down", signal);
      using limit = deadline(clock, FALLBACK_AFTER_MS, signal);
      await untilState(preferred, "up", limit.signal).catch(() => undefined);
      return preferred.state === "down" && !signal.aborted;
    } catch {
      return false;
    }
  }

  #choose(why: string): void {
    const { preferred, fallback, log } = this.#options;
    const ways = [preferred, fallback];
    const chosen = ways.find((way) => way.state === "up") ?? ways.find((way) => way.advicesOnly);
    const reach = chosen?.advicesOnly ? "advices-only" : (chosen?.state ?? "down");
    const isAnother = chosen !== this.#active;
    this.#active = chosen;
    if (chosen && isAnother) {
      log.info("the hub is reached", { way: chosen.name });
      this.#events.announce(reach, why);
    } else {
      this.#events.set(reach, why);
    }
  }
}
