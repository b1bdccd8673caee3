/** Where a codec reads and writes, and the Faults that say which field of which table was wrong. */
import { Fault, type FaultCode } from "../../base/fault.ts";

/** What two bytes of length in front of a message can say. */
export const MESSAGE_BYTES_MAX = 65_535;

/** A field of a table: `48.3`, and its name there. */
export interface Place {
  readonly path: string;
  readonly name: string;
}

export const placeWithin = (outer: Place, id: number | string, name: string): Place => ({
  path: outer.path === "" ? String(id) : `${outer.path}.${id}`,
  name,
});

/** Where the first byte stands in the message, and how many bytes there one of these was: for Faults. */
interface Origin {
  readonly offset: number;
  readonly scale: number;
}
const WHOLE_MESSAGE: Origin = { offset: 0, scale: 1 };

/** Bytes that are read from the front. Texts are cut out of one string, since cutting costs less than decoding each for itself. */
export class Source {
  readonly bytes: Uint8Array;
  /** Byte for byte as characters. */
  readonly latin1: string;
  at = 0;
  /** What follows belongs to others. */
  end: number;
  readonly #buffer: Buffer;
  readonly #origin: Origin;
  #hex: string | undefined;

  constructor(bytes: Uint8Array, origin: Origin = WHOLE_MESSAGE) {
    this.bytes = bytes;
    this.end = bytes.length;
    this.#buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.latin1 = this.#buffer.toString("latin1");
    this.#origin = origin;
  }

  /** The next bytes. Never a Buffer, whatever was given. */
  view(length: number): Uint8Array {
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + this.at, length);
  }

  /** Two characters for each byte, in lower case. */
  get hex(): string {
    this.#hex ??= this.#buffer.toString("hex");
    return this.#hex;
  }

  /** Of a byte in the whole message. */
  offsetOf(at: number): number {
    return this.#origin.offset + at * this.#origin.scale;
  }

  /** Refuses a length before anything is made of it. */
  want(bytes: number, place: Place): void {
    const has = this.end - this.at;
    if (bytes <= has) return;
    throw readFault("codec.truncated", { place, source: this, at: this.at }, `wants ${bytes} bytes, has ${has}`);
  }
}

/** One buffer for every message that a codec writes. It is wiped after each: card data live for one message. */
export class Target {
  readonly bytes = Buffer.alloc(MESSAGE_BYTES_MAX);
  at = 0;

  /** There is room for so many bytes. */
  want(bytes: number, place: Place): void {
    if (this.at + bytes <= MESSAGE_BYTES_MAX) return;
    throw writeFault("codec.too-long", place, `the message has more than ${MESSAGE_BYTES_MAX} bytes`);
  }

  /** What was written, in bytes of its own. */
  taken(): Uint8Array<ArrayBuffer> {
    const own = Buffer.allocUnsafe(this.at);
    this.bytes.copy(own, 0, 0, this.at);
    return new Uint8Array(own.buffer, own.byteOffset, own.length);
  }

  /** `all` after a failure, since what was begun may reach behind what was written. */
  wipe(what: "written" | "all"): void {
    this.bytes.fill(0, 0, what === "written" ? this.at : MESSAGE_BYTES_MAX);
    this.at = 0;
  }
}

/** `DE 48.3`, `MTI`. */
export const placeName = ({ path, name }: Place): string => (/^\d/.test(path) ? `DE ${path} ${name}` : name);

/** Of something in the bytes. A reason never has a value in it, since values may be card data. */
export function readFault(
  code: FaultCode,
  where: { readonly place: Place; readonly source: Source; readonly at: number },
  reason: string,
): Fault {
  const { path, name } = where.place;
  const offset = where.source.offsetOf(where.at);
  const message = `${placeName(where.place)}: ${reason}, at byte ${offset}`;
  return new Fault(code, message, { details: { path, field: name, offset } });
}

/** Of something in a message that is to be written. */
export const writeFault = (code: FaultCode, place: Place, reason: string): Fault =>
  new Fault(code, `${placeName(place)}: ${reason}`, { details: { path: place.path, field: place.name } });

/** A byte as people look it up. */
export const byteName = (byte: number): string => `0x${byte.toString(16).toUpperCase().padStart(2, "0")}`;

/** What nobody read does not belong there. */
export function refuseRest(source: Source, place: Place): void {
  const rest = source.end - source.at;
  if (rest > 0) throw readFault("codec.too-long", { place, source, at: source.at }, `${rest} bytes too many`);
}
