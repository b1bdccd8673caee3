/** How fast a simulated day passes: one terminal with its hub, journal and ledger included; and how many faults a second. */
import { SimulatedDisk } from "../../sim/world/disk.ts";
import { FAULT_CLASSES } from "../../test/simulation/fault-classes.ts";
import { runSeed, type SeedReport } from "../../test/simulation/run-seed.ts";
import { buildVfs } from "../lib/build-vfs.ts";
import { type Figure, measured } from "./figures.ts";

const RUNS = 5;
const DAY_MS = 24 * 3_600_000;

export async function benchSimulate(options: {
  readonly sales: number;
  readonly onProgress: (text: string) => void;
}): Promise<Figure[]> {
  const disk = SimulatedDisk.load(buildVfs());
  const speeds: number[] = [];
  const faults: number[] = [];
  // The first of them compiles the code and is not counted.
  for (let run = 0; run <= RUNS; run += 1) {
    options.onProgress(`day ${run} of ${RUNS}`);
    const quiet = await timed(() =>
      runSeed({
        seed: `bench ${run}`,
        disk,
        sales: options.sales,
        shape: { terminals: 1, openMs: DAY_MS },
        without: new Set(FAULT_CLASSES),
      }),
    );
    const rough = await timed(() => runSeed({ seed: `bench ${run}`, disk, sales: options.sales, every: true }));
    if (run === 0) continue;
    speeds.push(quiet.report.simulatedMs / quiet.wallMs);
    faults.push(faultsOf(rough.report) / (rough.wallMs / 1_000));
  }
  return [
    measured({ figure: "simulate.speed", unit: "times real time" }, speeds),
    measured({ figure: "simulate.faults", unit: "faults/s" }, faults),
  ];
}

async function timed(run: () => Promise<SeedReport>): Promise<{ report: SeedReport; wallMs: number }> {
  const began = performance.now();
  const report = await run();
  if (report.violations.length > 0) throw new Error(`seed ${report.seed}: ${report.violations.join("; ")}`);
  return { report, wallMs: performance.now() - began };
}

/** What went wrong, and not what merely passed. */
const PASSED: ReadonlySet<string> = new Set(["network.sent", "network.delivered"]);
const faultsOf = ({ counts }: SeedReport): number =>
  Object.entries(counts).reduce((sum, [name, hits]) => (PASSED.has(name) ? sum : sum + hits), 0);
