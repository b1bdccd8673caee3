/** One hub and several tills of real processes that sell at it, kept between runs. */
import { join } from "node:path";
import type { Counter } from "../lib/counter.ts";
import { Judge } from "./judge.ts";
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
    const others: Till[] = [];
    for (let index = 2; index <= tills; index += 1) {
      const till = stack.use(open(index, first.counter));
      await till.start();
      others.push(till);
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

/** The folder's last words of every program, for a failure. */
export const logsOf = (folder: string): string => join(folder, "t*/*.log");
