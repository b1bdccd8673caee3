/** The entry of `scripts/soak-processes`: runs lanes, tells how far they are, and ends with one line of counts. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { endPrograms } from "../lib/processes.ts";
import { CASES, diskErrors } from "./disk-errors.ts";
import { diskFull } from "./disk-full.ts";
import { kills } from "./kills.ts";
import { type LaneOptions, type LaneResult, notRun, said } from "./lane.ts";
import { again, namespaceOf, whyNot } from "./namespaces.ts";
import { partition } from "./partition.ts";
import { race } from "./race.ts";

const PROGRESS_EVERY_MS = 2_000;
const EXIT_USAGE = 2;
const EXIT_SIGNAL = 130;
const RESULT = "result.json";

interface Flags {
  readonly runs: number;
  readonly kills: number;
  readonly cases: number;
  readonly tills: number;
}

type Lane = (options: LaneOptions & Flags) => Promise<LaneResult>;
/** These mount and cut in namespaces of their own, so this program begins again in them. */
const INSIDE: Readonly<Record<string, Lane>> = {
  "disk-full": diskFull,
  partition,
};
const LANES: Readonly<Record<string, Lane>> = {
  race,
  kills,
  "disk-errors": diskErrors,
  "disk-full": inside("disk-full", namespaceOf("--mount")),
  partition: inside("partition", namespaceOf("--mount", "--net")),
};

/** The lane in other namespaces: its result comes back in a file. */
function inside(name: string, through: readonly string[]): Lane {
  return async ({ folder, seed, cases, onProgress }) => {
    onProgress("");
    const why = whyNot([...through, "true"]);
    if (why !== undefined) return notRun(`this machine allows no namespaces: ${why}`);
    const args = [
      ...process.execArgv,
      import.meta.filename,
      "--inside",
      name,
      "--folder",
      folder,
      "--seed",
      seed,
      "--cases",
      String(cases),
    ];
    const code = await again(through, args);
    const file = join(folder, RESULT);
    if (!existsSync(file)) throw new Error(`the lane inside its namespaces ended with ${code} and no result`);
    return JSON.parse(readFileSync(file, "utf8")) as LaneResult;
  };
}

async function runInside({ name, folder, ...options }: Inside): Promise<number> {
  const lane = INSIDE[name] ?? usage(`no lane is called "${name}"`);
  const progress = tellProgress(name);
  const result = await lane({ ...options, folder, onProgress: progress.say });
  progress.stop();
  writeFileSync(join(folder, RESULT), JSON.stringify(result));
  return 0;
}

type Inside = Flags & { readonly name: string; readonly folder: string; readonly seed: string };

function usage(problem: string): never {
  console.error(`scripts/soak-processes: ${problem}; see scripts/soak-processes --help`);
  process.exit(EXIT_USAGE);
}

function number(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1_000_000) usage(`--${name} ${text}: a whole number from 1 on`);
  return value;
}

interface Asked {
  readonly lanes: readonly string[];
  readonly seed: string;
  readonly keep: boolean;
  readonly flags: Flags;
  /** Set where this program began itself again. */
  readonly inside?: { readonly name: string; readonly folder: string };
}

function parse(): Asked {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        runs: { type: "string", default: "20" },
        kills: { type: "string", default: "20" },
        cases: { type: "string", default: String(CASES.length) },
        tills: { type: "string", default: "4" },
        seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
        keep: { type: "boolean", default: false },
        inside: { type: "string" },
        folder: { type: "string", default: "" },
      },
    });
    const lanes = positionals.length === 0 || positionals.includes("all") ? Object.keys(LANES) : positionals;
    const unknown = lanes.find((lane) => !Object.hasOwn(LANES, lane));
    if (unknown !== undefined) usage(`no lane is called "${unknown}"`);
    const { runs, cases, tills, seed, keep } = values;
    const flags = {
      runs: number(runs, "runs"),
      kills: number(values.kills, "kills"),
      cases: number(cases, "cases"),
      tills: number(tills, "tills"),
    };
    const { inside: name, folder } = values;
    return { lanes, seed, keep, flags, ...(name === undefined ? {} : { inside: { name, folder } }) };
  } catch (error) {
    return usage(said(error));
  }
}

/** One line every two seconds, and a last one. */
function tellProgress(name: string): { say(text: string): void; stop(): void } {
  const began = performance.now();
  let doing = "starting";
  // A lane in other namespaces tells by itself.
  const tell = (): void => {
    const seconds = ((performance.now() - began) / 1_000).toFixed(0);
    if (doing !== "") console.error(`${seconds.padStart(5)} s  ${name}: ${doing}`);
  };
  const timer = setInterval(tell, PROGRESS_EVERY_MS);
  return {
    say(text) {
      doing = text;
    },
    stop() {
      clearInterval(timer);
      tell();
    },
  };
}

async function runLane(name: string, options: Flags & { seed: string; keep: boolean }): Promise<LaneResult> {
  const folder = mkdtempSync(join(tmpdir(), "tw-"));
  const progress = tellProgress(name);
  const lane = LANES[name] ?? usage(`no lane is called "${name}"`);
  console.error(`${name}: seed ${options.seed}, files in ${folder}`);
  let result: LaneResult;
  try {
    result = await lane({ ...options, folder, onProgress: progress.say });
  } catch (error) {
    result = {
      passed: 0,
      failures: [`the lane stopped, seed ${options.seed}: ${said(error)}`],
      notRun: [],
      counts: {},
    };
  }
  progress.stop();
  report(name, result, folder);
  if (result.failures.length === 0 && !options.keep) rmSync(folder, { recursive: true, force: true });
  return result;
}

function report(name: string, { passed, failures, notRun, counts }: LaneResult, folder: string): void {
  const hit = Object.entries(counts).map(([what, count]) => `  ${what.padEnd(44)} ${count}`);
  console.log([`${name}: ${passed} passed, ${failures.length} failed`, ...hit].join("\n"));
  for (const failure of failures) console.log(`${name} FAILED: ${failure}\n  its files: ${folder}`);
  for (const why of notRun) console.log(`${name} not run: ${why}`);
}

async function main(): Promise<number> {
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      endPrograms();
      process.exit(EXIT_SIGNAL);
    });
  const { lanes, seed, keep, flags, inside: within } = parse();
  if (within) return await runInside({ ...within, ...flags, seed });
  const sums = { passed: 0, failed: 0, skipped: 0 };
  for (const name of lanes) {
    const { passed, failures, notRun } = await runLane(name, { ...flags, seed, keep });
    sums.passed += passed;
    sums.failed += failures.length;
    sums.skipped += notRun.length;
  }
  console.log(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`);
  return sums.failed === 0 && sums.passed > 0 ? 0 : 1;
}

process.exit(await main());
