import fc from "fast-check";
import { expect, test } from "vitest";
import { Chance, ChanceStream } from "./chance.ts";

const draws = (stream: ChanceStream, count = 50): number[] => Array.from({ length: count }, () => stream.next());

test("the same seed draws the same on every machine", () => {
  expect(draws(new ChanceStream("seed"), 4)).toEqual(draws(new ChanceStream("seed"), 4));
  expect(draws(new ChanceStream("seed"), 3)).toEqual([21_011_743, 2_974_243_541, 3_352_686_393]);
  expect(draws(new ChanceStream("seed"))).not.toEqual(draws(new ChanceStream("seee")));
});

test("a draw more from one stream shifts no other", () => {
  const one = new Chance("world");
  const other = new Chance("world");
  one.stream("disk").next();
  expect(draws(one.stream("network"))).toEqual(draws(other.stream("network")));
  expect(draws(one.stream("disk"))).not.toEqual(draws(other.stream("disk")));
  expect(draws(one.stream("a"))).not.toEqual(draws(one.stream("b")));
});

test("a stream goes on where it was, whoever asks for it", () => {
  const chance = new Chance("world");
  const whole = draws(new Chance("world").stream("x"), 4);
  expect([...draws(chance.stream("x"), 2), ...draws(chance.stream("x"), 2)]).toEqual(whole);
});

test("draws stay within their bounds and reach both ends", () => {
  const stream = new ChanceStream("bounds");
  const seen = new Set(Array.from({ length: 200 }, () => stream.between(-2, 2)));
  expect([...seen].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
  expect(Array.from({ length: 100 }, () => stream.below(1))).toEqual(Array.from({ length: 100 }, () => 0));
});

test("what happens with a probability happens about so often", () => {
  const stream = new ChanceStream("often");
  const hits = Array.from({ length: 10_000 }, () => stream.happens(0.3)).filter(Boolean).length;
  expect(hits).toBeGreaterThan(2_800);
  expect(hits).toBeLessThan(3_200);
  expect(stream.happens(0)).toBe(false);
  expect(stream.happens(1)).toBe(true);
});

test("a shuffle loses and doubles nothing", () => {
  fc.assert(
    fc.property(fc.string(), fc.array(fc.option(fc.nat(), { nil: 0 })), (seed, list) => {
      const drawn = new ChanceStream(seed).shuffled(list);
      expect(drawn.sort((a, b) => a - b)).toEqual(list.toSorted((a, b) => a - b));
    }),
  );
});

test("bytes come in the length asked for, each value as often as another", () => {
  const stream = new ChanceStream("bytes");
  expect(stream.bytes(7)).toHaveLength(7);
  const counts = new Array<number>(256).fill(0);
  for (const byte of stream.bytes(256_000)) counts[byte] = (counts[byte] ?? 0) + 1;
  expect(Math.min(...counts)).toBeGreaterThan(800);
  expect(Math.max(...counts)).toBeLessThan(1_200);
});
