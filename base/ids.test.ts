import { expect, test } from "vitest";
import { toHex } from "./bytes.ts";
import { systemRandom } from "./ids.ts";

test("the system's random bytes are as many as asked for, and none comes twice", () => {
  const drawn = [1, 4, 4, 7, 16, 17, 32, 1_000].map((length) => [length, systemRandom(length).length]);
  expect(drawn.every(([asked, given]) => asked === given)).toBe(true);
  // More than one pool's worth: a pool that was not filled anew, or whose bytes were given out twice, would show.
  const many = Array.from({ length: 2_000 }, () => toHex(systemRandom(8)));
  expect(new Set(many).size).toBe(many.length);
  expect(many).not.toContain("0000000000000000");
});

test("what was drawn belongs to who drew it", () => {
  const mine = systemRandom(8);
  const copy = toHex(mine);
  for (let draw = 0; draw < 200; draw += 1) systemRandom(8).fill(0xff);
  expect(toHex(mine)).toBe(copy);
});
