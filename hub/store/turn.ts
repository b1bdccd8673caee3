/** One at a time, in the order asked for: the right to use a connection. */
import { Fault } from "../../base/fault.ts";

/** At the limit a caller is refused and asks again later. */
const WAITING_MAX = 10_000;

export type Turn = <T>(work: () => Promise<T>) => Promise<T>;

/** Throws Fault `queue.full`. */
export function createTurn(): Turn {
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    if (waiting >= WAITING_MAX)
      return Promise.reject(new Fault("queue.full", `${WAITING_MAX} wait for the hub's database; send again later`));
    waiting += 1;
    const run = async () => {
      waiting -= 1;
      return await work();
    };
    const mine = last.then(run, run);
    last = mine;
    return mine;
  };
}
