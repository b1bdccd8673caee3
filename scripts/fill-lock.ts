/**
 * Fills package-lock.json with the optional packages of other platforms that a registry mirror did not have when the
 * lock was written. Without those entries `npm ci` stops with "Missing: … from lock file". Run it after each npm install:
 * `node scripts/fill-lock.ts`; `--check` only tells, with exit code 1 when something is missing.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { type Lock, missingFromLock, platformEntry } from "./lib/lock-file.ts";

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8")) as Lock;
const missing = missingFromLock(lock);

if (process.argv.includes("--check")) {
  for (const { name, version, wantedBy } of missing) console.log(`missing: ${name}@${version}, wanted by ${wantedBy}`);
  process.exitCode = missing.length === 0 ? 0 : 1;
} else {
  for (const wanted of missing) lock.packages[wanted.path] = platformEntry(wanted, lock.packages[wanted.wantedBy]);
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en")));
  if (missing.length > 0) writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`);
  console.log(`fill-lock: ${missing.length} entries added`);
}
