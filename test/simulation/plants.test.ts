/** What nobody can see, nobody has looked for: each bug that others shipped is planted, and must be caught. */
import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { type Caught, huntAll } from "../../scripts/soak/hunt.ts";
import { PLANTS } from "./plants/plants.ts";

/** Those with which each bug's own seed was found. */
const SALES = 80;
/** Tried after a bug's own seed, which the product may have outgrown. */
const MORE_SEEDS = Array.from({ length: 50 }, (_, index) => String(index + 1));
const WITHIN_MS = 900_000;
/** As many as a run of all tests has time for; other ones each day. `tillway soak --plants` hunts them all. */
const SAMPLE = 10;
const DAY_MS = 86_400_000;
const first = Math.floor(Date.now() / DAY_MS) * SAMPLE;
const sample = Array.from({ length: SAMPLE }, (_, at) => PLANTS[(first + at) % PLANTS.length]).filter(
  (plant) => plant !== undefined,
);

test("every planted bug of today's sample is caught", { timeout: WITHIN_MS }, async () => {
  const caught = await huntAll(sample, {
    seeds: ({ seed }) => [seed, ...MORE_SEEDS.filter((other) => other !== seed)],
    sales: SALES,
    without: [],
    at: availableParallelism(),
    onCaught: tell,
  });
  expect(caught.filter(({ seeds }) => seeds === undefined).map(({ plant }) => plant.name)).toEqual([]);
});

const tell = ({ plant, seed, seeds, violation }: Caught): void => {
  const how = seeds === undefined ? "not caught" : `caught by seed ${seed}${seeds === 1 ? "" : `, the ${seeds}th`}`;
  process.stdout.write(`${plant.name}: ${how}: ${violation}\n`);
};
