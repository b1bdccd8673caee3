/** SIGKILL at uniformly random instants, agents and hub in turn, while every till sells without a pause and queues drain. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ChanceStream } from "../../sim/world/chance.ts";
import { killWhileStarting } from "./early-kill.ts";
import { Counts, chanceOf, type LaneOptions, type LaneResult, said } from "./lane.ts";
import { closed, Shop } from "./shop.ts";
import type { Till } from "./till.ts";

export interface KillsOptions extends LaneOptions {
  readonly kills: number;
  readonly tills: number;
}

/** Each kill comes at a random instant of this after the one before. */
const WITHIN_MS = 2_000;
/** Of the starts after a kill, this share is killed as well: further kills, which are not among those asked for. */
const KILLED_WHILE_STARTING = 0.25;
/** From having the data folder to being ready. */
const START_MS = 250;
/** After so many kills everything comes to rest and is accounted for. */
const ACCOUNT_EVERY = 20;
const AMOUNT_MINOR = { least: 100, most: 4_900 } as const;
/** Links go and come back, so that there always is a queue that drains. */
const LINK_DOWN_MS = 1_500;
const LINK_UP_MS = 2_500;

export async function kills(options: KillsOptions): Promise<LaneResult> {
  const { folder, tills, onProgress } = options;
  await using shop = await Shop.start({ folder, tills, onStep: onProgress });
  return await closed(shop, await killsAt(shop, options));
}

export async function killsAt(shop: Shop, options: Omit<KillsOptions, "tills">): Promise<LaneResult> {
  const { onProgress, seed } = options;
  const counts = new Counts();
  const failures: string[] = [];
  let passed = 0;
  const began = performance.now();
  for (let stretch = 1; passed < options.kills && failures.length === 0; stretch += 1) {
    const count = Math.min(ACCOUNT_EVERY, options.kills - passed);
    const problems = await runStretch({ shop, stretch, first: passed, count, seed, counts });
    if (problems.length === 0) passed += count;
    else failures.push(`kills ${passed + 1} to ${passed + count}, seed ${seed}: ${problems.join("; ")}`);
    const each = (performance.now() - began) / 1_000 / Math.max(1, passed);
    onProgress(`kill ${passed} of ${options.kills}, ${failures.length} failures, ${each.toFixed(1)} s a kill`);
  }
  return { passed, failures, notRun: [], counts: counts.all };
}

interface Stretch {
  readonly shop: Shop;
  readonly stretch: number;
  readonly first: number;
  readonly count: number;
  readonly seed: string;
  readonly counts: Counts;
}

async function runStretch(given: Stretch): Promise<readonly string[]> {
  const { shop } = given;
  const over = new AbortController();
  const busy = shop.tills.flatMap((till) => [sellUntil(given, till, over.signal), flapUntil(given, till, over.signal)]);
  // Awaited below; until then a failure must not end the process.
  for (const each of busy) each.catch(() => undefined);
  try {
    await killInTurn(given);
    over.abort();
    await Promise.all(busy);
    await shop.settle();
    return [...(await shop.judge.look(shop.tills)).values()].flat();
  } catch (error) {
    over.abort();
    await Promise.allSettled(busy);
    return [said(error)];
  }
}

async function killInTurn({ shop, first, count, seed, counts }: Stretch): Promise<void> {
  for (let kill = first + 1; kill <= first + count; kill += 1) {
    const chance = chanceOf(seed, `kill-${kill}`);
    await delay(chance.fraction() * WITHIN_MS);
    if (kill % 2 === 0) {
      counts.add("hub-killed");
      await shop.killHub();
      const start = () => shop.hub.startHub();
      await startAgain({ counts, chance, what: "hub", dataDir: join(shop.hub.folder, "hub"), start });
      continue;
    }
    const till = chance.pick(shop.tills);
    counts.add("agent-killed");
    counts.add(`agent-killed:${await whatItDid(till)}`);
    await till.counter.program("agent").stop("SIGKILL");
    const start = () => till.restart();
    await startAgain({ counts, chance, what: "agent", dataDir: till.counter.agentFolder, start });
  }
}

interface Start {
  readonly counts: Counts;
  readonly chance: ChanceStream;
  readonly what: "agent" | "hub";
  readonly dataDir: string;
  readonly start: () => Promise<void>;
}

/** Now and then it is killed once more on its way up. */
async function startAgain({ counts, chance, what, dataDir, start }: Start): Promise<void> {
  const afterMs = chance.below(START_MS);
  if (!chance.happens(KILLED_WHILE_STARTING)) await start();
  else if (await killWhileStarting({ dataDir, start, afterMs })) counts.add(`${what}-killed-while-starting`);
}

/** For the report alone: the kill follows some milliseconds later. */
async function whatItDid({ counter }: Till): Promise<string> {
  try {
    const { body } = await counter.call<{ queue: { depth: number }; running: number }>("GET", "/v1/status");
    return `${body.running > 0 ? "selling" : "idle"}-${body.queue.depth > 0 ? "queue-waiting" : "queue-empty"}`;
  } catch {
    return "not-asked";
  }
}

async function sellUntil({ stretch, seed }: Stretch, till: Till, over: AbortSignal): Promise<void> {
  const chance = chanceOf(seed, `sales-${stretch}/${till.name}`);
  for (let order = 1; !over.aborted; order += 1) {
    await till.order(`${till.name}-k${stretch}-o${order}`, chance.between(AMOUNT_MINOR.least, AMOUNT_MINOR.most));
  }
}

async function flapUntil({ stretch, seed, counts }: Stretch, { name, link }: Till, over: AbortSignal): Promise<void> {
  const chance = chanceOf(seed, `link-${stretch}/${name}`);
  while (link && !over.aborted) {
    await delay(chance.below(LINK_UP_MS));
    counts.add("link-cut");
    link.set("cut");
    await delay(chance.below(LINK_DOWN_MS));
    link.set("up");
  }
}
