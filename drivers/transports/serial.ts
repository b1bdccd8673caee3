/**
 * A serial port as a Transport, through the package `serialport`. Each port object is used once and discarded:
 * one that is reopened would send the bytes that its last life left behind.
 */
import type { SerialPort } from "serialport";
import { abortable, abortFault, type Clock, deadline } from "../../base/clock.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { Transport } from "./transport.ts";

export interface SerialOptions {
  readonly path: string;
  /** Bits per second. */
  readonly baud: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export const OPEN_WITHIN_MS = 5_000;
/** Flushing and closing each get this long; a port that does not finish is left to the operating system. */
export const CLOSE_STEP_WITHIN_MS = 1_000;
/** What one chunk may take beyond its time on the wire: a printer that prints may hold the line for seconds. */
export const WRITE_PATIENCE_MS = 5_000;
const WRITE_CHUNK_BYTES = 1_024;
const READ_BUFFER_BYTES = 16_384;
/** A start bit, eight data bits and a stop bit. */
const BITS_PER_BYTE = 10;

/**
 * Opens the port and locks it. Throws Fault `package.missing`, `device.absent`, `device.busy`, `transport.failed`
 * or `transport.timeout`, each with what to do.
 */
export async function openSerial(options: SerialOptions): Promise<Transport> {
  const { path, baud, clock, signal } = options;
  const { SerialPort: Port } = await loadPackage();
  if (signal.aborted) throw abortFault(signal);
  const port = new Port({ path, baudRate: baud, autoOpen: false, highWaterMark: READ_BUFFER_BYTES });
  const transport = new SerialTransport(port, clock);
  const opened = new Promise<void>((resolve, reject) => port.open((error) => (error ? reject(error) : resolve())));
  using limit = deadline(clock, OPEN_WITHIN_MS, signal);
  try {
    await abortable(opened, limit.signal);
    return transport;
  } catch (error) {
    // A port that opens after nobody waits any more would stay locked.
    opened.then(
      () => transport[Symbol.asyncDispose](),
      () => undefined,
    );
    throw openFault(error, path);
  }
}

async function loadPackage(): Promise<{ SerialPort: typeof SerialPort }> {
  try {
    return await import("serialport");
  } catch (error) {
    throw packageFault(error);
  }
}

/** Why the package did not load: it is optional, and its native part is built for one version of Node. */
export function packageFault(error: unknown): Fault {
  return new Fault(
    "package.missing",
    `the package "serialport" does not load (${firstLine(error)}); run scripts/setup, or npm install serialport`,
    { cause: error },
  );
}

/** Names an error of opening for people. The package gives texts without codes, so the text is what is matched. */
export function openFault(error: unknown, path: string): Fault {
  if (isFault(error)) return error;
  const text = reasonOf(error);
  if (/no such (file|device)|ENOENT|ENXIO|ENODEV/i.test(text)) {
    return new Fault("device.absent", `${path}: no such port; is the printer plugged in?`, { cause: error });
  }
  if (/cannot lock port|resource busy|EBUSY/i.test(text)) {
    return new Fault("device.busy", `${path}: another program has the port open; stop it first`, { cause: error });
  }
  if (/permission denied|EACCES|EPERM/i.test(text)) {
    const mend = "add the user to group dialout (usermod -aG dialout USER) and sign in again";
    return new Fault("transport.failed", `${path}: permission denied; ${mend}`, { cause: error });
  }
  if (/inappropriate ioctl|not a typewriter|ENOTTY|cannot be opened as a tty/i.test(text)) {
    return new Fault("transport.failed", `${path}: not a serial port; check the path`, { cause: error });
  }
  return new Fault("transport.failed", `${path}: cannot open (${firstLine(error)})`, { cause: error });
}

const firstLine = (error: unknown): string => reasonOf(error).split("\n")[0] ?? "";

class SerialTransport implements Transport {
  readonly name: string;
  readonly #port: SerialPort;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  readonly #listeners = new Set<(chunk: Uint8Array) => void>();
  /** The last write under way; never rejects. */
  #writing: Promise<void> = Promise.resolve();
  #ending: Promise<void> | undefined;

  constructor(port: SerialPort, clock: Clock) {
    this.name = port.path;
    this.#port = port;
    this.#clock = clock;
    // Without a reader the kernel never tells that the port vanished.
    port.on("data", (chunk: Uint8Array) => {
      for (const listener of [...this.#listeners]) listener(chunk);
    });
    // Both come on a disconnect, `close` even twice; only the first counts.
    port.on("close", (error: unknown) => this.#lost(error));
    port.on("error", (error: unknown) => this.#lost(error));
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  onReceived(listener: (chunk: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const before = this.#writing;
    const done = before.then(() => this.#writeChunks(bytes, signal));
    this.#writing = done.catch(() => undefined);
    await abortable(done, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end(new Fault("transport.closed", `${this.name}: closed`));
  }

  async #writeChunks(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < bytes.length; at += WRITE_CHUNK_BYTES) {
      // Between chunks nothing is under way, so the caller's abort may stop here.
      if (signal.aborted) throw abortFault(signal);
      await this.#writeChunk(bytes.subarray(at, at + WRITE_CHUNK_BYTES));
    }
  }

  /**
   * A chunk once begun is waited for whatever the caller's signal says: it stays in the port's queue. One that does
   * not finish ends the pipe, as nobody can tell how much of it left.
   */
  async #writeChunk(chunk: Uint8Array): Promise<void> {
    this.closed.throwIfAborted();
    if (!this.#port.isOpen) throw this.#lost(undefined);
    const onWireMs = (chunk.length * BITS_PER_BYTE * 1_000) / this.#port.baudRate;
    using limit = deadline(this.#clock, Math.ceil(onWireMs + WRITE_PATIENCE_MS), this.closed);
    const taken = new Promise<void>((resolve, reject) =>
      this.#port.write(chunk, (error) => (error ? reject(error) : resolve())),
    );
    try {
      await abortable(taken, limit.signal);
    } catch (error) {
      throw this.#lost(error);
    }
  }

  /** Ends the pipe for the first reason given, and gives the reason that counts. */
  #lost(error: unknown): Fault {
    if (!this.closed.aborted) {
      const timeout = isFault(error, "transport.timeout");
      void this.#end(
        timeout
          ? new Fault("transport.timeout", `${this.name}: the device takes no more bytes`, { cause: error })
          : new Fault("transport.closed", `${this.name}: the port is gone (${goneReason(error)})`, { cause: error }),
      );
    }
    const { reason } = this.closed;
    return isFault(reason) ? reason : new Fault("transport.closed", `${this.name}: closed`);
  }

  #end(fault: Fault): Promise<void> {
    if (!this.#ending) {
      this.#closed.abort(fault);
      this.#listeners.clear();
      this.#ending = this.#release();
    }
    return this.#ending;
  }

  /** Bounded, and never rejects. Flushes first: closing waits for bytes that a stuck device never takes. */
  async #release(): Promise<void> {
    if (!this.#port.isOpen) return;
    await this.#step((done) => this.#port.flush(done));
    if (!this.#port.isOpen) return;
    await this.#step((done) => this.#port.close(done));
  }

  async #step(start: (done: () => void) => void): Promise<void> {
    using limit = deadline(this.#clock, CLOSE_STEP_WITHIN_MS);
    await abortable(new Promise<void>((resolve) => start(resolve)), limit.signal).catch(() => undefined);
  }
}

const goneReason = (error: unknown): string =>
  error === undefined || error === null ? "no reason given" : firstLine(error);
