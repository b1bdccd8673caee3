/** A disk that fails under the agent's journal, or under the hub's ledger: what was acknowledged stands, and nothing doubles. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../lib/processes.ts";
import { Counts, chanceOf, type LaneOptions, type LaneResult, notRun, said } from "./lane.ts";
import { closed, Shop } from "./shop.ts";
import { inject, type RunningInjection, whyNoStrace } from "./strace.ts";
import type { Till } from "./till.ts";

export interface DiskErrorsOptions extends LaneOptions {
  /** How many; each of the list below comes in its turn. */
  readonly cases: number;
}

type Target = "agent" | "hub";
interface Case {
  readonly on: Target;
  /** `N` stands for the number of the call. */
  readonly fault: string;
}

/** better-sqlite3 syncs by fsync and writes by pwrite64; faults of any other call would never fire. */
const FAULTS = [
  "fsync:error=EIO:when=N",
  "fsync:signal=SIGKILL:when=N",
  "pwrite64:error=ENOSPC:when=N",
  "pwrite64:error=EIO:when=N",
  "fsync:error=EIO:when=N+",
  "pwrite64:signal=SIGKILL:when=N",
  "fsync:error=ENOSPC:when=N",
  "pwrite64:error=ENOSPC:when=N+",
] as const;
export const CASES: readonly Case[] = FAULTS.flatMap((fault) => [
  { on: "agent", fault },
  { on: "hub", fault },
]);

/** Sales while the fault is armed, and more until it has fired: the hub commits many entries together. */
const ORDERS = { least: 4, most: 16 } as const;
const CALL_MAX = 8;
const AMOUNT_MINOR = { least: 100, most: 4_900 } as const;
const SUPERVISED_EVERY_MS = 50;
const FIRES_WITHIN_MS = 60_000;
const BAD_FOR_MS = 1_500;

export async function diskErrors(options: DiskErrorsOptions): Promise<LaneResult> {
  const missing = whyNoStrace();
  if (missing !== undefined) return notRun(missing);
  await using shop = await Shop.start({ folder: options.folder, tills: 1, onStep: options.onProgress });
  return await closed(shop, await diskErrorsAt(shop, options));
}

export async function diskErrorsAt(
  shop: Shop,
  { cases, folder, seed, onProgress }: DiskErrorsOptions,
): Promise<LaneResult> {
  const counts = new Counts();
  const failures: string[] = [];
  let passed = 0;
  for (let number = 1; number <= cases && failures.length === 0; number += 1) {
    const { on, fault } = CASES[(number - 1) % CASES.length] ?? { on: "agent", fault: FAULTS[0] };
    const what = fault.replace("when=N", `when=${chanceOf(seed, `case-${number}`).between(1, CALL_MAX)}`);
    onProgress(`case ${number} of ${cases}: ${on}, ${what}`);
    const problems = await runCase({ shop, number, on, what, seed, folder, counts });
    if (problems.length === 0) passed += 1;
    else failures.push(`case ${number}, ${on} with ${what}, seed ${seed}: ${problems.join("; ")}`);
  }
  return { passed, failures, notRun: [], counts: counts.all };
}

interface Running {
  readonly shop: Shop;
  readonly number: number;
  readonly on: Target;
  readonly what: string;
  readonly seed: string;
  readonly folder: string;
  readonly counts: Counts;
}

async function runCase(running: Running): Promise<readonly string[]> {
  const { shop, on, what, counts } = running;
  const [till] = shop.tills;
  if (!till) throw new Error("a shop has a till");
  const over = new AbortController();
  const supervised = [
    till.supervise(over.signal, (outcome) => counts.add(`agent-${outcome}-again`)),
    superviseHub(running, over.signal),
  ];
  for (const each of supervised) each.catch(() => undefined);
  try {
    const fired = await sellWithFault(running, till);
    over.abort();
    await Promise.all(supervised);
    await shop.settle();
    counts.add(`${on}:${what.replace(/when=\d+/, "when=N")}`, fired ? 1 : 0);
    const wrong = [...(await shop.judge.look(shop.tills)).values()].flat();
    // A fault that was never met proves nothing.
    return fired ? wrong : [...wrong, "the fault never fired"];
  } catch (error) {
    over.abort();
    await Promise.allSettled(supervised);
    return [said(error)];
  }
}

/** Half of the cases meet an agent that is cut off, and then the drain. */
async function sellWithFault({ shop, number, on, what, seed, folder }: Running, till: Till): Promise<boolean> {
  const chance = chanceOf(seed, `sales-${number}`);
  if (number % 4 < 2) till.link?.set("cut");
  const armed = await inject({
    pid: (on === "agent" ? till.counter : shop.hub).program(on).pid,
    files: on === "agent" ? databaseFiles(till.counter.agentFolder, "journal") : databaseFiles(hubFolder(shop), "hub"),
    inject: what,
    logFile: join(folder, `strace-${number}.log`),
  });
  const healing = what.endsWith("+") ? healSoon(armed) : undefined;
  try {
    for (let order = 1; order <= (armed.hasFired ? ORDERS.least : ORDERS.most); order += 1) {
      if (order > ORDERS.least / 2) till.link?.set("up");
      await till.order(`${till.name}-d${number}-o${order}`, chance.between(AMOUNT_MINOR.least, AMOUNT_MINOR.most));
    }
  } catch (error) {
    await armed.stop();
    throw error;
  }
  await healing;
  return await armed.stop();
}

/** A disk that stays bad is mended, while a till waits to sell. */
async function healSoon(armed: RunningInjection): Promise<void> {
  await until("the fault to fire", () => armed.hasFired || undefined, FIRES_WITHIN_MS);
  await delay(BAD_FOR_MS);
  await armed.stop();
}

const hubFolder = (shop: Shop): string => join(shop.hub.folder, "hub");

function databaseFiles(folder: string, name: string): readonly string[] {
  return [`${name}.db`, `${name}.db-wal`].map((file) => join(folder, file)).filter((file) => existsSync(file));
}

/** As `Till.supervise` does for the agent. */
async function superviseHub({ shop, counts }: Running, over: AbortSignal): Promise<void> {
  for (;;) {
    const isLast = over.aborted;
    await delay(SUPERVISED_EVERY_MS);
    if (shop.hub.program("hub").hasEnded) {
      await shop.hub.startHub();
      counts.add("hub-started-again");
    } else if (isLast) return;
  }
}
