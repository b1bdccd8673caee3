/** What every bench prints: a table for people, or one JSON object per line. A bench measures and never judges. */

export interface Figure {
  /** Such as `journal.single`; names stay, so that figures can be followed over time. */
  readonly figure: string;
  /** The median of the runs. */
  readonly value: number;
  readonly unit: string;
  /** Measured in the same process run, alternating with ours. */
  readonly reference?: { readonly name: string; readonly value: number };
  /** The median of the pairwise ratios value / reference. */
  readonly ratio?: number;
  readonly runs: number;
}

/** One run: ours, and the reference beside it. */
export interface Pair {
  readonly ours: number;
  readonly reference: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** The value below which `share` (0 to 1) of the values lie: the nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] ?? Number.NaN;
}

export function measured(name: { readonly figure: string; readonly unit: string }, values: readonly number[]): Figure {
  return { figure: name.figure, value: rounded(median(values)), unit: name.unit, runs: values.length };
}

export function compared(
  name: { readonly figure: string; readonly unit: string; readonly reference: string },
  pairs: readonly Pair[],
): Figure {
  return {
    figure: name.figure,
    value: rounded(median(pairs.map((pair) => pair.ours))),
    unit: name.unit,
    reference: { name: name.reference, value: rounded(median(pairs.map((pair) => pair.reference))) },
    ratio: rounded(median(pairs.map((pair) => pair.ours / pair.reference))),
    runs: pairs.length,
  };
}

/** How often per second `step` runs, over about `durationMs`. What is no promise is not awaited. */
export async function rate(durationMs: number, step: () => Promise<unknown> | unknown): Promise<number> {
  const start = performance.now();
  let count = 0;
  let elapsedMs = 0;
  while (elapsedMs < durationMs) {
    const running = step();
    if (running instanceof Promise) await running;
    count += 1;
    elapsedMs = performance.now() - start;
  }
  return (count / elapsedMs) * 1_000;
}

export function printFigures(figures: readonly Figure[], options: { readonly json: boolean }): void {
  const lines = options.json ? figures.map((figure) => JSON.stringify(figure)) : tableOf(figures);
  process.stdout.write(`${lines.join("\n")}\n`);
}

function tableOf(figures: readonly Figure[]): readonly string[] {
  const rows = figures.map(({ figure, value, unit, reference, ratio, runs }) => [
    figure,
    String(value),
    unit,
    reference ? `${reference.value} ${reference.name}` : "",
    ratio === undefined ? "" : String(ratio),
    String(runs),
  ]);
  const all = [["figure", "value", "unit", "reference", "ratio", "runs"], ...rows];
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** Three digits after the point below 10, one below 1,000, none above: more would be noise. */
function rounded(value: number): number {
  const places = Math.abs(value) < 10 ? 3 : Math.abs(value) < 1_000 ? 1 : 0;
  return Number(value.toFixed(places));
}
