/**
 * What a printer says of itself: requests, replies and the decoder that picks them out of the line.
 * Source: Epson ESC/POS command reference, DLE EOT, GS r and GS a.
 */
import { Fault } from "../../base/fault.ts";

/** Which part of the status DLE EOT n asks for. Answered at once, ahead of everything in the receive buffer. */
export const REAL_TIME_PARTS = { printer: 1, offlineCause: 2, errorCause: 3, paper: 4 } as const;
export type RealTimePart = keyof typeof REAL_TIME_PARTS;

export const realTimeStatusRequest = (part: RealTimePart): Uint8Array =>
  Uint8Array.of(0x10, 0x04, REAL_TIME_PARTS[part]);

/** GS r 1: answered in order, after everything sent before it has been processed. */
export const PAPER_SENSOR_REQUEST = Uint8Array.of(0x1d, 0x72, 0x01);

/** GS a 0: no status that nobody asked for. */
export const AUTOMATIC_STATUS_OFF = Uint8Array.of(0x1d, 0x61, 0x00);

/** Bits 0, 1, 4 and 7 are fixed in each kind of reply, which is what tells them apart. */
const FIXED_MASK = 0b1001_0011;
const REAL_TIME_FIXED = 0b0001_0010;
const AUTOMATIC_FIXED = 0b0001_0000;
/** Of GS r 1, and of the second to fourth byte of an automatic status, only bits 4 and 7 are fixed. */
const SENSOR_MASK = 0b1001_0000;
const AUTOMATIC_BYTES = 4;
/** XON and XOFF, with which a printer on a plain serial line stops and resumes the sender. */
const FLOW_CONTROL: readonly number[] = [0x11, 0x13];

const BIT_2 = 0b0000_0100;
const BIT_3 = 0b0000_1000;
const BIT_5 = 0b0010_0000;
const BIT_6 = 0b0100_0000;
const bit = (byte: number, mask: number): boolean => (byte & mask) !== 0;

export interface PrinterPart {
  readonly offline: boolean;
  readonly waitsForOnlineRecovery: boolean;
}

/** DLE EOT 1. */
export function decodePrinterPart(byte: number): PrinterPart {
  const reply = checked(byte);
  return { offline: bit(reply, BIT_3), waitsForOnlineRecovery: bit(reply, BIT_5) };
}

export interface OfflineCause {
  readonly coverOpen: boolean;
  readonly feedButton: boolean;
  readonly paperEnd: boolean;
  readonly error: boolean;
}

/** DLE EOT 2. */
export function decodeOfflineCause(byte: number): OfflineCause {
  const reply = checked(byte);
  return {
    coverOpen: bit(reply, BIT_2),
    feedButton: bit(reply, BIT_3),
    paperEnd: bit(reply, BIT_5),
    error: bit(reply, BIT_6),
  };
}

export interface ErrorCause {
  readonly recoverable: boolean;
  readonly cutter: boolean;
  readonly unrecoverable: boolean;
  readonly recoversByItself: boolean;
}

/** DLE EOT 3. */
export function decodeErrorCause(byte: number): ErrorCause {
  const reply = checked(byte);
  return {
    recoverable: bit(reply, BIT_2),
    cutter: bit(reply, BIT_3),
    unrecoverable: bit(reply, BIT_5),
    recoversByItself: bit(reply, BIT_6),
  };
}

export type PaperState = "ok" | "near-end" | "out";

/** DLE EOT 4. Each sensor has two bits that move together; either one counts. */
export function decodePaperPart(byte: number): PaperState {
  const reply = checked(byte);
  if (bit(reply, BIT_5 | BIT_6)) return "out";
  return bit(reply, BIT_2 | BIT_3) ? "near-end" : "ok";
}

/** The reply to GS r 1. */
export function decodePaperSensor(byte: number): PaperState {
  if ((byte & SENSOR_MASK) !== 0) throw new Fault("codec.invalid", "not a GS r 1 reply", { details: { byte } });
  if ((byte & 0b0000_1100) !== 0) return "out";
  return (byte & 0b0000_0011) !== 0 ? "near-end" : "ok";
}

function checked(byte: number): number {
  if (byte < 0 || byte > 0xff || (byte & FIXED_MASK) !== REAL_TIME_FIXED) {
    throw new Fault("codec.invalid", "not a DLE EOT reply", { details: { byte } });
  }
  return byte;
}

export type StatusReply =
  | { readonly kind: "real-time"; readonly byte: number }
  | { readonly kind: "paper-sensor"; readonly byte: number }
  /** Four bytes that the printer sends by itself while automatic status back is on. */
  | { readonly kind: "automatic"; readonly bytes: Uint8Array };

/** Sorts the bytes a printer sends into replies. Holds at most three bytes back, of an automatic status. */
export class StatusDecoder {
  #automatic: number[] = [];
  /** Bytes that belong to no reply, since the start. */
  discarded = 0;

  push(chunk: Uint8Array): StatusReply[] {
    return [...chunk].flatMap((byte) => this.#next(byte));
  }

  #next(byte: number): StatusReply[] {
    if (FLOW_CONTROL.includes(byte)) return [];
    if (this.#automatic.length > 0) {
      if ((byte & SENSOR_MASK) === 0) return this.#lengthen(byte);
      this.discarded += this.#automatic.length;
      this.#automatic = [];
    }
    if ((byte & FIXED_MASK) === REAL_TIME_FIXED) return [{ kind: "real-time", byte }];
    if ((byte & FIXED_MASK) === AUTOMATIC_FIXED) {
      this.#automatic = [byte];
      return [];
    }
    if ((byte & SENSOR_MASK) === 0) return [{ kind: "paper-sensor", byte }];
    this.discarded += 1;
    return [];
  }

  #lengthen(byte: number): StatusReply[] {
    this.#automatic.push(byte);
    if (this.#automatic.length < AUTOMATIC_BYTES) return [];
    const bytes = Uint8Array.from(this.#automatic);
    this.#automatic = [];
    return [{ kind: "automatic", bytes }];
  }
}
