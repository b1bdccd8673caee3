/**
 * Agent and hub in network namespaces of their own, a virtual cable between them: cut and joined, in one direction only, and
 * losing packets. No relay closes a connection here, so nobody is told that the other side is gone.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ChanceStream } from "../../sim/world/chance.ts";
import { countInto, Judge } from "./judge.ts";
import { Counts, chanceOf, type LaneOptions, type LaneResult, notRun, said } from "./lane.ts";
import { must, whyNot } from "./namespaces.ts";
import { CARDS, FLOOR_LIMIT_MINOR, Till, tillFolder } from "./till.ts";

const AGENT = { address: "10.77.0.1", device: "to-hub" } as const;
const HUB = { address: "10.77.0.2", device: "to-agent", namespace: "hub" } as const;
const IN_HUB = ["nsenter", `--net=/run/netns/${HUB.namespace}`] as const;
const LEASE = { perSaleMinor: 5_000, sumMinor: 9_000_000, countMax: 10_000 } as const;
const AMOUNT_MINOR = { least: 100, most: 4_900 } as const;
const ORDERS = 3;
const FLAPS = 8;
const FLAP_MS = 600;
const LOSS_PERCENT = 30;

export interface PartitionOptions extends LaneOptions {
  /** How many of its troubles; all when there are not so many. */
  readonly cases: number;
}

interface Cable {
  readonly name: string;
  readonly breaks: () => void;
  readonly mends: () => void;
}

const inHub = (...command: readonly string[]): void => must(...IN_HUB, ...command);

const CABLES: readonly Cable[] = [
  {
    name: "cut",
    breaks: () => inHub("ip", "link", "set", HUB.device, "down"),
    mends: () => inHub("ip", "link", "set", HUB.device, "up"),
  },
  {
    name: "answers-lost",
    breaks: () => inHub("ip", "route", "add", "blackhole", `${AGENT.address}/32`),
    mends: () => inHub("ip", "route", "del", "blackhole", `${AGENT.address}/32`),
  },
  {
    name: "requests-lost",
    breaks: () => must("ip", "route", "add", "blackhole", `${HUB.address}/32`),
    mends: () => must("ip", "route", "del", "blackhole", `${HUB.address}/32`),
  },
];

const LOSING: Cable = {
  name: "packets-lost",
  breaks: () => inHub("nft", LOSS_RULES),
  mends: () => inHub("nft", "flush", "ruleset"),
};
const LOSS_RULES = `add table inet loss; add chain inet loss in { type filter hook input priority 0; }; add rule inet loss in numgen random mod 100 < ${LOSS_PERCENT} drop`;

/** Why there is no cable between two namespaces here, if there is none. Runs in a network and mount namespace of its own. */
function layCable(): string | undefined {
  const steps: readonly (readonly string[])[] = [
    // Names of namespaces are kept under /run: nothing is left on the machine.
    ["mount", "-t", "tmpfs", "tmpfs", "/run"],
    ["ip", "link", "set", "lo", "up"],
    ["ip", "netns", "add", HUB.namespace],
    ["ip", "link", "add", AGENT.device, "type", "veth", "peer", "name", HUB.device, "netns", HUB.namespace],
    ["ip", "address", "add", `${AGENT.address}/24`, "dev", AGENT.device],
    ["ip", "link", "set", AGENT.device, "up"],
    [...IN_HUB, "ip", "link", "set", "lo", "up"],
    [...IN_HUB, "ip", "address", "add", `${HUB.address}/24`, "dev", HUB.device],
    [...IN_HUB, "ip", "link", "set", HUB.device, "up"],
  ];
  for (const step of steps) {
    const why = whyNot(step);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** Runs in a network and mount namespace of its own: see `namespaceOf`. */
export async function partition({ cases, folder, seed, onProgress }: PartitionOptions): Promise<LaneResult> {
  const why = layCable();
  if (why !== undefined) return notRun(`no network namespaces: ${why}`);
  const counts = new Counts();
  const failures: string[] = [];
  const without = whyNot(["nft", "--version"]);
  let passed = 0;
  await using till = new Till({
    folder: tillFolder(folder, 1),
    cards: CARDS[0],
    lease: LEASE,
    hub: { host: HUB.address, through: IN_HUB },
    agent: { emv: { floorLimitMinor: FLOOR_LIMIT_MINOR } },
    onStep: onProgress,
  });
  await till.start();
  const judge = new Judge(till.counter);
  for (const { cable, how } of troublesOf(without === undefined ? [...CABLES, LOSING] : CABLES).slice(0, cases)) {
    const name = `${cable.name}-${how}`;
    onProgress(name);
    const problems = await runCase({ till, judge, cable, how, chance: chanceOf(seed, name) });
    counts.add(name);
    if (problems.length === 0) passed += 1;
    else failures.push(`${name}, seed ${seed}: ${problems.join("; ")}`);
  }
  if (failures.length === 0) failures.push(...(await judge.close([till])));
  countInto(counts, judge);
  const skipped = without === undefined ? [] : [`packets lost at random: nftables is not installed (${without})`];
  return { passed, failures, notRun: skipped, counts: counts.all };
}

interface Trouble {
  readonly cable: Cable;
  readonly how: "for-long" | "flapping";
}

/** Each cable for long first, then each flapping. */
const troublesOf = (cables: readonly Cable[]): readonly Trouble[] =>
  (["for-long", "flapping"] as const).flatMap((how) => cables.map((cable) => ({ cable, how })));

interface Case extends Trouble {
  readonly till: Till;
  readonly judge: Judge;
  readonly chance: ChanceStream;
}

async function runCase({ till, judge, cable, how, chance }: Case): Promise<readonly string[]> {
  const sell = async (): Promise<void> => {
    for (let order = 1; order <= ORDERS; order += 1)
      await till.order(`${cable.name}-${how}-o${order}`, chance.between(AMOUNT_MINOR.least, AMOUNT_MINOR.most));
  };
  try {
    if (how === "for-long") {
      cable.breaks();
      await sell().finally(cable.mends);
    } else await Promise.all([sell(), flap(cable, chance)]);
    await till.order(`${cable.name}-${how}-last`, chance.between(AMOUNT_MINOR.least, AMOUNT_MINOR.most));
    await till.settle();
    return [...(await judge.look([till])).values()].flat();
  } catch (error) {
    return [said(error)];
  }
}

async function flap(cable: Cable, chance: ChanceStream): Promise<void> {
  for (let times = 0; times < FLAPS; times += 1) {
    cable.breaks();
    await delay(chance.below(FLAP_MS));
    cable.mends();
    await delay(chance.below(FLAP_MS));
  }
}
