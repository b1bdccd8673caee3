import { describe, expect, test } from "vitest";
import { isFault } from "../../base/fault.ts";
import { systemRandom } from "../../base/ids.ts";
import { createIso8583Codec } from "../../protocols/iso8583/codec.ts";
import { encodeFrame, FrameDecoder } from "../../protocols/iso8583/frame.ts";
import { SPEC_1987_ASCII, SPEC_1987_BCD, SPEC_1987_BINARY, SPEC_1993_ASCII } from "../../protocols/iso8583/specs.ts";
import { GARBAGE_KINDS, type GarbageKind, garbage } from "./garbage.ts";

/** What a reader makes of it, and of a good message behind it. */
const EXPECTED: Readonly<Partial<Record<GarbageKind, readonly string[]>>> = {
  truncated: ["codec.truncated", "read"],
  "over-long": ["codec.too-long", "read"],
  "wrongly-packed": ["codec.invalid", "read"],
  unsolicited: ["read", "read"],
  oversized: ["too-long", "read"],
};

describe.each([SPEC_1987_ASCII, SPEC_1987_BINARY, SPEC_1987_BCD, SPEC_1993_ASCII])("garbage in $name", (spec) => {
  const codec = createIso8583Codec(spec);
  const maker = { codec, version: spec.version, random: systemRandom };
  const good = encodeFrame(codec.pack({ mti: `${spec.version}810`, fields: { 11: "000001" } }));

  test.each(GARBAGE_KINDS.filter((kind) => kind !== "misframed"))("%s is what it says, each time", (kind) => {
    for (let time = 0; time < 50; time += 1) {
      const decoder = new FrameDecoder();
      const read = [...decoder.push(garbage(kind, maker)), ...decoder.push(good)].map((framed) => {
        if (framed.what === "dropped") return framed.why;
        try {
          codec.unpack(framed.bytes);
          return "read";
        } catch (error) {
          return isFault(error) ? error.code : "bug";
        }
      });
      expect(read).toEqual(EXPECTED[kind]);
    }
  });

  test("misframed takes from the next message", () => {
    const decoder = new FrameDecoder();
    expect(decoder.push(garbage("misframed", maker))).toEqual([]);
    expect(decoder.partial).toBe(true);
  });
});
