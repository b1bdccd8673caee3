/** `tillway bench NAME`: measures, prints, and never judges. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { guarded } from "../../base/daemon.ts";
import type { StoreKind } from "../../hub/store/store.ts";
import { TRANSACTIONS_DEFAULT } from "./emv.ts";
import { type Figure, printFigures } from "./figures.ts";
import { FOOTPRINT_RUNS } from "./footprint.ts";
import { SALES_DEFAULT } from "./sale.ts";

const DRAIN_SALES = 50_000;
const DRAIN_RUNS = 3;
const REOPEN_ENTRIES = 1_000_000;
const SIMULATE_SALES = 500;
const LEDGER_RUNS = 5;
const HUB_SECONDS = 5;
const HUB_RUNS = 3;
const OUTAGE_SECONDS = 30;
const SALES_A_SECOND = 20;

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
    .action(async (flags: BenchFlags) => {
      const { benchJournal } = await import("./journal.ts");
      await print(flags, () => benchJournal({ onProgress }));
    });
  bench
    .command("sale")
    .description("one offline sale from POST to answer: card, journal and ours (about two minutes)")
    .option("--sales <number>", "how many sales", count, SALES_DEFAULT)
    .action(async (flags: BenchFlags & { readonly sales: number }) => {
      const { benchSale } = await import("./sale.ts");
      await print(flags, () => benchSale({ sales: flags.sales, onProgress }));
    });
  bench
    .command("footprint")
    .description("time to ready and memory of the agent, beside a bare Node process (about a minute)")
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
    .option("--transactions <number>", "how many transactions", count, TRANSACTIONS_DEFAULT)
    .action(async (flags: BenchFlags & { readonly transactions: number }) => {
      const { benchEmv } = await import("./emv.ts");
      await print(flags, () => benchEmv({ transactions: flags.transactions, onProgress }));
    });
  hubBenches(bench);
  for (const command of bench.commands) command.option("--json", "one JSON object per figure");
}

/** What hub and whole do. */
function hubBenches(bench: Command): void {
  bench
    .command("drain")
    .description(
      "a backlog of offline sales from the journal to the hub's ledger, and opening a long journal (ten minutes)",
    )
    .option("--sales <number>", "how many sales", count, DRAIN_SALES)
    .option("--runs <number>", "how many times", count, DRAIN_RUNS)
    .option("--entries <number>", "entries of the journal that is opened", entries, REOPEN_ENTRIES)
    .action(async (flags: BenchFlags & { readonly sales: number; readonly runs: number; readonly entries: number }) => {
      const { benchDrain } = await import("./drain/drain.ts");
      await print(flags, () => benchDrain({ ...flags, onProgress }));
    });
  bench
    .command("ledger")
    .description("transfers a second through the ledger, beside a bare loop on the same database (half a minute)")
    .addOption(storeOption())
    .option("--runs <number>", "how many times", count, LEDGER_RUNS)
    .action(async (flags: BenchFlags & { readonly store: StoreKind; readonly runs: number }) => {
      const { benchLedger } = await import("./ledger.ts");
      await print(flags, () => benchLedger({ ...flags, onProgress }));
    });
  bench
    .command("hub")
    .description(
      "online authorisations a second, from a terminal over MQTT and mutual TLS to the ledger and back (a minute)",
    )
    .addOption(storeOption())
    .option("--seconds <number>", "how long each number in flight is measured", count, HUB_SECONDS)
    .option("--runs <number>", "how many times", count, HUB_RUNS)
    .action(
      guarded(
        async (flags: BenchFlags & { readonly store: StoreKind; readonly seconds: number; readonly runs: number }) => {
          const { benchHub } = await import("./hub.ts");
          await print(flags, () => benchHub({ ...flags, onProgress }));
        },
      ),
    );
  bench
    .command("standin")
    .description(
      "an issuer who falls silent under load: the first sale in his name, what was lost, and both books afterwards",
    )
    .option("--outage <seconds>", "how long he is silent", count, OUTAGE_SECONDS)
    .option("--rate <number>", "sales a second", count, SALES_A_SECOND)
    .action(
      guarded(async (flags: BenchFlags & { readonly outage: number; readonly rate: number }) => {
        const { benchStandIn } = await import("./standin.ts");
        await print(flags, () => benchStandIn({ ...flags, onProgress }));
      }),
    );
  bench
    .command("simulate")
    .description("simulated time over real time for one terminal, and faults injected per second (a minute)")
    .option("--sales <number>", "sales of the simulated day", count, SIMULATE_SALES)
    .action(async (flags: BenchFlags & { readonly sales: number }) => {
      const { benchSimulate } = await import("./simulate.ts");
      await print(flags, () => benchSimulate({ sales: flags.sales, onProgress }));
    });
  bench
    .command("iso8583")
    .description("ISO 8583 messages packed and unpacked, beside a package that does it (ten seconds)")
    .action(
      guarded(async (flags: BenchFlags) => {
        const { benchIso8583 } = await import("./iso8583.ts");
        await print(flags, () => benchIso8583({ onProgress }));
      }),
    );
}

async function print(flags: BenchFlags, measure: () => Promise<Figure[]>): Promise<void> {
  printFigures(await measure(), { json: flags.json ?? false });
}

const storeOption = (): Option =>
  new Option("--store <store>", "where the hub keeps them").choices(["sqlite", "postgres"]).default("sqlite");

/** Progress goes to standard error: standard output holds figures only. */
const onProgress = (text: string): void => console.error(text);

const upTo =
  (most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw new InvalidArgumentError(`a whole number from 1 to ${most}`);
    }
    return value;
  };
const count = upTo(100_000);
const entries = upTo(10_000_000);
