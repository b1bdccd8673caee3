/** What a broken issuer sends: messages cut short, too long, packed wrongly or asked for by nobody. */
import { concat } from "../../base/bytes.ts";
import type { RandomBytes } from "../../base/ids.ts";
import { encodeFrame } from "../../protocols/iso8583/frame.ts";
import { DE, type Iso8583Codec } from "../../protocols/iso8583/message.ts";
import type { MtiVersion } from "../../protocols/iso8583/spec.ts";

/**
 * `truncated`: a message that ends in its middle. `over-long`: one with more behind it. `wrongly-packed`: with a byte that its
 * field cannot have. `unsolicited`: a whole answer to nothing. `oversized`: longer than any link takes. `misframed`: shorter than
 * its length says, which takes the next one's beginning for its end.
 */
export const GARBAGE_KINDS = [
  "truncated",
  "over-long",
  "wrongly-packed",
  "unsolicited",
  "oversized",
  "misframed",
] as const;
export type GarbageKind = (typeof GARBAGE_KINDS)[number];

export interface GarbageMaker {
  readonly codec: Iso8583Codec;
  readonly version: MtiVersion;
  readonly random: RandomBytes;
}

/** One piece, with its frame. */
export function garbage(kind: GarbageKind, maker: GarbageMaker): Uint8Array {
  const message = unsolicited(maker);
  switch (kind) {
    case "truncated":
      return encodeFrame(message.subarray(0, 1 + (pick(maker) % (message.length - 1))));
    case "over-long":
      return encodeFrame(concat(message, maker.random(1 + (pick(maker) % MORE_BYTES_MAX))));
    case "wrongly-packed":
      // The field's last digit, whatever the encoding: neither a digit nor two of them.
      return encodeFrame(message.with(message.length - 1, 0xff));
    case "unsolicited":
      return encodeFrame(message);
    case "oversized":
      return concat(Uint8Array.of(0xff, 0xff), message, new Uint8Array(0xffff - message.length));
    case "misframed":
      return encodeFrame(message).subarray(0, -CUT_BYTES);
  }
}

const MORE_BYTES_MAX = 64;
const CUT_BYTES = 12;

/** Its last field is of digits. */
function unsolicited({ codec, version, random }: GarbageMaker): Uint8Array<ArrayBuffer> {
  const [a = 0, b = 0] = random(2);
  return codec.pack({
    mti: `${version}210`,
    fields: {
      [DE.transmissionDateTime]: "0101000000",
      [DE.stan]: String(a * 0x100 + b + 1).padStart(6, "0"),
      [DE.acquirer]: "99999999999",
    },
  });
}

const pick = ({ random }: GarbageMaker): number => random(1)[0] ?? 0;
