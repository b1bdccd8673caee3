/** How long an offline sale takes from POST to answer, and whose time it is: the card's, the journal's disk's, or ours. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Counter } from "../lib/counter.ts";
import { type Figure, percentile } from "./figures.ts";

export interface SaleBenchOptions {
  /** How many sales are timed; a card has to be put in and taken out for each, which takes most of a second. */
  readonly sales: number;
  readonly onProgress?: (text: string) => void;
}

export const SALES_DEFAULT = 100;
/**
 * A daemon runs for months: its first sales after a start, which compile the code, are not what a till waits for. Code that
 * runs once a sale is compiled after some eighty of them.
 */
const WARM_UP_SALES = 100;
const LEASE = { perSaleMinor: 5_000, sumMinor: 900_000_000, countMax: 100_000 };

interface Timed {
  readonly ours: number;
  readonly card: number;
  readonly journal: number;
}

export async function benchSale({ sales, onProgress = () => {} }: SaleBenchOptions): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "sale-"));
  await using counter = new Counter({ folder, lease: LEASE, onStep: (step) => onProgress(`starting ${step}`) });
  await counter.start();
  await counter.program("hub").stop("SIGKILL");
  await counter.offline();
  const timed: Timed[] = [];
  for (let index = 0; index < WARM_UP_SALES + sales; index += 1) {
    const one = await timeSale(counter, `B-${index}`);
    if (index >= WARM_UP_SALES) timed.push(one);
    if (index % 20 === 0) onProgress(`sale ${index} of ${WARM_UP_SALES + sales}`);
  }
  rmSync(folder, { recursive: true, force: true });
  const figure = (name: string, part: keyof Timed, share: number): Figure => ({
    figure: name,
    value: Number(
      percentile(
        timed.map((one) => one[part]),
        share,
      ).toFixed(2),
    ),
    unit: "ms",
    runs: timed.length,
  });
  return [
    figure("sale.ours.p50", "ours", 0.5),
    figure("sale.ours.p99", "ours", 0.99),
    figure("sale.card.p50", "card", 0.5),
    figure("sale.journal.p50", "journal", 0.5),
  ];
}

async function timeSale(counter: Counter, id: string): Promise<Timed> {
  // The card is in before the till asks, so that nothing but the sale happens while it is timed.
  await counter.card({ do: "insert" });
  // What the measuring process left behind is no till's affair.
  void globalThis.gc?.({ type: "minor", execution: "sync" });
  const { payment, elapsedMs, timings } = await counter.timedSale(id, 100);
  if (payment.status !== "approved") throw new Error(`${id} is ${payment.status}: ${payment.detail ?? ""}`);
  await counter.card({ do: "pull" });
  await counter.ticketOf(id, "printed");
  const { cardMs, journalMs } = timings;
  return { card: cardMs, journal: journalMs, ours: elapsedMs - cardMs - journalMs };
}
