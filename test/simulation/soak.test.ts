/** A soak that is ended early ends in good order, with what it has run. */
import { expect, test } from "vitest";
import { soak } from "../../scripts/soak/soak.ts";

test("a soak that is interrupted ends after the seeds under way, and counts what was run", {
  timeout: 60_000,
}, async () => {
  const ending = new AbortController();
  const running = soak({
    seeds: Array.from({ length: 50 }, (_, at) => `ended-${at}`),
    sales: 3,
    workers: 1,
    without: [],
    twiceEvery: 100,
    signal: ending.signal,
    onProgress: () => ending.abort(),
  });
  const { seeds, failures, sales } = await running;
  expect(failures).toEqual([]);
  expect(seeds).toBeGreaterThan(0);
  expect(seeds).toBeLessThan(50);
  expect(sales).toBeGreaterThan(0);
});
