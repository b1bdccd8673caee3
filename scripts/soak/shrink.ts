/** Makes a failing seed smaller: fewer sales, then fewer kinds of faults, as long as it still fails. */
import { FAULT_CLASSES, type FaultClass } from "../../test/simulation/fault-classes.ts";
import type { Order, WorkerReport } from "./orders.ts";

/** Runs that shrinking may take. */
export const SHRINK_RUNS_MAX = 40;

export interface Shrunk {
  readonly order: Order;
  readonly report: WorkerReport;
  readonly runs: number;
}

/** The smallest order found that still fails, and its report. */
export async function shrink(
  failing: { readonly order: Order; readonly report: WorkerReport },
  run: (order: Order) => Promise<WorkerReport>,
): Promise<Shrunk> {
  let best = failing;
  let runs = 0;
  const attempt = async (order: Order): Promise<boolean> => {
    if (runs >= SHRINK_RUNS_MAX) return false;
    runs += 1;
    const report = await run(order);
    if (report.violations.length === 0) return false;
    best = { order, report };
    return true;
  };
  for (const name of FAULT_CLASSES) {
    if (!best.order.without.includes(name)) await attempt({ ...best.order, without: [...best.order.without, name] });
  }
  // The plan of fewer sales is another plan, but from the same seed; halving finds a small one that fails, if there is one.
  for (let sales = Math.floor(best.order.sales / 2); sales >= 1; sales = Math.floor(sales / 2)) {
    if (!(await attempt({ ...best.order, sales }))) break;
  }
  return { ...best, runs };
}

/** What a person types to see it again. */
export function replayCommand({ seed, sales, without }: Order): string {
  const left: readonly FaultClass[] = without;
  return `tillway soak --seed ${seed} --sales ${sales}${left.length === 0 ? "" : ` --without ${left.join(",")}`}`;
}
