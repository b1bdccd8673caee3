/** `tillway bench NAME`: measures, prints, and never judges. */
import { type Command, InvalidArgumentError } from "commander";
import { TRANSACTIONS_DEFAULT } from "./emv.ts";
import { type Figure, printFigures } from "./figures.ts";
import { FOOTPRINT_RUNS } from "./footprint.ts";
import { SALES_DEFAULT } from "./sale.ts";

interface BenchFlags {
  readonly json?: true;
}

export function registerBench(program: Command): void {
  const bench = program
    .command("bench")
    .description("measure this machine: a table, or --json for one object per figure");
  bench
    .command("journal")
    .description("durable entries per second through the agent's journal, beside a bare SQLite loop (about a minute)")
    .option("--json", "one JSON object per figure")
    .action(async (flags: BenchFlags) => {
      const { benchJournal } = await import("./journal.ts");
      await print(flags, () => benchJournal({ onProgress }));
    });
  bench
    .command("sale")
    .description("one offline sale from POST to answer: card, journal and ours (about two minutes)")
    .option("--json", "one JSON object per figure")
    .option("--sales <number>", "how many sales", count, SALES_DEFAULT)
    .action(async (flags: BenchFlags & { readonly sales: number }) => {
      const { benchSale } = await import("./sale.ts");
      await print(flags, () => benchSale({ sales: flags.sales, onProgress }));
    });
  bench
    .command("footprint")
    .description("time to ready and memory of the agent, beside a bare Node process (about a minute)")
    .option("--json", "one JSON object per figure")
    .option("--runs <number>", "how many starts", count, FOOTPRINT_RUNS)
    .action(async (flags: BenchFlags & { readonly runs: number }) => {
      const { benchFootprint } = await import("./footprint.ts");
      await print(flags, () => benchFootprint({ runs: flags.runs, onProgress }));
    });
  bench
    .command("emv")
    .description(
      "the EMV kernel's own time in a sale with the longest keys, and TLV beside two packages (half a minute)",
    )
    .option("--json", "one JSON object per figure")
    .option("--transactions <number>", "how many transactions", count, TRANSACTIONS_DEFAULT)
    .action(async (flags: BenchFlags & { readonly transactions: number }) => {
      const { benchEmv } = await import("./emv.ts");
      await print(flags, () => benchEmv({ transactions: flags.transactions, onProgress }));
    });
}

async function print(flags: BenchFlags, measure: () => Promise<Figure[]>): Promise<void> {
  printFigures(await measure(), { json: flags.json ?? false });
}

/** Progress goes to standard error: standard output holds figures only. */
const onProgress = (text: string): void => console.error(text);

const COUNT_MAX = 100_000;
function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > COUNT_MAX) {
    throw new InvalidArgumentError(`a whole number from 1 to ${COUNT_MAX}`);
  }
  return value;
}
