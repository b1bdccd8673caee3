/** How soon the agent is ready, and how much memory it takes, beside a bare Node process in the same run. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Counter } from "../lib/counter.ts";
import { compared, type Figure, median, type Pair } from "./figures.ts";

export interface FootprintOptions {
  readonly runs: number;
  readonly onProgress?: (text: string) => void;
}

export const FOOTPRINT_RUNS = 5;
/** Start-up garbage is gone and the link to the hub is idle. */
const IDLE_MS = 3_000;
const KIB_PER_MB = 1_000_000 / 1_024;

interface Run {
  readonly ready: Pair;
  readonly pss: Pair;
  readonly hosts: ReadonlyMap<string, number>;
}

/** `footprint.ready` runs from the spawn to journal, local API and uplink being up; the bundle is built before. */
export async function benchFootprint({ runs, onProgress = () => {} }: FootprintOptions): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "foot-"));
  await using counter = new Counter({ folder, onStep: (step) => onProgress(`starting ${step}`) });
  await counter.start();
  const measured: Run[] = [];
  for (let run = 1; run <= runs; run += 1) {
    onProgress(`run ${run} of ${runs}`);
    measured.push(await measureOnce(counter));
  }
  rmSync(folder, { recursive: true, force: true });
  const hosts = [...new Set(measured.flatMap((run) => [...run.hosts.keys()]))];
  return [
    compared(
      { figure: "footprint.ready", unit: "ms", reference: "bare-node" },
      measured.map((run) => run.ready),
    ),
    compared(
      { figure: "footprint.pss", unit: "MB", reference: "bare-node" },
      measured.map((run) => run.pss),
    ),
    ...hosts.map((name) => ({
      figure: `footprint.host.${name}.pss`,
      value: Number(median(measured.flatMap((run) => run.hosts.get(name) ?? [])).toFixed(1)),
      unit: "MB",
      runs,
    })),
  ];
}

async function measureOnce(counter: Counter): Promise<Run> {
  const bare = await startBareNode();
  await counter.program("agent").stop();
  const spawned = performance.now();
  await counter.startAgent();
  await counter.linked();
  const readyMs = performance.now() - spawned;
  await delay(IDLE_MS);
  const { pid } = counter.program("agent");
  const hosts = new Map(childrenOf(pid).map((child) => [hostName(child), pssOf(child)]));
  const run: Run = {
    ready: { ours: readyMs, reference: bare.readyMs },
    pss: { ours: pssOf(pid), reference: pssOf(bare.pid) },
    hosts,
  };
  bare.stop();
  return run;
}

async function startBareNode(): Promise<{ readyMs: number; pid: number; stop: () => void }> {
  const spawned = performance.now();
  const child = spawn(process.execPath, ["-e", "console.log('ready'); setInterval(() => {}, 1e6)"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return { readyMs: performance.now() - spawned, pid: child.pid ?? 0, stop: () => child.kill() };
}

/** Proportional set size in MB: shared pages are split among those who share them. */
function pssOf(pid: number): number {
  const found = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
  return Number(found?.[1] ?? Number.NaN) / KIB_PER_MB;
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(/\s+/).filter(Boolean).map(Number),
  );
}

/** Device hosts are told their device's URI scheme on the command line, else they are all one. */
function hostName(pid: number): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return words.some((word) => word.includes("device-host")) ? "pcsc" : "other";
}
