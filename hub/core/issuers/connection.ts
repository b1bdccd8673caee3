/** One TCP connection to an issuer: whole messages out and in. It knows framing and bounds, and nothing of what is said. */
import { connect as connectSocket, type Socket } from "node:net";
import { abortFault, type Clock, deadline } from "../../../base/clock.ts";
import { Fault, reasonOf } from "../../../base/fault.ts";
import { encodeFrame, FrameDecoder, type Framed } from "../../../protocols/iso8583/frame.ts";

export interface IssuerAddress {
  readonly host: string;
  readonly port: number;
}

/** `stalled`: a message was begun and not ended in time. `lost-frames`: nobody knows where the next message begins. */
export type ConnectionEnd = "ended-by-issuer" | "failed" | "stalled" | "lost-frames" | "not-reading" | "closed";

export interface ConnectionHandlers {
  framed(framed: Framed): void;
  /** Once, and last of all. */
  ended(why: ConnectionEnd): void;
}

export interface Connection {
  /** False when the issuer does not read, or the connection is gone: nothing was sent then. */
  send(message: Uint8Array): boolean;
  close(why: ConnectionEnd): void;
}

export interface ConnectOptions {
  readonly address: IssuerAddress;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly handlers: ConnectionHandlers;
}

/** What may wait in memory for an issuer who does not read. */
const UNSENT_BYTES_MAX = 1_048_576;
/** From the first byte of a message to its last. */
export const MESSAGE_WITHIN_MS = 5_000;

/** Throws Fault `transport.failed` or `transport.timeout`, and `aborted`. */
export async function openConnection(options: ConnectOptions): Promise<Connection> {
  const { address, clock, timeoutMs, signal } = options;
  using limit = deadline(clock, timeoutMs, signal);
  const socket = connectSocket({ ...address, noDelay: true, keepAlive: true });
  try {
    await connected(socket, limit.signal);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return new SocketConnection(socket, options);
}

function connected(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortFault(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    socket.on("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(new Fault("transport.failed", reasonOf(error), { cause: error }));
    });
  });
}

class SocketConnection implements Connection {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #handlers: ConnectionHandlers;
  readonly #decoder = new FrameDecoder();
  #cancelStall: (() => void) | undefined;
  #end: ConnectionEnd | undefined;

  constructor(socket: Socket, { clock, handlers }: Pick<ConnectOptions, "clock" | "handlers">) {
    this.#socket = socket;
    this.#clock = clock;
    this.#handlers = handlers;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("error", () => this.close("failed"));
    socket.on("end", () => this.close("ended-by-issuer"));
    socket.on("close", () => this.close("failed"));
  }

  send(message: Uint8Array): boolean {
    if (this.#end !== undefined) return false;
    if (this.#socket.writableLength > UNSENT_BYTES_MAX) {
      this.close("not-reading");
      return false;
    }
    this.#socket.write(encodeFrame(message));
    return true;
  }

  close(why: ConnectionEnd): void {
    if (this.#end !== undefined) return;
    this.#end = why;
    this.#cancelStall?.();
    this.#socket.destroy();
    this.#handlers.ended(why);
  }

  #receive(chunk: Uint8Array): void {
    for (const framed of this.#decoder.push(chunk)) {
      if (this.#end !== undefined) return;
      // The end of the last message is the beginning of a wait of its own.
      this.#clearStall();
      this.#handlers.framed(framed);
      if (framed.what === "dropped" && framed.why === "lost") this.close("lost-frames");
    }
    if (this.#decoder.partial) this.#watchStall();
    else this.#clearStall();
  }

  #watchStall(): void {
    if (this.#end !== undefined) return;
    this.#cancelStall ??= this.#clock.after(MESSAGE_WITHIN_MS, () => this.close("stalled"));
  }

  #clearStall(): void {
    this.#cancelStall?.();
    this.#cancelStall = undefined;
  }
}
