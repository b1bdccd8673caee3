/** `tillway soak`: simulated days from many seeds, each judged by every oracle; and the planted bugs that prove the eyes. */
import { availableParallelism } from "node:os";
import { type Command, InvalidArgumentError } from "commander";
import { classHits, FAULT_CLASSES, type FaultClass } from "../../test/simulation/fault-classes.ts";
import { printFigures } from "../bench/figures.ts";

interface SoakFlags {
  readonly seeds: number;
  readonly first?: number;
  readonly seed?: string;
  readonly sales: number;
  readonly workers: number;
  readonly without: readonly FaultClass[];
  readonly plant?: string;
  readonly plants?: true;
  readonly trace?: true;
  readonly json?: true;
}

const SEEDS_DEFAULT = 100;
const SALES_DEFAULT = 100;
const EXIT_VIOLATION = 1;
/** 128 and SIGINT, as shells say it. */
const EXIT_INTERRUPTED = 130;

const EXAMPLES = `
Examples:
  tillway soak --seeds 10000              ten thousand days, fresh each time; the seeds are printed
  tillway soak --seed 42 --trace          one day again, with the end of its trace
  tillway soak --plants                   every planted bug, and the seed that caught it

Fault classes for --without: ${FAULT_CLASSES.join(", ")}`;

export function registerSoak(program: Command): void {
  program
    .command("soak")
    .description("simulate days of shops with faults from seeds, and check that no money is lost or doubled")
    .option("--seeds <number>", "how many seeds", count, SEEDS_DEFAULT)
    .option("--first <number>", "the first seed; they go up by one (default: drawn from the clock)", count)
    .option("--seed <text>", "this one seed")
    .option("--sales <number>", "sales of each seed", count, SALES_DEFAULT)
    .option("--workers <number>", "processes", count, availableParallelism())
    .option("--without <classes>", "fault classes that must not come, separated by commas", classes, [])
    .option("--plant <name>", "with this bug planted: run until it is caught")
    .option("--plants", "every planted bug in turn")
    .option("--trace", "the end of the trace of a seed")
    .option("--json", "one JSON object per figure")
    .addHelpText("after", EXAMPLES)
    .action(run);
}

async function run(flags: SoakFlags): Promise<void> {
  if (flags.plant !== undefined || flags.plants) {
    const { huntPlants } = await import("./hunt.ts");
    process.exitCode = await huntPlants({ ...flags, onProgress });
    return;
  }
  const { soak, soakFigures } = await import("./soak.ts");
  const first = flags.first ?? Date.now() % 1_000_000_000;
  const seeds =
    flags.seed === undefined ? Array.from({ length: flags.seeds }, (_, at) => String(first + at)) : [flags.seed];
  onProgress(
    seeds.length === 1 ? `seed ${seeds[0]}` : `seeds ${seeds[0]} to ${seeds.at(-1)}, ${flags.workers} processes`,
  );
  const ending = new AbortController();
  const end = (): void => {
    onProgress("ending after the seeds that are under way");
    ending.abort();
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, end);
  const result = await soak({
    ...flags,
    signal: ending.signal,
    seeds,
    workers: Math.min(flags.workers, seeds.length),
    twiceEvery: 20,
    onProgress,
  });
  printFigures(soakFigures(result), { json: flags.json ?? false });
  const unhit = classHits(result.counts).filter(({ name, hits }) => hits === 0 && !flags.without.includes(name));
  if (unhit.length > 0) onProgress(`NEVER HIT, so nothing is proven of: ${unhit.map(({ name }) => name).join(", ")}`);
  if (result.seeds < seeds.length) {
    onProgress(`ended early: ${result.seeds} of ${seeds.length} seeds`);
    process.exitCode = EXIT_INTERRUPTED;
  }
  const speed = result.simulatedMs / result.wallMs;
  onProgress(
    `${result.accepted} sales accepted, ${result.refused} of them refused later with a reason, ${result.lostWithDisk} gone with a disk that was replaced by an old copy; ${speed.toFixed(0)} times real time`,
  );
  if (flags.trace) for (const line of result.tail) console.error(line);
  for (const { seed, violations, command } of result.failures) {
    console.error(`seed ${seed} fails: ${command}`);
    for (const violation of violations.slice(0, 10)) console.error(`  ${violation}`);
  }
  if (result.failures.length > 0) process.exitCode = EXIT_VIOLATION;
}

const onProgress = (text: string): void => console.error(text);

const COUNT_MAX = 1_000_000_000;
function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > COUNT_MAX) {
    throw new InvalidArgumentError(`a whole number from 1 to ${COUNT_MAX}`);
  }
  return value;
}

function classes(text: string): readonly FaultClass[] {
  return text.split(",").map((name) => {
    const known = FAULT_CLASSES.find((each) => each === name.trim());
    if (known === undefined)
      throw new InvalidArgumentError(`"${name}" is no fault class; one of ${FAULT_CLASSES.join(", ")}`);
    return known;
  });
}
