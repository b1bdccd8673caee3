/** Runs seeds with a planted bug until an oracle sees it: a simulator that catches none of them proves nothing. */
import { Fault, isFault } from "../../base/fault.ts";
import type { FaultClass } from "../../test/simulation/fault-classes.ts";
import type { Plant } from "../../test/simulation/plants/plant.ts";
import { PLANTS } from "../../test/simulation/plants/plants.ts";
import type { Order } from "./orders.ts";
import { Pool } from "./pool.ts";

/** A world that comes to no end is a finding like any other, and hunters have others to look at. */
const SEED_WITHIN_MS = 120_000;

export interface HuntOptions {
  /** The seeds to try, in this order. */
  readonly seeds: (plant: Plant) => readonly string[];
  readonly sales: number;
  readonly without: readonly FaultClass[];
  /** How many plants are hunted at one time. */
  readonly at: number;
  readonly onCaught: (caught: Caught) => void;
}

export interface Caught {
  readonly plant: Plant;
  /** How many seeds it took; undefined when none caught it. */
  readonly seeds: number | undefined;
  /** The one that caught it, and what was seen. */
  readonly seed: string;
  readonly violation: string;
}

/** Hunts some plants at a time; the results in the order of the plants. */
export async function huntAll(plants: readonly Plant[], options: HuntOptions): Promise<readonly Caught[]> {
  await using pool = new Pool({ workers: options.at, seedWithinMs: SEED_WITHIN_MS });
  const controls = new Map<string, Promise<string | undefined>>();
  const control = (order: Order): Promise<string | undefined> => {
    const known = controls.get(order.seed) ?? firstViolation(pool, order);
    controls.set(order.seed, known);
    return known;
  };
  const results = new Map<Plant, Caught>();
  const left = [...plants];
  const lane = async () => {
    for (let plant = left.shift(); plant; plant = left.shift()) {
      const caught = await huntPlant(plant, control, options);
      results.set(plant, caught);
      options.onCaught(caught);
    }
  };
  await Promise.all(Array.from({ length: options.at }, lane));
  return plants.flatMap((plant) => results.get(plant) ?? []);
}

type Control = (order: Order) => Promise<string | undefined>;

async function huntPlant(plant: Plant, control: Control, options: HuntOptions): Promise<Caught> {
  await using pool = new Pool({ workers: 1, plant: plant.name, seedWithinMs: SEED_WITHIN_MS });
  let seeds = 0;
  for (const seed of options.seeds(plant)) {
    seeds += 1;
    const order = { seed, sales: options.sales, without: [...options.without], twice: false };
    const violation = await firstViolation(pool, order);
    if (violation === undefined) continue;
    // What fails without the bug as well says nothing about it.
    if ((await control(order)) === undefined) return { plant, seeds, seed, violation };
  }
  return { plant, seeds: undefined, seed: "", violation: "" };
}

async function firstViolation(pool: Pool, order: Order): Promise<string | undefined> {
  try {
    return (await pool.run(order)).violations[0];
  } catch (error) {
    if (isFault(error, "aborted")) return error.message;
    throw error;
  }
}

export interface HuntFlags {
  /** One of them; all when absent. */
  readonly plant?: string;
  readonly first?: number;
  readonly seeds: number;
  readonly sales: number;
  readonly workers: number;
  readonly without: readonly FaultClass[];
  readonly onProgress: (text: string) => void;
}

/** Hunts them through seeds that count up, and shows the table; the exit code is 0 when each was caught. */
export async function huntPlants({ first = 1, onProgress, ...flags }: HuntFlags): Promise<number> {
  const seeds = Array.from({ length: flags.seeds }, (_, index) => String(first + index));
  const caught = await huntAll(plantsNamed(flags.plant), {
    ...flags,
    seeds: () => seeds,
    at: flags.workers,
    onCaught: (one) => onProgress(lineOf(one)),
  });
  const missed = caught.filter((one) => one.seeds === undefined);
  onProgress(
    `${caught.length - missed.length} of ${caught.length} planted bugs caught within ${flags.seeds} seeds each`,
  );
  for (const { plant } of missed) onProgress(`NOT CAUGHT: ${plant.name} (${plant.shippedBy})`);
  return missed.length === 0 ? 0 : 1;
}

function plantsNamed(name: string | undefined): readonly Plant[] {
  const plants = name === undefined ? PLANTS : PLANTS.filter((plant) => plant.name === name);
  if (plants.length > 0) return plants;
  const names = PLANTS.map((plant) => plant.name).join(", ");
  throw new Fault("config.invalid", `--plant: no bug is called "${name}"; one of ${names}`);
}

const lineOf = ({ plant, seeds, seed, violation }: Caught): string =>
  `${plant.name.padEnd(40)} ${seeds === undefined ? "-" : `${String(seeds).padStart(3)} seeds (${seed})  ${violation}`}`;
