import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { encodeFrame, FRAME_BYTES_MAX, FrameDecoder, type Framed } from "./frame.ts";

const bytesOf = (framed: readonly Framed[]) =>
  framed.flatMap((one) => (one.what === "message" ? [[...one.bytes]] : []));
const ascii = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));

/** Cut where the numbers say, each the share of what is left. */
function chunksOf(bytes: Uint8Array, cuts: readonly number[]): readonly Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (const cut of cuts) {
    const end = at + Math.min(cut, bytes.length - at);
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return [...chunks, bytes.subarray(at)];
}

describe("frames of two length bytes", () => {
  test("the length stands in front, the most significant byte first, and does not count itself", () => {
    expect([...encodeFrame(ascii("0800"))]).toEqual([0x00, 0x04, 0x30, 0x38, 0x30, 0x30]);
    expect([...encodeFrame(new Uint8Array(300)).subarray(0, 2)]).toEqual([0x01, 0x2c]);
  });

  test("a message over the limit is not written", () => {
    expect(() => encodeFrame(new Uint8Array(FRAME_BYTES_MAX + 1))).toThrow(/has up to 8192 bytes/);
    expect(encodeFrame(new Uint8Array(FRAME_BYTES_MAX)).length).toBe(FRAME_BYTES_MAX + 2);
  });

  test("messages come out whole and in order, however TCP takes them apart", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 12 }),
        fc.array(fc.nat(30), { maxLength: 40 }),
        (messages, cuts) => {
          const decoder = new FrameDecoder();
          const stream = concat(...messages.map(encodeFrame));
          const framed = chunksOf(stream, cuts).flatMap((chunk) => decoder.push(chunk));
          expect(bytesOf(framed)).toEqual(messages.map((message) => [...message]));
          expect(decoder.partial).toBe(false);
        },
      ),
    );
  });

  test("what comes out is not changed by what comes later", () => {
    const decoder = new FrameDecoder();
    const [first] = decoder.push(encodeFrame(ascii("0210")));
    decoder.push(encodeFrame(ascii("0430")));
    expect(bytesOf(first ? [first] : [])).toEqual([[...ascii("0210")]]);
  });

  test("a begun message is told, so that a stall can be", () => {
    const decoder = new FrameDecoder();
    expect(decoder.partial).toBe(false);
    decoder.push(Uint8Array.of(0));
    expect(decoder.partial).toBe(true);
    decoder.push(Uint8Array.of(4, 0x30));
    expect(decoder.partial).toBe(true);
    decoder.push(ascii("800"));
    expect(decoder.partial).toBe(false);
  });

  test("an empty frame is told and takes nothing with it", () => {
    const decoder = new FrameDecoder();
    const framed = decoder.push(concat(Uint8Array.of(0, 0), encodeFrame(ascii("0810"))));
    expect(framed[0]).toEqual({ what: "dropped", why: "empty", announcedBytes: 0 });
    expect(bytesOf(framed)).toEqual([[...ascii("0810")]]);
  });

  test.each([
    ["ASCII", ascii("0210")],
    ["BCD", Uint8Array.of(0x02, 0x10, 0xc2, 0x00)],
  ])("a message over the limit in %s is passed over to its end, and the next one is read", (_, head) => {
    const long = concat(Uint8Array.of(0xff, 0xff), head, new Uint8Array(0xffff - head.length));
    const decoder = new FrameDecoder();
    const stream = concat(long, encodeFrame(ascii("0810")));
    const framed = chunksOf(stream, [1, 3, 1_000, 60_000]).flatMap((chunk) => decoder.push(chunk));
    expect(framed[0]).toEqual({ what: "dropped", why: "too-long", announcedBytes: 0xffff });
    expect(bytesOf(framed)).toEqual([[...ascii("0810")]]);
  });

  test("a length over the limit with no message behind it loses the stream, and nothing after it is read", () => {
    const decoder = new FrameDecoder();
    // Sixty of a hundred bytes: the rest is taken out of the next message, and its text for a length.
    const cut = encodeFrame(concat(ascii("0210"), new Uint8Array(96).fill(0x41))).subarray(0, 62);
    const next = encodeFrame(ascii(`0210${"7".repeat(96)}`));
    const framed = decoder.push(concat(cut, next, next));
    expect(framed.map((one) => (one.what === "message" ? "message" : one.why))).toEqual(["message", "lost"]);
    expect(decoder.push(encodeFrame(ascii("0810")))).toEqual([]);
  });

  test("random bytes throw nothing, and no more than one message is kept", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 30 }),
        fc.integer({ min: 1, max: 64 }),
        (chunks, bytesMax) => {
          const decoder = new FrameDecoder({ bytesMax });
          const framed = chunks.flatMap((chunk) => decoder.push(chunk));
          for (const bytes of bytesOf(framed)) expect(bytes.length).toBeLessThanOrEqual(bytesMax);
          const lost = framed.findIndex((one) => one.what === "dropped" && one.why === "lost");
          if (lost >= 0) expect(lost).toBe(framed.length - 1);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("the fault of a long message is the codec's", () => {
    try {
      encodeFrame(new Uint8Array(FRAME_BYTES_MAX + 1));
      expect.unreachable();
    } catch (error) {
      expect(isFault(error, "codec.too-long")).toBe(true);
    }
  });
});
