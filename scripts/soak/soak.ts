/** Many seeds, many worlds: runs them, adds up what happened, and stops at nothing until all are done. */
import { isFault } from "../../base/fault.ts";
import { Counts } from "../../sim/world/counts.ts";
import { classHits, type FaultClass } from "../../test/simulation/fault-classes.ts";
import type { Figure } from "../bench/figures.ts";
import type { Order, WorkerReport } from "./orders.ts";
import { Pool } from "./pool.ts";
import { replayCommand, shrink } from "./shrink.ts";

export interface SoakOptions {
  readonly seeds: readonly string[];
  readonly sales: number;
  readonly workers: number;
  readonly without: readonly FaultClass[];
  /** Every so manieth seed is run twice and its traces compared. */
  readonly twiceEvery: number;
  /** Ends the soak after the seeds that are under way. */
  readonly signal?: AbortSignal;
  readonly onProgress: (text: string) => void;
}

export interface Failure {
  readonly seed: string;
  readonly violations: readonly string[];
  /** The smallest that still fails. */
  readonly command: string;
  /** The end of its trace. */
  readonly tail: readonly string[];
}

export interface SoakResult {
  readonly seeds: number;
  readonly sales: number;
  readonly accepted: number;
  readonly refused: number;
  readonly lostWithDisk: number;
  readonly simulatedMs: number;
  readonly wallMs: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: readonly Failure[];
  /** The end of the last seed's trace. */
  readonly tail: readonly string[];
}

const PROGRESS_EVERY_MS = 5_000;
/** More failing seeds than this are counted and not made smaller: their first will do. */
const SHRUNK_MAX = 5;

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { seeds, workers, onProgress } = options;
  await using pool = new Pool({ workers });
  const sums = { seeds: 0, sales: 0, accepted: 0, refused: 0, lostWithDisk: 0, simulatedMs: 0 };
  const counts = new Counts();
  const failures: Failure[] = [];
  let tail: readonly string[] = [];
  const beganMs = performance.now();
  let toldMs = beganMs;
  const one = async (seed: string, index: number): Promise<void> => {
    const order: Order = {
      seed,
      sales: options.sales,
      without: [...options.without],
      twice: index % options.twiceEvery === 0,
    };
    const report = await runOrDie(pool, order);
    for (const name of ["sales", "accepted", "refused", "lostWithDisk", "simulatedMs"] as const)
      sums[name] += report[name];
    sums.seeds += 1;
    tail = report.tail;
    counts.addAll(report.counts);
    const [violation] = report.violations;
    // At once, for whoever ends a long soak early; how it is made smaller stands at the end.
    if (violation !== undefined) {
      onProgress(`seed ${seed} fails: ${violation}`);
      failures.push(await explain(pool, { order, report }, failures.length < SHRUNK_MAX));
    }
    if (performance.now() - toldMs < PROGRESS_EVERY_MS) return;
    toldMs = performance.now();
    const rate = sums.sales / ((toldMs - beganMs) / 1_000);
    onProgress(
      `${sums.seeds} of ${seeds.length} seeds, ${sums.sales} sales (${rate.toFixed(0)}/s), ${failures.length} failing`,
    );
  };
  await eachOf({ seeds, at: workers, work: one, signal: options.signal });
  return { ...sums, counts: counts.table(), failures, tail, wallMs: performance.now() - beganMs };
}

interface Each {
  readonly seeds: readonly string[];
  readonly at: number;
  readonly signal: AbortSignal | undefined;
  work(seed: string, index: number): Promise<void>;
}

/** A few at a time, in order. */
async function eachOf({ seeds, at, work, signal }: Each): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (!signal?.aborted) {
      const index = next;
      next += 1;
      const seed = seeds[index];
      if (seed === undefined) return;
      await work(seed, index);
    }
  };
  await Promise.all(Array.from({ length: at }, lane));
}

/** A process that died of its seed is a violation like any other. */
async function runOrDie(pool: Pool, order: Order): Promise<WorkerReport> {
  try {
    return await pool.run(order);
  } catch (error) {
    if (!isFault(error, "aborted")) throw error;
    return { ...NOTHING, seed: order.seed, violations: [error.message] };
  }
}

const NOTHING = {
  sales: 0,
  accepted: 0,
  refused: 0,
  lostWithDisk: 0,
  terminals: 0,
  simulatedMs: 0,
  events: 0,
  traceHash: "",
  counts: {},
  tail: [],
  wallMs: 0,
};

async function explain(
  pool: Pool,
  failing: { readonly order: Order; readonly report: WorkerReport },
  smaller: boolean,
): Promise<Failure> {
  const { order, report } = smaller ? await shrink(failing, (smallerOrder) => runOrDie(pool, smallerOrder)) : failing;
  return { seed: order.seed, violations: report.violations, command: replayCommand(order), tail: report.tail };
}

/** The figures of a soak, by the names under which they are followed. */
export function soakFigures({ seeds, sales, failures, counts }: SoakResult): Figure[] {
  const figure = (name: string, value: number, unit: string): Figure => ({ figure: name, value, unit, runs: 1 });
  return [
    figure("soak.seeds", seeds, "seeds"),
    figure("soak.sales", sales, "sales"),
    figure("soak.violations", failures.length, "seeds"),
    ...classHits(counts).map(({ name, hits }) => figure(`soak.class.${name}`, hits, "hits")),
    ...Object.entries(counts).map(([name, hits]) => figure(`soak.faults.${name}`, hits, "hits")),
  ];
}
