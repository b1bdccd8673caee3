/** Adds up vitest's JSON reports and the failed steps, and prints what CI reads: "N passed, N failed, N skipped". */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The part of vitest's JSON report that counts. */
export interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

export interface Counts {
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: number;
}

/** A file that does not load has no tests to fail: it counts as one. So does a bad exit that no test explains. */
export function countReport(project: string, report: Report | undefined, exitCode: number): Counts {
  const files = report?.testResults ?? [];
  const tests = files.flatMap((file) => file.assertionResults.map((test) => ({ ...test, file: file.name })));
  const failed = tests.filter(({ status }) => status === "failed").map((test) => `${test.file}: ${test.fullName}`);
  for (const file of files) {
    const explained = file.assertionResults.some(({ status }) => status === "failed");
    if (file.status === "failed" && !explained) failed.push(`${file.name}: the file did not load, or a hook failed`);
  }
  if (exitCode !== 0 && failed.length === 0) failed.push(`${project}: vitest ended with exit code ${exitCode}`);
  const passed = tests.filter(({ status }) => status === "passed").length;
  const known = tests.filter(({ status }) => status === "passed" || status === "failed").length;
  return { passed, failed, skipped: tests.length - known };
}

function readReports(folder: string): readonly Counts[] {
  const projects = readdirSync(folder).filter((name) => name.endsWith(".exit"));
  return projects.map((name) => {
    const project = name.slice(0, -".exit".length);
    const file = join(folder, `${project}.json`);
    const report = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Report) : undefined;
    return countReport(project, report, Number(readFileSync(join(folder, name), "utf8")));
  });
}

function main(folder: string, failedSteps: readonly string[]): void {
  const counts = readReports(folder);
  const passed = counts.reduce((sum, count) => sum + count.passed, 0);
  const skipped = counts.reduce((sum, count) => sum + count.skipped, 0);
  const failed = [...failedSteps, ...counts.flatMap((count) => count.failed)];
  for (const name of failed) console.log(`failed: ${name}`);
  if (passed + failed.length === 0) console.log("no test ran");
  console.log(`${passed} passed, ${failed.length} failed, ${skipped} skipped`);
  process.exitCode = passed > 0 && failed.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  const [folder, ...failedSteps] = process.argv.slice(2);
  if (folder === undefined)
    throw new Error("usage: node scripts/lib/test-summary.ts <folder of reports> [failed step…]");
  main(folder, failedSteps);
}
