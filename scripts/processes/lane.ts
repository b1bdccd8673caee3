/** What every lane tells and takes: its counts, its failures with what replays them, and how far it is. */
import { ChanceStream } from "../../sim/world/chance.ts";

export interface LaneOptions {
  /** Its files; kept when something failed. Short, because Unix sockets lie in it. */
  readonly folder: string;
  readonly seed: string;
  readonly onProgress: (text: string) => void;
}

export interface LaneResult {
  readonly passed: number;
  readonly failures: readonly string[];
  /** Lanes that this machine cannot run, each with why. */
  readonly notRun: readonly string[];
  /** What was hit, and how often: a fault that never came proves nothing. */
  readonly counts: Readonly<Record<string, number>>;
}

export const notRun = (why: string): LaneResult => ({ passed: 0, failures: [], notRun: [why], counts: {} });

export class Counts {
  readonly #counts: Map<string, number>;

  constructor(counted: Readonly<Record<string, number>> = {}) {
    this.#counts = new Map(Object.entries(counted));
  }

  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  get all(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** Counts the milliseconds since it was last pressed under `ms:` and the name. */
export function stopwatch(counts: Counts): (name: string) => void {
  let last = performance.now();
  return (name) => {
    const now = performance.now();
    counts.add(`ms:${name}`, Math.round(now - last));
    last = now;
  };
}

export const chanceOf = (seed: string, what: string): ChanceStream => new ChanceStream(`${seed}/${what}`);

export function pickWeighted<K extends string>(chance: ChanceStream, weights: Readonly<Record<K, number>>): K {
  const entries = Object.entries(weights) as [K, number][];
  let draw = chance.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
  for (const [name, weight] of entries) {
    draw -= weight;
    if (draw < 0) return name;
  }
  throw new Error("broken invariant: a draw is below the sum of the weights");
}

export const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));
