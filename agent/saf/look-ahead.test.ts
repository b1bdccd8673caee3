import { describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import type { ForwardableEntry } from "../journal/journal.ts";
import { LookAhead } from "./look-ahead.ts";
import { Underway } from "./underway.ts";

const entry = (sequence: number): ForwardableEntry => ({
  sequence,
  forward: sequence,
  paymentId: `p-${sequence}` as PaymentId,
  accounts: [],
  text: "{}",
  hash: "00".repeat(32),
  previousHash: "00".repeat(32),
});

/** A queue in memory that counts how often it is read. */
function queueOf(first: number) {
  const entries = Array.from({ length: first }, (_, at) => entry(at + 1));
  const queue = { entries, reads: 0 };
  const read = (limit: number, past: number) => {
    queue.reads += 1;
    return queue.entries.filter(({ sequence }) => sequence > past).slice(0, limit);
  };
  return { queue, ahead: new LookAhead(read, new Underway()) };
}
const sequences = (entries: readonly ForwardableEntry[]) => entries.map(({ sequence }) => sequence);

describe("the look ahead", () => {
  test("reads a queue that has not grown once, however often it is asked", () => {
    const { queue, ahead } = queueOf(3);
    expect(sequences(ahead.take())).toEqual([1, 2, 3]);
    for (let asked = 0; asked < 10; asked += 1) expect(ahead.take()).toEqual([]);
    expect(queue.reads).toBe(1);
  });

  test("finds what was added behind, and what came to wait anew", () => {
    const { queue, ahead } = queueOf(2);
    ahead.take();
    queue.entries.push(entry(3));
    ahead.grown();
    expect(sequences(ahead.take())).toEqual([3]);
    ahead.rereadFrom(2);
    expect(sequences(ahead.take())).toEqual([2, 3]);
  });

  test("reads all of a long queue in its order", () => {
    const { ahead } = queueOf(1_000);
    const taken: number[] = [];
    for (let batch = ahead.take(); batch.length > 0; batch = ahead.take()) taken.push(...sequences(batch));
    expect(taken).toEqual(Array.from({ length: 1_000 }, (_, at) => at + 1));
  });
});
