/**
 * The race that charged others' customers twice: a new offline sale starts while the queue drains. A run is one terminal's
 * eight orders over one outage and two more while the queue drains; runs of several terminals at one hub go side by side.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ChanceStream } from "../../sim/world/chance.ts";
import { Counts, chanceOf, type LaneOptions, type LaneResult, pickWeighted, said, stopwatch } from "./lane.ts";
import { closed, Shop } from "./shop.ts";
import { FLOOR_LIMIT_MINOR, type Till } from "./till.ts";

export interface RaceOptions extends LaneOptions {
  readonly runs: number;
  readonly tills: number;
}

const ORDERS_OFFLINE = 8;
const AMOUNT_MINOR = { least: 100, most: 4_900 } as const;

/** How the hub goes away. */
const AWAY = { "link-cut": 8, "hub-killed": 6, "link-frozen": 2, "hub-stopped": 2 } as const;
type Away = keyof typeof AWAY;
/** What happens once more while the queue drains. */
const MEANWHILE = { nothing: 6, "receipts-lost": 6, "link-late": 3, "agent-killed": 3, "hub-killed": 3 } as const;
type Meanwhile = keyof typeof MEANWHILE;

/** A link comes back, an agent notices and drains within this: the instants of what happens meanwhile lie in it. */
const DRAIN_MS = 1_500;
/** TLS, MQTT and the first words of the hub are so long; somewhere after them come its receipts. */
const HUB_BYTES = { least: 2_000, most: 9_000 } as const;
const DEAF_MS = { least: 200, most: 1_200 } as const;
/** A closed MQTT connection is noticed at once. */
const NOTICE_MS = 200;
const LATE_MS = { least: 50, most: 400 } as const;

export async function race(options: RaceOptions): Promise<LaneResult> {
  const { runs, tills, folder, onProgress } = options;
  await using shop = await Shop.start({ folder, tills: Math.min(tills, runs), onStep: onProgress });
  return await closed(shop, await raceAt(shop, options));
}

export async function raceAt(shop: Shop, { runs, seed, onProgress }: Omit<RaceOptions, "tills">): Promise<LaneResult> {
  const counts = new Counts();
  const failures: string[] = [];
  let passed = 0;
  const began = performance.now();
  for (let round = 1; passed + failures.length < runs; round += 1) {
    const tills = shop.tills.slice(0, runs - passed - failures.length);
    const wrong = await runRound({ shop, tills, round, counts, seed });
    for (const till of tills) {
      const problems = wrong.get(till) ?? [];
      if (problems.length === 0) passed += 1;
      else failures.push(`round ${round}, ${till.name}, seed ${seed}: ${problems.join("; ")}`);
    }
    const perRun = (performance.now() - began) / 1_000 / (passed + failures.length);
    onProgress(`run ${passed + failures.length} of ${runs}, ${failures.length} failed, ${perRun.toFixed(1)} s a run`);
    // What went wrong once stays in the books, and would be told of every later run.
    if (failures.length > 0) break;
  }
  return { passed, failures, notRun: [], counts: counts.all };
}

interface Round {
  readonly shop: Shop;
  readonly tills: readonly Till[];
  readonly round: number;
  readonly counts: Counts;
  readonly seed: string;
}

async function runRound(given: Round): Promise<ReadonlyMap<Till, readonly string[]>> {
  const { shop, tills, round, counts, seed } = given;
  const chance = chanceOf(seed, `round-${round}`);
  const away = pickWeighted(chance, AWAY);
  const meanwhile = pickWeighted(chance, MEANWHILE);
  counts.add(`away:${away}`, tills.length);
  counts.add(`meanwhile:${meanwhile}`, tills.length);
  const spent = stopwatch(counts);
  try {
    await goAway(shop, tills, away);
    spent("going-away");
    await Promise.all(tills.map((till) => sellOffline(till, round, chanceOf(seed, `round-${round}/${till.name}`))));
    spent("selling-offline");
    const back = comeBack(shop, tills, away).then(() => trouble(given, meanwhile, chance));
    const draining = tills.map((till) => sellDraining(given, till, chanceOf(seed, `drain-${round}/${till.name}`)));
    await Promise.all([back, ...draining]);
    spent("draining");
    await shop.settle();
    spent("settling");
    const wrong = await shop.judge.look(tills);
    spent("judging");
    return wrong;
  } catch (error) {
    return new Map(tills.map((till) => [till, [`${away}, then ${meanwhile}: ${said(error)}`]]));
  }
}

