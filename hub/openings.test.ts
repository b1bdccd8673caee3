import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { systemClock } from "../base/clock.ts";
import { systemRandom, type TerminalId } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import { openCardData, type SealedCardData, sealCardData } from "../wire/card-data.ts";
import { createOpenings } from "./openings.ts";
import { newSealingKeys } from "./sealing-ring.ts";

const TERMINAL = "T1" as TerminalId;
const DATA = { pan: "9999990000000015", expiry: "3012" };

function world() {
  const [first, second] = [newSealingKeys(), newSealingKeys()];
  const keys = { find: (keyId: string) => [first, second].find((key) => key.keyId === keyId) };
  const openings = (threads: number) => createOpenings({ threads, keys, clock: systemClock, log: silentLog });
  const seal = (key = first): SealedCardData =>
    sealCardData({ data: DATA, terminalId: TERMINAL, paymentId: "P-1", key, random: systemRandom });
  return { first, second, openings, seal };
}

test("what was done ahead opens the seal of either key, and nothing else", async () => {
  const { first, second, openings, seal } = world();
  await using threads = openings(2);
  const seals = [seal(first), seal(second), seal(newSealingKeys()), { ...seal(first), enc: "AAAA" }];
  const [one, two, foreign, broken] = seals;
  await threads.prepare(seals);
  for (const [sealed, key] of [
    [one, first],
    [two, second],
  ] as const) {
    const opening = sealed && threads.of(sealed);
    expect(opening).toHaveLength(28);
    const { privateKey } = key;
    const input = { sealed: sealed as SealedCardData, terminalId: TERMINAL, paymentId: "P-1", privateKey };
    expect(openCardData({ ...input, opening })).toEqual(DATA);
    const wrong = new Uint8Array(createHash("sha256").update("x").digest()).subarray(0, 28);
    expect(() => openCardData({ ...input, opening: wrong })).toThrow("not sealed to this key");
  }
  expect([foreign, broken].map((sealed) => sealed && threads.of(sealed))).toEqual([undefined, undefined]);
});

test("without threads, and after their end, nothing is prepared and nobody waits", async () => {
  const { openings, seal } = world();
  const sealed = seal();
  await using none = openings(0);
  await none.prepare([sealed]);
  expect(none.of(sealed)).toBeUndefined();
});

test("a burst larger than a thread takes is opened where it is needed, and ending lets everybody go", async () => {
  const { openings, seal } = world();
  const threads = openings(1);
  const burst = Array.from({ length: 200 }, () => [seal()]);
  const waiting = Promise.all(burst.map((seals) => threads.prepare(seals)));
  await threads[Symbol.asyncDispose]();
  await waiting;
  const prepared = burst.filter(([sealed]) => sealed && threads.of(sealed)).length;
  expect(prepared).toBeLessThan(65);
});
