/** Runs one seed: a shop's day with its faults, then healing, then every oracle. The same seed gives the same trace. */
import { reasonOf } from "../../base/fault.ts";
import type { CountsTable } from "../../sim/world/counts.ts";
import type { SimulatedDisk } from "../../sim/world/disk.ts";
import { Cashier } from "./cashier.ts";
import type { FaultClass } from "./fault-classes.ts";
import { LaneWatch } from "./lane-watch.ts";
import { judge } from "./oracles.ts";
import { makePlan } from "./plan.ts";
import { Shop } from "./shop.ts";
import { Trouble } from "./trouble.ts";

export interface SeedOptions {
  readonly seed: string;
  readonly disk: SimulatedDisk;
  /** Of all terminals together. */
  readonly sales: number;
  readonly without?: ReadonlySet<FaultClass>;
  /** All classes that are not left out, in place of some. */
  readonly every?: boolean;
  /** In place of what the seed would draw. */
  readonly shape?: { readonly terminals: number; readonly openMs: number };
  /** Looks at the shop at the end, while its disks are still there. */
  readonly onEnd?: (shop: Shop) => void;
}

export interface SeedReport {
  readonly seed: string;
  readonly violations: readonly string[];
  readonly sales: number;
  readonly accepted: number;
  readonly refused: number;
  readonly lostWithDisk: number;
  readonly terminals: number;
  /** Milliseconds that passed in the world. */
  readonly simulatedMs: number;
  readonly events: number;
  readonly traceHash: string;
  /** How often each class of fault was hit. */
  readonly counts: CountsTable;
  /** The newest lines of the trace. */
  readonly tail: readonly string[];
}

const HOUR_MS = 3_600_000;
/** With fewer sales than this, all may meet an outage. */
const SALES_THAT_TELL = 40;
/** One sale in so many is accepted even on the worst of days. */
const SOLD_SHARE_MIN = 20;
/** After healing every terminal has heard the hub within this: it connects again, and renews its lease each minute. */
const HEARD_WITHIN_MS = 180_000;
/** After healing, everything must have come to rest within this. */
const REST_WITHIN_MS = 12 * HOUR_MS;

export async function runSeed(options: SeedOptions): Promise<SeedReport> {
  const { seed, disk, without = new Set() } = options;
  using shop = new Shop({
    seed,
    disk,
    makePlan: ({ chance }) =>
      makePlan({ ...options, without, chance: chance.stream("plan"), holds: chance.stream("holds") }),
  });
  const { world } = shop;
  const cashier = new Cashier(shop);
  const violations: string[] = [];
  let judged = { accepted: 0, refused: 0, lostWithDisk: 0 };
  // In a real process this ends the program without a word to anybody: no part of the product may rely on that.
  const unhandled = (error: unknown) => {
    // What a program throws whose machine has just died in that very call, nobody is there to see.
    if (!world.nodes.some(({ hasFired }) => hasFired)) violations.push(`nobody handled: ${wherefrom(error)}`);
  };
  process.on("unhandledRejection", unhandled);
  try {
    await shop.open();
    const trouble = new Trouble(shop);
    trouble.begin();
    cashier.begin(shop.plan.sales);
    const lanes = new LaneWatch(shop);
    lanes.begin();
    await world.run(world.now + shop.plan.openMs);
    trouble.heal();
    // Who waits for nothing hears by its next lease at the latest that the hub was restored and lacks what it had.
    await world.run(world.now + HEARD_WITHIN_MS);
    await world.run(() => cashier.idle && atRest(shop), world.now + REST_WITHIN_MS);
    const { violations: found, ...sums } = judge(shop, cashier.records);
    judged = sums;
    violations.push(
      ...found,
      ...cashier.leases.violations,
      ...lanes.violations,
      ...nothingSold(shop, cashier, judged.accepted),
    );
  } catch (error) {
    violations.push(`${wherefrom(error)}${unrest(shop, cashier)}`);
  } finally {
    process.off("unhandledRejection", unhandled);
  }
  options.onEnd?.(shop);
  return {
    seed,
    violations,
    sales: cashier.records.size,
    ...judged,
    terminals: shop.terminals.length,
    simulatedMs: world.now,
    events: world.trace.events,
    traceHash: world.hash(),
    counts: world.counts,
    tail: world.trace.tail(400),
  };
}

/** Shops in which nothing can be sold are safe, and prove nothing. */
function nothingSold({ plan }: Shop, { records }: Cashier, accepted: number): string[] {
  // A disk may be full, or the only terminal revoked, for as long as a short day lasts.
  const blocked = plan.classes.has("disk-full") || plan.classes.has("revoked");
  const few = blocked || plan.sales.length < SALES_THAT_TELL || accepted * SOLD_SHARE_MIN >= records.size;
  return few ? [] : [`of ${records.size} sales and refunds only ${accepted} were accepted`];
}

/** The reason, and the nearest lines of our own code. */
function wherefrom(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const lines = stack.split("\n").filter((line) => line.includes(".ts:"));
  return [reasonOf(error), ...lines.slice(0, 4).map((line) => line.trim().replace(/\(?file:.*\/(?=\w+\/)/, ""))].join(
    " ",
  );
}

/** Everyone runs, nothing waits for the hub, and every ticket is printed. */
function atRest(shop: Shop): boolean {
  return (
    shop.hub !== undefined &&
    shop.hub.waiting === 0 &&
    shop.terminals.every(({ core }) => {
      if (!core) return false;
      const { journal, desk } = core;
      return desk.running === 0 && journal.backlog().depth === 0 && journal.unprinted().length === 0;
    })
  );
}

/** What keeps the world from coming to rest, for the report. */
function unrest(shop: Shop, cashier: Cashier): string {
  const parts = shop.terminals.map(({ id, core, node }) => {
    if (!core) return `${id} is ${node.state} ${node.failure === undefined ? "" : reasonOf(node.failure)}`;
    const { journal, desk, forwarder } = core;
    return `${id}: running ${desk.running}, waiting ${journal.backlog().depth}, unprinted ${journal.unprinted().length}, ${forwarder.stats.lastError ?? ""}`;
  });
  return ` (tills ${cashier.idle ? "idle" : "waiting"}; hub ${shop.hub ? "up" : "gone"}; ${parts.join("; ")})`;
}
