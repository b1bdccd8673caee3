/** One hub and several tills of real processes that sell at it, kept between runs. */
import type { Counter } from "../lib/counter.ts";
import { countInto, Judge } from "./judge.ts";
import { Counts, type LaneResult } from "./lane.ts";
import { Link } from "./link.ts";
import { CARDS, FLOOR_LIMIT_MINOR, Till, tillFolder } from "./till.ts";

const LEASE = {
  perSaleMinor: 5_000,
  sumMinor: 900_000_000,
  countMax: 100_000,
  perPayer: { countMax: 100_000, sumMinor: 900_000_000 },
} as const;

export interface ShopOptions {
  readonly folder: string;
  readonly tills: number;
  readonly onStep: (step: string) => void;
}

export class Shop implements AsyncDisposable {
  readonly tills: readonly Till[];
  readonly judge: Judge;

  private constructor(tills: readonly Till[], hub: Counter) {
    this.tills = tills;
    this.judge = new Judge(hub);
  }

  static async start({ folder, tills, onStep }: ShopOptions): Promise<Shop> {
    await using stack = new AsyncDisposableStack();
    const open = (index: number, joins?: Counter): Till => {
      const cards = CARDS[index - 1];
      if (!cards) throw new Error(`a shop has at most ${CARDS.length} tills: there are no more test cards`);
      const till = new Till({
        folder: tillFolder(folder, index),
        terminal: `till-${index}`,
        link: new Link(),
        cards,
        lease: LEASE,
        agent: { emv: { floorLimitMinor: FLOOR_LIMIT_MINOR } },
        onStep: (step) => onStep(`till-${index}: ${step}`),
        ...(joins && { joins }),
      });
      return till;
    };
    const first = open(1);
    // The hub goes last: agents say goodbye to it.
    stack.use(first);
    await first.start();
    const others = Array.from({ length: tills - 1 }, (_, index) => stack.use(open(index + 2, first.counter)));
    // All have ended their start before any is taken down.
    for (const started of await Promise.allSettled(others.map((till) => till.start()))) {
      if (started.status === "rejected") throw started.reason;
    }
    const shop = new Shop([first, ...others], first.counter);
    shop.#owned = stack.move();
    return shop;
  }

  #owned = new AsyncDisposableStack();

  get hub(): Counter {
    const [first] = this.tills;
    if (!first) throw new Error("a shop has a till");
    return first.counter;
  }

  get hubPid(): number {
    return this.hub.program("hub").pid;
  }

  async killHub(): Promise<void> {
    await this.hub.program("hub").stop("SIGKILL");
  }

  /** Links whole, queues empty, paper out. */
  async settle(): Promise<void> {
    await Promise.all(this.tills.map((till) => till.settle()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]();
  }
}

/** What a lane came to, with the last account of its shop, which ends the agents. */
export async function closed(shop: Shop, result: LaneResult): Promise<LaneResult> {
  const counts = new Counts(result.counts);
  const last = result.failures.length === 0 ? await shop.judge.close(shop.tills) : [];
  countInto(counts, shop.judge);
  return { ...result, failures: [...result.failures, ...last], counts: counts.all };
}
