/**
 * One database transaction for everything that arrived in one turn of the event loop. Nobody is answered before the
 * commit; people who wait go before queues that drain.
 */
import { Fault, reasonOf } from "../base/fault.ts";
import { isStoreFailure } from "./store/failure.ts";
import type { HubStore, Within } from "./store/store.ts";

/** `person`: somebody stands at the counter. `queue`: store-and-forward. */
export type Lane = "person" | "queue";

export interface Work<Result> {
  readonly lane: Lane;
  /** How much work it is, in journal entries; 1 when not said. */
  readonly weight?: number;
  /** In the queue: nothing of it, nor what came after it, is applied before this resolves; it never rejects. */
  readonly ready?: Promise<unknown>;
  /** Within the transaction; a throw undoes this work alone. */
  apply(within: Within): Promise<Result>;
  /** Asked just before the commit: true takes the work back (RM2). */
  tooLate?(): boolean;
  /** The answer of a work that was too late; nothing of it is stored. */
  whenTooLate?(): Result;
}

export interface GroupCommit {
  submit<Result>(work: Work<Result>): Promise<Result>;
  readonly waiting: number;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
}

interface Item {
  readonly work: Work<unknown>;
  ready: boolean;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}
type Outcome = { readonly value: unknown } | { readonly error: unknown };
type Outcomes = ReadonlyMap<Item, Outcome>;
/** Throws TooLate, undoing all, when the time of some is over before the commit; the rest is then done again. */
type Apply = (store: HubStore, items: readonly Item[]) => Promise<Outcomes>;

/** At the limit a sender is refused and sends again later. */
const WAITING_MAX = 10_000;
/** Journal entries in one commit: up to 100 ms of work on a slow machine, so that a person never waits long behind a queue. */
const QUEUE_WEIGHT_PER_COMMIT = 400;

export interface GroupCommitOptions {
  onCommit(works: number): void;
  /**
   * For works that are applied one after the other without a savepoint: what they change may stay in memory until the end of
   * `work`. Where it throws, the transaction is undone.
   */
  together?<T>(within: Within, work: () => Promise<T>): Promise<T>;
}

class TooLate extends Error {
  readonly items: ReadonlySet<Item>;
  constructor(items: ReadonlySet<Item>) {
    super("too late");
    this.items = items;
  }
}

export function createGroupCommit(store: HubStore, { onCommit, together }: GroupCommitOptions): GroupCommit {
  const lanes: Record<Lane, Item[]> = { person: [], queue: [] };
  let scheduled = false;
  let running = 0;
  const idlers: (() => void)[] = [];
  const waiting = () => lanes.person.length + lanes.queue.length + running;

  /** While one commit is under way, what comes gathers for the next. */
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => void flush());
  }

  async function flush(): Promise<void> {
    await commit(lanes.person.splice(0), applyPeople);
    // Those who came meanwhile go first as well, once, so that the queue moves on under any number of them.
    await commit(lanes.person.splice(0), applyPeople);
    await commit(lanes.queue.splice(0, fitting(lanes.queue)), applyApart);
    scheduled = false;
    if (lanes.person.length > 0 || lanes.queue[0]?.ready) schedule();
    if (waiting() === 0) for (const wake of idlers.splice(0)) wake();
  }

  async function commit(items: readonly Item[], apply: Apply): Promise<void> {
    running = items.length;
    for (let left = items; left.length > 0; ) left = await attempt(left, apply);
    running = 0;
  }

  /** People's works seldom break: each has a savepoint of its own only once one of them did. */
  async function applyPeople(of: HubStore, items: readonly Item[]): Promise<Outcomes> {
    if (!together) return await applyApart(of, items);
    try {
      return await applyTogether(of, items, together);
    } catch (error) {
      if (error instanceof TooLate || isStoreFailure(error)) throw error;
      return await applyApart(of, items);
    }
  }

  /** Never rejects, as each work hears of its own end. Returns those that are to be done again without the late ones. */
  async function attempt(items: readonly Item[], apply: Apply): Promise<readonly Item[]> {
    try {
      const outcomes = await apply(store, items);
      onCommit(items.length);
      for (const [item, outcome] of outcomes) settle(item, outcome);
      return [];
    } catch (error) {
      if (!(error instanceof TooLate)) {
        for (const item of items) item.reject(commitFault(error));
        return [];
      }
      for (const item of error.items) item.resolve(item.work.whenTooLate?.());
      return items.filter((item) => !error.items.has(item));
    }
  }

  return {
    get waiting() {
      return waiting();
    },
    submit<Result>(work: Work<Result>): Promise<Result> {
      if (waiting() >= WAITING_MAX)
        return Promise.reject(new Fault("queue.full", `the hub has ${WAITING_MAX} messages waiting; send again later`));
      return new Promise<Result>((resolve, reject) => {
        const item: Item = { work, ready: !work.ready, resolve: (result) => resolve(result as Result), reject };
        lanes[work.lane].push(item);
        if (item.ready) schedule();
        void work.ready?.then(() => {
          item.ready = true;
          schedule();
        });
      });
    },
    idle: () => (waiting() === 0 ? Promise.resolve() : new Promise((resolve) => idlers.push(resolve))),
  };
}

/** How many of the first items one commit takes: as many as are ready, and at least one of these. */
function fitting(items: readonly Item[]): number {
  let weight = 0;
  const end = items.findIndex(({ work, ready }, index) => {
    weight += work.weight ?? 1;
    return !ready || (weight > QUEUE_WEIGHT_PER_COMMIT && index > 0);
  });
  return end === -1 ? items.length : end;
}

/** One that throws is undone alone. */
function applyApart(store: HubStore, items: readonly Item[]): Promise<Outcomes> {
  return store.transaction(async (within) => {
    const outcomes = new Map<Item, Outcome>();
    for (const item of items) {
      try {
        outcomes.set(item, { value: await within.savepoint(() => item.work.apply(within)) });
      } catch (error) {
        if (isStoreFailure(error)) throw error;
        outcomes.set(item, { error });
      }
    }
    refuseLate(items);
    return outcomes;
  });
}

/** Throws what one of them throws, undoing all. */
function applyTogether(
  store: HubStore,
  items: readonly Item[],
  together: NonNullable<GroupCommitOptions["together"]>,
): Promise<Outcomes> {
  return store.transaction(async (within) => {
    const outcomes = new Map<Item, Outcome>();
    await together(within, async () => {
      for (const item of items) outcomes.set(item, { value: await item.work.apply(within) });
    });
    refuseLate(items);
    return outcomes;
  });
}

function refuseLate(items: readonly Item[]): void {
  const late = items.filter((item) => item.work.tooLate?.() === true);
  if (late.length > 0) throw new TooLate(new Set(late));
}

function settle(item: Item, outcome: Outcome): void {
  if ("error" in outcome) item.reject(outcome.error);
  else item.resolve(outcome.value);
}

const commitFault = (error: unknown): Fault =>
  error instanceof Fault
    ? error
    : new Fault("store.failed", `the hub cannot store: ${reasonOf(error)}`, { cause: error });
