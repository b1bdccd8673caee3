/** SIGKILL at uniformly random instants, agents and hub in turn, while every till sells without a pause and queues drain. */
import { setTimeout as delay } from "node:timers/promises";
import { Counts, chanceOf, type LaneOptions, type LaneResult, said } from "./lane.ts";
import { closed, Shop } from "./shop.ts";
import type { Till } from "./till.ts";

export interface KillsOptions extends LaneOptions {
  readonly kills: number;
  readonly tills: number;
}

/** Each kill comes at a random instant of this after the one before. */
const WITHIN_MS = 2_000;
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
      await shop.hub.startHub();
      continue;
    }
    const till = chance.pick(shop.tills);
    counts.add("agent-killed");
    counts.add(`agent-killed:${await whatItDid(till)}`);
    await till.counter.program("agent").stop("SIGKILL");
    await till.restart();
  }
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
