/** One process of a soak: runs the seeds it is given, one after another, and reports each to its parent. */
import { SimulatedDisk } from "../../sim/world/disk.ts";
import { runSeed } from "../../test/simulation/run-seed.ts";
import { buildVfs } from "../lib/build-vfs.ts";
import { type Order, OrderSchema } from "./orders.ts";

const disk = SimulatedDisk.load(buildVfs());

process.on("message", (message: unknown) => void work(OrderSchema.parse(message)));
process.on("disconnect", () => process.exit(0));
// Ctrl-C reaches the whole group: the parent ends the soak in good order, after the seeds that are under way.
process.on("SIGINT", () => undefined);

async function work({ seed, sales, without, twice }: Order): Promise<void> {
  const options = { seed, sales, disk, without: new Set(without) };
  const beganMs = performance.now();
  const report = await runSeed(options);
  const wallMs = performance.now() - beganMs;
  const violations = [...report.violations];
  if (twice) {
    const again = await runSeed(options);
    if (again.traceHash !== report.traceHash) violations.push("a second run of the same seed went another way");
  }
  process.send?.({ ...report, violations, wallMs });
}
