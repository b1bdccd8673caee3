/** Fresh seeds, other ones each time: what goes wrong in one of them is printed with the command that shows it again. */
import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { soak } from "../../scripts/soak/soak.ts";

/** As many as fit into two minutes on two cores that run other tests as well; `tillway soak` takes any number. */
const SEEDS = 100;
const SALES = 40;
const WITHIN_MS = 600_000;

test("no fresh seed loses or doubles a sale, nor leaves one unexplained", { timeout: WITHIN_MS }, async () => {
  const first = Date.now() % 1_000_000_000;
  const seeds = Array.from({ length: SEEDS }, (_, at) => String(first + at));
  process.stderr.write(`seeds ${seeds[0]} to ${seeds.at(-1)}, ${SALES} sales each\n`);
  const { failures, accepted } = await soak({
    seeds,
    sales: SALES,
    workers: availableParallelism(),
    without: [],
    twiceEvery: 20,
    onProgress: () => undefined,
  });
  expect(failures.map(({ seed, command, violations }) => ({ seed, command, violations }))).toEqual([]);
  expect(accepted).toBeGreaterThan(SEEDS);
});
