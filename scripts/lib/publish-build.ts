/** Puts a build in the place of the last one without taking a file from under a program that runs. */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";

const REPLACED_KEPT_MS = 24 * 60 * 60 * 1000;
/** Written first of a build and put in place last of it. */
export const STAMP = ".stamp";
const EARLIER_MS = 1_000;

export interface Publishing {
  /** Holds the new build, and is emptied. */
  readonly staging: string;
  readonly dist: string;
  /** Names of the programs, which load all the rest. */
  readonly entries: readonly string[];
  readonly nowMs: number;
}

/** New files are renamed into place one by one, the programs last. What was replaced stays for a day from then on. */
export function publishBuild({ staging, dist, entries, nowMs }: Publishing): void {
  mkdirSync(dist, { recursive: true });
  const lastMs = statSync(join(dist, STAMP), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const thisMs = statSync(join(staging, STAMP)).mtimeMs;
  const built = readdirSync(staging);
  const rank = (name: string): number => (name === STAMP ? 2 : entries.includes(name) ? 1 : 0);
  for (const name of built.sort((a, b) => rank(a) - rank(b))) renameSync(join(staging, name), join(dist, name));
  for (const { name } of readdirSync(dist, { withFileTypes: true }).filter((entry) => entry.isFile())) {
    if (built.includes(name)) continue;
    const file = join(dist, name);
    const { mtimeMs } = statSync(file);
    // No older than the last stamp, it was part of the last build. The next build must not take it for a part of this one.
    if (mtimeMs >= lastMs) utimesSync(file, (thisMs - EARLIER_MS) / 1_000, (thisMs - EARLIER_MS) / 1_000);
    else if (nowMs - mtimeMs > REPLACED_KEPT_MS) rmSync(file, { force: true });
  }
}
