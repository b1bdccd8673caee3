/** What either end does with bytes that come under the name of a message. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Fault } from "../base/fault.ts";
import { decodeDown, decodeUp, encodeEnvelope, MESSAGE_BYTES_MAX } from "./envelope.ts";

const sample = (name: string): string =>
  readFileSync(new URL(`../test/vectors/wire/${name}.json`, import.meta.url), "utf8");

const faultOf = (work: () => unknown): Fault => {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("it was taken");
};

test("what is encoded is decoded again, from text and from bytes", () => {
  const up = decodeUp(sample("advice.batch"));
  expect(decodeUp(encodeEnvelope(up))).toEqual(up);
  expect(decodeUp(Buffer.from(encodeEnvelope(up)))).toEqual(up);
  const down = decodeDown(sample("receipt"));
  expect(decodeDown(encodeEnvelope(down))).toEqual(down);
});

test("a message for the other direction is refused", () => {
  expect(faultOf(() => decodeUp(sample("receipt"))).code).toBe("message.invalid");
  expect(faultOf(() => decodeDown(sample("presence"))).code).toBe("message.invalid");
});

test("a refusal names the field", () => {
  const text = sample("authorisation.request").replace('"minor": "1250"', '"minor": "12.50"');
  expect(faultOf(() => decodeUp(text)).message).toContain("body.amount.minor");
});

test("another version of the envelope is refused", () => {
  expect(faultOf(() => decodeUp(sample("presence").replace('"v": 1', '"v": 2'))).code).toBe("message.invalid");
});

test("a message over the limit is refused before it is read", () => {
  expect(faultOf(() => decodeUp(" ".repeat(MESSAGE_BYTES_MAX + 1))).code).toBe("codec.too-long");
  expect(faultOf(() => decodeUp(new Uint8Array(MESSAGE_BYTES_MAX + 1))).code).toBe("codec.too-long");
});

test("whatever bytes come, decoding gives a Fault and nothing else", () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.json()), (bytes) => {
      expect(["message.invalid", "codec.too-long"]).toContain(faultOf(() => decodeUp(bytes)).code);
      expect(["message.invalid", "codec.too-long"]).toContain(faultOf(() => decodeDown(bytes)).code);
    }),
  );
});

test("a sample with any one character changed is taken or refused, never a crash", () => {
  const text = sample("advice.batch");
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, character) => {
      const changed = text.slice(0, at) + character + text.slice(at + 1);
      try {
        decodeUp(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(Fault);
      }
    }),
  );
});
