/** The entry of `scripts/soak-processes`: runs lanes, tells how far they are, and ends with one line of counts. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { kills } from "./kills.ts";
import { type LaneOptions, type LaneResult, said } from "./lane.ts";
import { race } from "./race.ts";

const PROGRESS_EVERY_MS = 2_000;
const EXIT_USAGE = 2;

interface Flags {
  readonly runs: number;
  readonly kills: number;
  readonly tills: number;
}

type Lane = (options: LaneOptions & Flags) => Promise<LaneResult>;
const LANES: Readonly<Record<string, Lane>> = {
  race,
  kills,
};

function usage(problem: string): never {
  console.error(`scripts/soak-processes: ${problem}; see scripts/soak-processes --help`);
  process.exit(EXIT_USAGE);
}

function number(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1_000_000) usage(`--${name} ${text}: a whole number from 1 on`);
  return value;
}

function parse(): { lanes: readonly string[]; seed: string; keep: boolean; flags: Flags } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        runs: { type: "string", default: "20" },
        kills: { type: "string", default: "20" },
        tills: { type: "string", default: "4" },
        seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
        keep: { type: "boolean", default: false },
      },
    });
    const lanes = positionals.length === 0 || positionals.includes("all") ? Object.keys(LANES) : positionals;
    const unknown = lanes.find((lane) => !Object.hasOwn(LANES, lane));
    if (unknown !== undefined) usage(`no lane is called "${unknown}"`);
    const { runs, tills, seed, keep } = values;
    const flags = { runs: number(runs, "runs"), kills: number(values.kills, "kills"), tills: number(tills, "tills") };
    return { lanes, seed, keep, flags };
  } catch (error) {
    return usage(said(error));
  }
}

async function runLane(name: string, options: Flags & { seed: string; keep: boolean }): Promise<LaneResult> {
  const folder = mkdtempSync(join(tmpdir(), "tw-"));
  const began = performance.now();
  let doing = "starting";
  const onProgress = (text: string): void => {
    doing = text;
  };
  const tell = () =>
    console.error(`${((performance.now() - began) / 1_000).toFixed(0).padStart(5)} s  ${name}: ${doing}`);
  const timer = setInterval(tell, PROGRESS_EVERY_MS);
  const lane = LANES[name] ?? usage(`no lane is called "${name}"`);
  console.error(`${name}: seed ${options.seed}, files in ${folder}`);
  let result: LaneResult;
  try {
    result = await lane({ ...options, folder, onProgress });
  } catch (error) {
    result = {
      passed: 0,
      failures: [`the lane stopped, seed ${options.seed}: ${said(error)}`],
      notRun: [],
      counts: {},
    };
  } finally {
    clearInterval(timer);
  }
  tell();
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
  const { lanes, seed, keep, flags } = parse();
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
