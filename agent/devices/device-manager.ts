/** Opens the configured devices, keeps them open, and lends what they can do. The only place that reconnects. */
import { abortable, type Clock, deadline } from "../../base/clock.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { RECONNECT_POLICY, retrySchedule } from "../../base/retry-schedule.ts";
import type { CapabilityMap, CapabilityName, Device, DeviceSpec, OpenDevice } from "../../drivers/capability.ts";
import {
  type DeviceEffect,
  type DeviceEvent,
  type DeviceLife,
  deviceMachine,
  FIRST_LIFE,
  shownDetail,
  shownState,
} from "./device-machine.ts";
import type { Devices, DeviceView } from "./devices.ts";

export interface DeviceManagerOptions {
  readonly specs: readonly DeviceSpec[];
  readonly open: OpenDevice;
  readonly clock: Clock;
  readonly log: Log;
  /** Numbers from 0 to below 1, for the jitter of the retries. */
  readonly chance: () => number;
}

/** A device host that starts, a printer that wakes up: longer than either takes. */
export const OPEN_LIMIT_MS = 15_000;
/** How long a device may take to close before it is left behind. */
export const CLOSE_LIMIT_MS = 2_000;

export class DeviceManager implements Devices, AsyncDisposable {
  readonly #slots: readonly DeviceSlot[];
  readonly #listeners = new Set<(device: DeviceView) => void>();

  /** Begins to open every device at once and does not wait for them. */
  constructor(options: DeviceManagerOptions) {
    const tell = (view: DeviceView) => {
      for (const listener of this.#listeners) listener(view);
    };
    this.#slots = options.specs.map((spec) => new DeviceSlot(spec, { ...options, tell }));
  }

  lend<N extends CapabilityName>(name: N): CapabilityMap[N] | undefined {
    for (const slot of this.#slots) {
      const capability = slot.capability(name);
      if (capability !== undefined) return capability;
    }
    return undefined;
  }

  list(): readonly DeviceView[] {
    return this.#slots.map((slot) => slot.view);
  }

  onChange(listener: (device: DeviceView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    await Promise.all(this.#slots.map((slot) => slot[Symbol.asyncDispose]()));
  }
}

interface SlotOptions extends DeviceManagerOptions {
  tell(view: DeviceView): void;
}

/** The shell around one device's machine. */
class DeviceSlot implements AsyncDisposable {
  readonly #spec: DeviceSpec;
  readonly #options: SlotOptions;
  readonly #stopping = new AbortController();
  #life: DeviceLife = FIRST_LIFE;
  #device: Device | undefined;
  #since: number;
  #delays: Iterator<number>;
  #cancelRetry: (() => void) | undefined;
  #opening: Promise<void> = Promise.resolve();
  #closing: Promise<void> = Promise.resolve();

  constructor(spec: DeviceSpec, options: SlotOptions) {
    this.#spec = spec;
    this.#options = options;
    this.#since = options.clock.now();
    this.#delays = retrySchedule(RECONNECT_POLICY, options.chance);
    this.#perform({ do: "open" });
  }

  get view(): DeviceView {
    return {
      ...this.#spec,
      state: shownState(this.#life),
      detail: shownDetail(this.#life),
      since: new Date(this.#since).toISOString(),
    };
  }

  capability<N extends CapabilityName>(name: N): CapabilityMap[N] | undefined {
    return this.#life.at === "ready" ? this.#device?.capability(name) : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancelRetry?.();
    this.#stopping.abort();
    this.#handle({ on: "stop" });
    await this.#opening;
    await this.#closing;
  }

  #handle(event: DeviceEvent): void {
    const before = this.view;
    const { state, effects } = deviceMachine(this.#life, event);
    this.#life = state;
    if (shownState(state) !== before.state) this.#since = this.#options.clock.now();
    this.#report(before);
    for (const effect of effects) this.#perform(effect);
  }

  /** A retry that fails as the last one did says nothing. */
  #report(before: DeviceView): void {
    const { state, detail } = this.view;
    if (this.#life.at === "closed" || (state === before.state && detail === before.detail)) return;
    if (state !== before.state) {
      const fields = { device: this.#spec.id, uri: this.#spec.uri, detail };
      if (state === "ready") this.#options.log.info("device ready", fields);
      else this.#options.log.warn(state === "lost" ? "device lost" : "device absent", fields);
    }
    this.#options.tell(this.view);
  }

  #perform(effect: DeviceEffect): void {
    switch (effect.do) {
      case "open":
        this.#opening = this.#open();
        return;
      case "close":
        this.#closing = this.#close();
        return;
      case "retry-later":
        this.#retryLater(effect.backoff);
        return;
    }
  }

  #retryLater(backoff: "first" | "next"): void {
    const { clock, chance } = this.#options;
    if (backoff === "first") this.#delays = retrySchedule(RECONNECT_POLICY, chance);
    const delayMs: number = this.#delays.next().value;
    this.#cancelRetry = clock.after(delayMs, () => this.#handle({ on: "retry" }));
  }

  async #open(): Promise<void> {
    const { clock, open } = this.#options;
    await this.#closing;
    using limit = deadline(clock, OPEN_LIMIT_MS, this.#stopping.signal);
    const work = Promise.resolve().then(() => open(this.#spec, limit.signal));
    let device: Device;
    try {
      device = await abortable(work, limit.signal);
    } catch (error) {
      // A driver that opens after all, too late, must not keep the port.
      void disposeLate(work);
      const reason = isFault(error, "transport.timeout")
        ? `did not open within ${OPEN_LIMIT_MS / 1_000} s (${error.message}); switch it off and on`
        : reasonOf(error);
      this.#handle({ on: "failed", reason });
      return;
    }
    this.#device = device;
    this.#handle({ on: "opened", description: device.description, monotonic: clock.monotonic() });
    const onLost = () =>
      this.#handle({ on: "lost", reason: reasonOf(device.lost.reason), monotonic: clock.monotonic() });
    if (device.lost.aborted) onLost();
    else device.lost.addEventListener("abort", onLost, { once: true });
  }

  async #close(): Promise<void> {
    const device = this.#device;
    this.#device = undefined;
    if (device === undefined) return;
    using limit = deadline(this.#options.clock, CLOSE_LIMIT_MS);
    try {
      await abortable(Promise.resolve(device[Symbol.asyncDispose]()), limit.signal);
    } catch (error) {
      this.#options.log.warn("a device did not close", { device: this.#spec.id, reason: reasonOf(error) });
    }
  }
}

async function disposeLate(work: Promise<Device>): Promise<void> {
  try {
    await (await work)[Symbol.asyncDispose]();
  } catch {
    // It failed as its time was over already: there is nothing to free, and the failure was told.
  }
}