async function goAway(shop: Shop, tills: readonly Till[], away: Away): Promise<void> {
  if (away === "hub-stopped") process.kill(shop.hubPid, "SIGSTOP");
  if (away === "link-frozen") for (const { link } of tills) link?.set("frozen");
  if (away === "hub-killed") await shop.killHub();
  if (away === "link-cut") for (const { link } of tills) link?.set("cut");
  // Over HTTPS an agent finds out by its next message: the first sale then asks in vain, as it does of a silent hub.
  if (away === "link-cut" || away === "hub-killed") await delay(NOTICE_MS);
}

async function sellOffline(till: Till, round: number, chance: ChanceStream): Promise<void> {
  for (let order = 1; order <= ORDERS_OFFLINE; order += 1) {
    await till.order(`${till.name}-r${round}-o${order}`, chance.between(AMOUNT_MINOR.least, AMOUNT_MINOR.most));
  }
}

async function comeBack(shop: Shop, tills: readonly Till[], away: Away): Promise<void> {
  if (away === "hub-stopped") process.kill(shop.hubPid, "SIGCONT");
  if (away === "hub-killed") await shop.hub.startHub();
  if (away === "link-frozen" || away === "link-cut") for (const { link } of tills) link?.set("up");
}

/** Two more orders at random instants while the queue drains: one that needs no hub, one that asks it. */
async function sellDraining({ round, counts }: Round, till: Till, chance: ChanceStream): Promise<void> {
  const key = `${till.name}-r${round}-n`;
  await delay(chance.below(DRAIN_MS));
  const first = till.order(`${key}1`, chance.between(AMOUNT_MINOR.least, FLOOR_LIMIT_MINOR - 1));
  const second = till.order(`${key}2`, chance.between(FLOOR_LIMIT_MINOR, AMOUNT_MINOR.most));
  const { status, body } = await till.counter
    .call<{ queue: { depth: number } }>("GET", "/v1/status")
    .catch(() => ({ status: 0, body: { queue: { depth: 0 } } }));
  if (status === 200 && body.queue.depth > 0) counts.add("new-sale-began-while-entries-waited");
  for (const order of await Promise.all([first, second])) {
    counts.add(`new-sale:${order.attempts.at(-1)?.told.mode ?? "nowhere"}`);
  }
}

async function trouble({ shop, tills, counts }: Round, meanwhile: Meanwhile, chance: ChanceStream): Promise<void> {
  const at = chance.below(DRAIN_MS);
  const bytes = () => chance.between(HUB_BYTES.least, HUB_BYTES.most);
  switch (meanwhile) {
    case "nothing":
      return;
    case "receipts-lost":
      for (const { link } of tills) link?.deafAfter(bytes());
      await Promise.all(
        tills.map((till) => untilDeafThenCut(till, chance.between(DEAF_MS.least, DEAF_MS.most), counts)),
      );
      return;
    case "link-late":
      for (const { link } of tills) link?.late(chance.between(LATE_MS.least, LATE_MS.most));
      return;
    case "agent-killed":
      await delay(at);
      await Promise.all(
        tills.map(async (till) => {
          await till.counter.program("agent").stop("SIGKILL");
          await till.restart();
        }),
      );
      return;
    case "hub-killed":
      await delay(at);
      await shop.killHub();
      await shop.hub.startHub();
      return;
  }
}

/** The agent's batches arrive and the hub posts them; its answers are lost, and then the link. */
async function untilDeafThenCut({ link }: Till, deafMs: number, counts: Counts): Promise<void> {
  if (!link) return;
  const lostBefore = link.lostBytes;
  for (let waited = 0; link.state !== "deaf" && waited < 4_000; waited += 20) await delay(20);
  await delay(deafMs);
  if (link.lostBytes > lostBefore) counts.add("answers-lost");
  link.set("cut");
  link.set("up");
}
