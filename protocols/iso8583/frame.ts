/** How messages lie on a TCP stream: two bytes of length, the most significant first, and the message behind them. */
import { concat } from "../../base/bytes.ts";
import { Fault } from "../../base/fault.ts";

export const FRAME_LENGTH_BYTES = 2;
/** The longest message that a link takes, many times what cards and their issuers have to say to each other. */
export const FRAME_BYTES_MAX = 8_192;

/**
 * `empty`: a length of zero, by which some hosts show that they live. `too-long`: a message over the limit, passed over to its
 * end. `lost`: an announced length over the limit with no message behind it, so that nobody knows where the next one begins;
 * nothing after it is read.
 */
export type FrameProblem = "empty" | "too-long" | "lost";

export type Framed =
  | { readonly what: "message"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly what: "dropped"; readonly why: FrameProblem; readonly announcedBytes: number };

/** Throws Fault `codec.too-long` for a message over the limit. */
export function encodeFrame(message: Uint8Array): Uint8Array<ArrayBuffer> {
  if (message.length > FRAME_BYTES_MAX)
    throw new Fault("codec.too-long", `a message has up to ${FRAME_BYTES_MAX} bytes, not ${message.length}`);
  return concat(Uint8Array.of(message.length >> 8, message.length & 0xff), message);
}

/**
 * Puts together what TCP takes apart. It keeps one message at most; of one that is too long it keeps nothing and counts down
 * what is still to come.
 */
export class FrameDecoder {
  readonly #kept: Uint8Array<ArrayBuffer>;
  #keptBytes = 0;
  /** Still to be passed over. */
  #skipBytes = 0;
  #lost = false;
  readonly #bytesMax: number;

  constructor({ bytesMax = FRAME_BYTES_MAX }: { readonly bytesMax?: number } = {}) {
    this.#bytesMax = bytesMax;
    this.#kept = new Uint8Array(FRAME_LENGTH_BYTES + Math.max(bytesMax, MTI_BYTES));
  }

  /** A message is begun and not ended: when the rest does not come, the stream has lost its step. */
  get partial(): boolean {
    return this.#keptBytes > 0 || this.#skipBytes > 0;
  }

  push(chunk: Uint8Array): readonly Framed[] {
    const found: Framed[] = [];
    let at = 0;
    while (at < chunk.length && !this.#lost) {
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, chunk.length - at);
        this.#skipBytes -= skipped;
        at += skipped;
        continue;
      }
      at += this.#keep(chunk.subarray(at));
      const framed = this.#take();
      if (framed) found.push(framed);
    }
    return found;
  }

  /** Up to the end of what is wanted next: the length, then what it announces. Returns how many bytes it took. */
  #keep(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, this.#wantedBytes() - this.#keptBytes);
    this.#kept.set(taken, this.#keptBytes);
    this.#keptBytes += taken.length;
    return taken.length;
  }

  #wantedBytes(): number {
    if (this.#keptBytes < FRAME_LENGTH_BYTES) return FRAME_LENGTH_BYTES;
    const announced = this.#announced();
    return FRAME_LENGTH_BYTES + (announced > this.#bytesMax ? MTI_BYTES : announced);
  }

  #announced(): number {
    const [high = 0, low = 0] = this.#kept;
    return high * 0x100 + low;
  }

  #take(): Framed | undefined {
    if (this.#keptBytes < FRAME_LENGTH_BYTES || this.#keptBytes < this.#wantedBytes()) return undefined;
    const announced = this.#announced();
    const bytes = this.#kept.slice(FRAME_LENGTH_BYTES, this.#keptBytes);
    this.#keptBytes = 0;
    if (announced === 0) return { what: "dropped", why: "empty", announcedBytes: 0 };
    if (announced <= this.#bytesMax) return { what: "message", bytes };
    this.#skipBytes = announced - bytes.length;
    this.#lost = !beginsWithMti(bytes);
    return { what: "dropped", why: this.#lost ? "lost" : "too-long", announcedBytes: announced };
  }
}

const MTI_BYTES = 4;

/** Version 0 to 2 and a class from 1 to 8, four characters or two digits in a byte (ISO 8583:1987, 4.1). */
const beginsWithMti = (bytes: Uint8Array): boolean =>
  /^[0-2][1-8]\d\d/.test(Buffer.from(bytes).toString("latin1")) ||
  /^[0-2][1-8]\d\d/.test(Buffer.from(bytes).toString("hex"));
