import fc from "fast-check";
import { expect, test } from "vitest";
import { MqttSizeGuard } from "./mqtt-size-guard.ts";

/** A packet of this many bytes after its fixed header. */
function packet(length: number): Buffer {
  const header = [0x30];
  let rest = length;
  do {
    const byte = rest % 128;
    rest = Math.floor(rest / 128);
    header.push(rest > 0 ? byte | 0x80 : byte);
  } while (rest > 0);
  return Buffer.concat([Buffer.from(header), Buffer.alloc(length, 0xff)]);
}

test("packets up to the limit pass, however the bytes are cut; one byte more does not", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 8 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 50 }), (lengths, cut) => {
      const guard = new MqttSizeGuard(300);
      const bytes = Buffer.concat([...lengths, 300].map(packet));
      for (let at = 0; at < bytes.length; at += cut) expect(guard.accepts(bytes.subarray(at, at + cut))).toBe(true);
      expect(guard.accepts(packet(301).subarray(0, 3))).toBe(false);
    }),
  );
});

test("a length of more than four bytes is malformed", () => {
  expect(new MqttSizeGuard(1e9).accepts(Uint8Array.of(0x10, 0x80, 0x80, 0x80, 0x80))).toBe(false);
});
