/** Runs seeds with a planted bug until an oracle sees it: a simulator that catches none of them proves nothing. */
import { Fault, isFault } from "../../base/fault.ts";
import type { FaultClass } from "../../test/simulation/plan.ts";
import type { Plant } from "../../test/simulation/plants/plant.ts";
import { PLANTS } from "../../test/simulation/plants/plants.ts";
import { Pool } from "./pool.ts";

export interface HuntOptions {
  /** One of them; all when absent. */
  readonly plant?: string;
  readonly first?: number;
  readonly seeds: number;
  readonly sales: number;
  readonly without: readonly FaultClass[];
  readonly onProgress: (text: string) => void;
}

export interface Caught {
  readonly plant: Plant;
  /** How many seeds it took; undefined when none caught it. */
  readonly seeds: number | undefined;
  readonly violation: string;
}

export async function huntPlant(plant: Plant, options: HuntOptions): Promise<Caught> {
  await using pool = new Pool({ workers: 1, plant: plant.name });
  const { first = 1, seeds, sales, without } = options;
  for (let tried = 1; tried <= seeds; tried += 1) {
    const order = { seed: String(first + tried - 1), sales, without: [...without], twice: false };
    const violation = await firstViolation(pool, order);
    if (violation !== undefined) return { plant, seeds: tried, violation };
  }
  return { plant, seeds: undefined, violation: "" };
}

async function firstViolation(pool: Pool, order: Parameters<Pool["run"]>[0]): Promise<string | undefined> {
  try {
    return (await pool.run(order)).violations[0];
  } catch (error) {
    if (isFault(error, "aborted")) return error.message;
    throw error;
  }
}

/** The exit code: 0 when each was caught. */
export async function huntPlants(options: HuntOptions): Promise<number> {
  const plants = options.plant === undefined ? PLANTS : PLANTS.filter(({ name }) => name === options.plant);
  if (plants.length === 0) {
    const names = PLANTS.map(({ name }) => name).join(", ");
    throw new Fault("config.invalid", `--plant: no bug is called "${options.plant}"; one of ${names}`);
  }
  let missed = 0;
  for (const plant of plants) {
    const { seeds, violation } = await huntPlant(plant, options);
    if (seeds === undefined) missed += 1;
    const how = seeds === undefined ? `NOT CAUGHT in ${options.seeds} seeds` : `caught at seed ${seeds}: ${violation}`;
    options.onProgress(`${plant.name.padEnd(40)} ${how}`);
  }
  options.onProgress(`${plants.length - missed} of ${plants.length} planted bugs caught`);
  return missed === 0 ? 0 : 1;
}
