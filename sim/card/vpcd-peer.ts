/**
 * A card in pcscd's virtual reader (vpcd). The connection is the contact: connected is inserted, closed is pulled. Frames
 * are a big-endian length and a body; a body of one byte is a control, anything longer a command.
 */
import { connect, type Socket } from "node:net";
import { type Clock, sleep } from "../../base/clock.ts";

/** One-byte frames of vpcd. */
const CONTROL = { off: 0, on: 1, reset: 2, atr: 4 } as const;
const LENGTH_BYTES = 2;
const FRAME_BYTES_MAX = 0xffff;
/** pcscd may start after the card, or be restarted under it. */
const RECONNECT_MS = 100;
/** pcscd looks every 400 ms; a slot that was empty for less would go unseen, which no hand is quick enough for. */
const EMPTY_FOR_MS = 500;
/** A pcscd that stands still never closes its end. */
const NOTICED_WITHIN_MS = 2_000;

/** What the reader does to the card. */
export interface VpcdCard {
  readonly atr: Uint8Array;
  powered(on: "on" | "off"): void;
  /** Undefined leaves the reader without an answer. */
  respond(command: Uint8Array): Promise<Uint8Array | undefined>;
}

/** Collects what TCP splits. A frame is bounded by its 16-bit length. */
export class VpcdDecoder {
  #pending: Uint8Array = new Uint8Array(0);

  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = Buffer.concat([this.#pending, chunk]);
    const frames: Uint8Array[] = [];
    let at = 0;
    while (bytes.length - at >= LENGTH_BYTES) {
      const end = at + LENGTH_BYTES + bytes.readUInt16BE(at);
      if (end > bytes.length) break;
      frames.push(new Uint8Array(bytes.subarray(at + LENGTH_BYTES, end)));
      at = end;
    }
    this.#pending = new Uint8Array(bytes.subarray(at));
    return frames;
  }
}

export function encodeVpcdFrame(body: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(LENGTH_BYTES + Math.min(body.length, FRAME_BYTES_MAX));
  frame.writeUInt16BE(frame.length - LENGTH_BYTES);
  frame.set(body.subarray(0, FRAME_BYTES_MAX), LENGTH_BYTES);
  return frame;
}

export class VpcdPeer implements Disposable {
  readonly #port: number;
  readonly #clock: Clock;
  #card: VpcdCard | undefined;
  #socket: Socket | undefined;
  #powered = false;
  #cancelRetry: () => void = () => undefined;
  /** Settles when the reader has closed its end of the last card. */
  #noticed: Promise<void> = Promise.resolve();
  #emptySince = Number.NEGATIVE_INFINITY;
  readonly #disposed = new AbortController();

  constructor(port: number, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
  }

  /** `connected` once the reader has taken the card; it powers it within its poll of 400 ms. */
  get state(): "out" | "waiting-for-reader" | "connected" | "powered" {
    if (!this.#card) return "out";
    if (!this.#socket || this.#socket.connecting) return "waiting-for-reader";
    return this.#powered ? "powered" : "connected";
  }

  /** Takes out what is in. Resolves when the card stands at the reader; a later `insert` or `pull` supersedes it. */
  async insert(card: VpcdCard): Promise<void> {
    const out = this.pull();
    this.#card = card;
    await out;
    const rest = this.#emptySince + EMPTY_FOR_MS - this.#clock.monotonic();
    if (rest > 0) await sleep(this.#clock, rest, this.#disposed.signal).catch(() => undefined);
    if (this.#card === card && !this.#disposed.signal.aborted) this.#connect(card);
  }

  /** Resolves when the reader has noticed. */
  pull(): Promise<void> {
    this.#card = undefined;
    this.#cancelRetry();
    const socket = this.#socket;
    this.#socket = undefined;
    this.#powered = false;
    if (socket) this.#noticed = this.#leave(socket);
    return this.#noticed;
  }

  [Symbol.dispose](): void {
    this.#disposed.abort();
    this.#card = undefined;
    this.#cancelRetry();
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #leave(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(NOTICED_WITHIN_MS, () => socket.destroy());
      socket.once("close", () => {
        cancel();
        this.#emptySince = this.#clock.monotonic();
        resolve();
      });
      if (socket.connecting) socket.destroy();
      else socket.end();
    });
  }

  #connect(card: VpcdCard): void {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    const decoder = new VpcdDecoder();
    // Answers keep the order of the commands, even when one of them is made slow.
    let turn: Promise<void> = Promise.resolve();
    this.#socket = socket;
    socket.on("data", (chunk) => {
      for (const frame of decoder.push(chunk)) turn = turn.then(() => this.#frame(socket, card, frame));
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#powered = false;
      this.#socket = undefined;
      card.powered("off");
      this.#cancelRetry = this.#clock.after(RECONNECT_MS, () => this.#connect(card));
    });
  }

  async #frame(socket: Socket, card: VpcdCard, frame: Uint8Array): Promise<void> {
    if (this.#socket !== socket) return;
    if (frame.length === 1) return this.#control(socket, card, frame[0]);
    // A card without power says nothing; so one swapped under a running transaction can never answer for the other.
    const response = this.#powered ? await card.respond(frame) : undefined;
    if (response && this.#socket === socket) socket.write(encodeVpcdFrame(response));
  }

  #control(socket: Socket, card: VpcdCard, control: number | undefined): void {
    switch (control) {
      case CONTROL.atr:
        socket.write(encodeVpcdFrame(card.atr));
        return;
      case CONTROL.on:
      case CONTROL.reset:
        this.#powered = true;
        card.powered("on");
        return;
      case CONTROL.off:
        this.#powered = false;
        card.powered("off");
        return;
      default:
        return;
    }
  }
}
