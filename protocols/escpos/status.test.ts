import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import vectors from "../../test/vectors/escpos/status.json" with { type: "json" };
import {
  AUTOMATIC_STATUS_OFF,
  decodeErrorCause,
  decodeOfflineCause,
  decodePaperPart,
  decodePaperSensor,
  decodePrinterPart,
  PAPER_SENSOR_REQUEST,
  type RealTimePart,
  realTimeStatusRequest,
  StatusDecoder,
  type StatusReply,
} from "./status.ts";

const DECODERS: Readonly<Record<string, (byte: number) => unknown>> = {
  printer: decodePrinterPart,
  offlineCause: decodeOfflineCause,
  errorCause: decodeErrorCause,
  paper: decodePaperPart,
  sensor: decodePaperSensor,
};
const spell = (reply: StatusReply): string =>
  `${reply.kind} ${reply.kind === "automatic" ? toHex(reply.bytes) : toHex(Uint8Array.of(reply.byte))}`;

describe("status of an ESC/POS printer", () => {
  test.each(vectors.requests)("is asked for $part by $hex", ({ part, hex }) => {
    expect(toHex(realTimeStatusRequest(part as RealTimePart))).toBe(hex);
  });

  test("is asked for in order by GS r 1, and not sent unasked after GS a 0", () => {
    expect(toHex(PAPER_SENSOR_REQUEST)).toBe("1d7201");
    expect(toHex(AUTOMATIC_STATUS_OFF)).toBe("1d6100");
  });

  test.each(vectors.replies)("$clause: $hex", ({ part, hex, means }) => {
    expect(DECODERS[part]?.(fromHex(hex)[0] ?? -1)).toEqual(means);
  });

  test.each(vectors.streams)("is picked out of the line: $clause", ({ hex, replies, discarded }) => {
    const decoder = new StatusDecoder();
    expect(decoder.push(fromHex(hex)).map(spell)).toEqual(replies);
    expect(decoder.discarded).toBe(discarded);
  });

  test("is the same however the line cuts the bytes into chunks", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const whole = new StatusDecoder();
        const bitwise = new StatusDecoder();
        const one = whole.push(bytes).map(spell);
        const other = [...bytes].flatMap((byte) => bitwise.push(Uint8Array.of(byte))).map(spell);
        expect(other).toEqual(one);
        expect(bitwise.discarded).toBe(whole.discarded);
      }),
    );
  });

  test("loses no byte: each is in a reply, discarded, held back or flow control", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const decoder = new StatusDecoder();
        const replied = decoder.push(bytes).reduce((sum, reply) => sum + (reply.kind === "automatic" ? 4 : 1), 0);
        const flow = bytes.filter((byte) => byte === 0x11 || byte === 0x13).length;
        const heldBack = bytes.length - replied - decoder.discarded - flow;
        expect(heldBack).toBeGreaterThanOrEqual(0);
        expect(heldBack).toBeLessThanOrEqual(3);
      }),
    );
  });

  test("throws nothing but a Fault for any byte", () => {
    for (const decode of Object.values(DECODERS)) {
      for (let byte = -1; byte <= 256; byte += 1) {
        try {
          decode(byte);
        } catch (error) {
          expect(isFault(error, "codec.invalid")).toBe(true);
        }
      }
    }
  });
});
