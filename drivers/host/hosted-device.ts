/** The parent's side of a device host: starts it, watches its heartbeat, pairs calls with answers, and is rid of it for certain. */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { abortable, abortFault, type Clock } from "../../base/clock.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { ALIVE_EVERY_MS, SILENCE_MAX_MS } from "./heartbeat.ts";
import { type HostEvent, type HostRequest, readHostEvent } from "./messages.ts";

export interface HostOptions {
  readonly open: HostRequest & { readonly do: "open" };
  /** The whole environment of the child: no secret of the agent reaches a native driver. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the wait for the driver to open, not the open driver. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: HostEvent) => void;
}

export interface HostedDriver extends AsyncDisposable {
  readonly pid: number;
  readonly description: string;
  /** Aborts with the Fault that ended it: `device.hung`, `transport.closed`… */
  readonly lost: AbortSignal;
  /** Bytes to a card and back. Rejects with the Fault of the driver, of `lost`, or of the signal. */
  transmit(card: number, command: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  release(card: number): void;
}

const OPEN_WITHIN_MS = 10_000;
const CLOSE_WITHIN_MS = 1_500;
/** A driver needs little: one that leaks ends in its own process, early. nfc-pcsc still uses `new Buffer`. */
const NODE_OPTIONS = ["--max-semi-space-size=1", "--max-old-space-size=64", "--disable-warning=DEP0005"];

/** Beside this chunk in the bundle, a source file in a checkout. */
const entry = (): string =>
  fileURLToPath(
    import.meta.url.endsWith(".ts")
      ? new URL("./main.ts", import.meta.url)
      : new URL("./device-host.js", import.meta.url),
  );

export async function openHosted(options: HostOptions): Promise<HostedDriver> {
  options.signal.throwIfAborted();
  const host = new DeviceHost(options);
  const cancel = options.clock.after(OPEN_WITHIN_MS, () =>
    host.end(new Fault("device.hung", `the device host did not open its driver within ${OPEN_WITHIN_MS} ms`)),
  );
  try {
    await abortable(host.opened, options.signal);
  } catch (error) {
    await host[Symbol.asyncDispose]();
    throw error;
  } finally {
    cancel();
  }
  return host;
}

interface Call {
  resolve(response: Uint8Array): void;
  reject(fault: Fault): void;
}

/** Of util-linux, which every Debian has. */
const SETPRIV = "/usr/bin/setpriv";

/**
 * How the host's process is started. Where the kernel can be asked to, it ends the host the moment its agent is gone: a host
 * that hangs in native code hears of nothing, and would spin for ever with nobody left to end it.
 */
function ending(): { readonly execPath?: string; readonly execArgv: string[] } {
  if (!existsSync(SETPRIV)) return { execArgv: [...NODE_OPTIONS] };
  return { execPath: SETPRIV, execArgv: ["--pdeathsig", "KILL", process.execPath, ...NODE_OPTIONS] };
}

class DeviceHost implements HostedDriver {
  readonly #child: ChildProcess;
  readonly #options: HostOptions;
  readonly #lost = new AbortController();
  readonly #exited: Promise<void>;
  readonly #calls = new Map<number, Call>();
  readonly opened: Promise<void>;
  #description = "";
  #lastCall = 0;
  /** Undefined until the first sign of life: a start has its own, longer limit. */
  #silentTicks: number | undefined;
  #closing = false;
  #cancelTick: () => void = () => undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#child = fork(entry(), [], {
      serialization: "advanced",
      env: { ...options.environment },
      ...ending(),
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", () => resolve());
      this.#child.once("error", () => resolve());
    });
    this.#watchProcess();
    this.opened = new Promise((resolve, reject) => {
      this.#onOpened = resolve;
      this.lost.addEventListener("abort", () => reject(abortFault(this.lost)), { once: true });
    });
    this.opened.catch(() => undefined);
    this.#send(options.open);
    this.#tick();
  }

  #onOpened: () => void = () => undefined;

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get description(): string {
    return this.#description;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  transmit(card: number, command: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    if (this.lost.aborted) return Promise.reject(abortFault(this.lost));
    this.#lastCall += 1;
    const call = this.#lastCall;
    const answer = new Promise<Uint8Array>((resolve, reject) => this.#calls.set(call, { resolve, reject }));
    this.#send({ do: "transmit", call, card, command });
    return abortable(answer, signal);
  }

  release(card: number): void {
    if (!this.lost.aborted) this.#send({ do: "release", card });
  }

  /** Ends the process at once, for a reason. */
  end(fault: Fault): void {
    if (this.lost.aborted) return;
    this.#cancelTick();
    this.#child.kill("SIGKILL");
    this.#lost.abort(fault);
    for (const call of this.#calls.values()) call.reject(fault);
    this.#calls.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    if (!this.lost.aborted) {
      this.#send({ do: "close" });
      const cancel = this.#options.clock.after(CLOSE_WITHIN_MS, () => this.#child.kill("SIGKILL"));
      await this.#exited;
      cancel();
      this.end(new Fault("transport.closed", "the device was closed"));
    }
    await this.#exited;
  }

  #send(request: HostRequest): void {
    // Errors of sending show as the end of the process.
    if (this.#child.connected) this.#child.send(request, () => undefined);
  }

  #watchProcess(): void {
    this.#child.on("message", (message) => this.#receive(message));
    this.#child.once("error", (error) =>
      this.end(new Fault("transport.failed", `the device host cannot be started: ${error.message}`)),
    );
    this.#child.once("exit", (code, signal) => {
      if (this.#closing) return;
      this.end(
        new Fault("transport.closed", `the device host ended (${signal ?? `exit code ${code}`})${this.#words()}`),
      );
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = `${this.#stderr}${text}`.slice(-STDERR_CHARACTERS_MAX);
    });
  }

  #stderr = "";

  #words(): string {
    const lines = this.#stderr.trim().split("\n");
    const error = lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? "";
    return error === "" ? "" : `: ${error.trim()}`;
  }

  /** Counts turns of our own clock, not time: a parent that was itself stopped for long must not blame its child. */
  #tick(): void {
    this.#cancelTick = this.#options.clock.after(ALIVE_EVERY_MS, () => {
      if (this.#silentTicks !== undefined) this.#silentTicks += 1;
      if ((this.#silentTicks ?? 0) * ALIVE_EVERY_MS > SILENCE_MAX_MS) {
        this.end(new Fault("device.hung", `the device host gave no sign of life for ${SILENCE_MAX_MS} ms`));
        return;
      }
      this.#tick();
    });
  }

  #receive(message: unknown): void {
    let event: HostEvent;
    try {
      event = readHostEvent(message);
    } catch (error) {
      this.end(isFault(error) ? error : new Fault("message.invalid", reasonOf(error)));
      return;
    }
    if (this.lost.aborted) return;
    this.#silentTicks = 0;
    this.#handle(event);
  }

  #handle(event: HostEvent): void {
    switch (event.on) {
      case "alive":
        return;
      case "opened":
        this.#description = event.description;
        this.#onOpened();
        return;
      case "response":
        this.#take(event.call)?.resolve(event.response);
        return;
      case "refused":
        this.#take(event.call)?.reject(new Fault(event.code, event.message));
        return;
      case "lost":
        this.end(new Fault(event.code, event.message));
        return;
      case "card-in":
      case "card-out":
      case "card-unreadable":
      case "hid-interface":
      case "report":
        this.#options.onEvent(event);
        return;
    }
  }

  #take(call: number): Call | undefined {
    const taken = this.#calls.get(call);
    this.#calls.delete(call);
    return taken;
  }
}

const STDERR_CHARACTERS_MAX = 2_000;
