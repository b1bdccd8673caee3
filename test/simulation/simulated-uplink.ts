/** A way to the hub over a simulated network: what MQTT is in the product, without its library. */
import { LinkEvents, type MessageListener, type StateListener } from "../../agent/uplink/link-events.ts";
import type { LinkState, RunningUplink } from "../../agent/uplink/uplink.ts";
import { abortable, type Clock } from "../../base/clock.ts";
import { Fault, type FaultCode } from "../../base/fault.ts";
import type { NetworkPort } from "../../sim/world/network.ts";
import type { NodeContext } from "../../sim/world/node.ts";
import { decodeDown, encodeEnvelope, type UpEnvelope } from "../../wire/envelope.ts";
import type { Frame } from "./frames.ts";

/** While it is up the hub is asked so often whether it is there. */
const KEEPALIVE_MS = 60_000;
/** And this long it may take to say so. */
const WELCOME_WITHIN_MS = 5_000;
/** Between two tries to connect. */
const RECONNECT_MS = 2_000;

export class SimulatedUplink implements RunningUplink {
  readonly name = "simulated";
  readonly #clock: Clock;
  readonly #port: NetworkPort;
  readonly #hub: string;
  readonly #events = new LinkEvents();
  readonly #sent = new Map<number, { taken(): void; lost(fault: Fault): void }>();
  #numbers = 0;
  #session = 0;
  #cancel: (() => void) | undefined;
  #running = false;

  constructor(context: Pick<NodeContext, "clock" | "attach">, hub: string) {
    this.#clock = context.clock;
    this.#hub = hub;
    this.#port = context.attach((_from, frame) => this.#receive(frame as Frame));
  }

  get state(): LinkState {
    return this.#events.state;
  }
  onMessage(listener: MessageListener): () => void {
    return this.#events.onMessage(listener);
  }
  onState(listener: StateListener): () => void {
    return this.#events.onState(listener);
  }

  run(signal: AbortSignal): Promise<void> {
    this.#running = true;
    this.#connect();
    return new Promise((resolve) => {
      const end = () => {
        this.#running = false;
        this.#down("stopped");
        this.#cancel?.();
        resolve();
      };
      if (signal.aborted) end();
      else signal.addEventListener("abort", end, { once: true });
    });
  }

  async send(envelope: UpEnvelope, signal: AbortSignal): Promise<void> {
    if (this.state === "down") throw new Fault("uplink.down", "the hub cannot be reached");
    this.#numbers += 1;
    const number = this.#numbers;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#sent.set(number, { taken: resolve, lost: reject });
    promise.catch(() => undefined);
    this.#post({ frame: "up", number, text: encodeEnvelope(envelope) });
    try {
      await abortable(promise, signal);
    } finally {
      this.#sent.delete(number);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#cancel?.();
    this.#port.detach();
    return Promise.resolve();
  }

  #post(frame: Frame): void {
    this.#port.send(this.#hub, frame);
  }

  /** Asks for the hub; what does not come in time means that it is not there. */
  #connect(): void {
    this.#cancel?.();
    if (!this.#running) return;
    this.#session += 1;
    this.#post({ frame: "hello", session: this.#session, state: this.state });
    this.#cancel = this.#clock.after(WELCOME_WITHIN_MS, () => {
      this.#down("the hub does not answer");
      this.#cancel = this.#clock.after(RECONNECT_MS, () => this.#connect());
    });
  }

  #down(why: string): void {
    if (this.state === "down") return;
    this.#events.set("down", why);
    // What was sent may have arrived.
    for (const { lost } of [...this.#sent.values()]) lost(new Fault("uplink.timeout", "the connection was lost"));
    this.#sent.clear();
  }

  #receive(frame: Frame): void {
    switch (frame.frame) {
      case "welcome":
        if (frame.session !== this.#session || !this.#running) return;
        this.#cancel?.();
        this.#cancel = this.#clock.after(KEEPALIVE_MS, () => this.#connect());
        if (this.state === "down") this.#events.set("up", "the hub answered");
        return;
      case "taken":
        this.#sent.get(frame.number)?.taken();
        return;
      case "refused":
        this.#sent.get(frame.number)?.lost(refusal(frame.code));
        return;
      case "down":
        this.#events.deliver(decodeDown(frame.text));
        return;
      case "garbled":
        this.#down("a frame was garbled");
        this.#cancel?.();
        if (this.#running) this.#cancel = this.#clock.after(RECONNECT_MS, () => this.#connect());
        return;
      case "hello":
      case "up":
        throw new Error(`broken invariant: a terminal got a ${frame.frame}`);
    }
  }
}

/** As a gateway says it: no to this terminal, or no to this message. */
const refusal = (code: FaultCode): Fault =>
  code.startsWith("identity.")
    ? new Fault("uplink.refused", `the hub refuses this terminal: ${code}`)
    : new Fault("message.invalid", `the hub did not take a message: ${code}`);
