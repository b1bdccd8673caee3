/** What waits for the hub, in numbers kept beside the queue: how many, how much against the lease, and by whom (RM8). */

export interface Held {
  readonly count: number;
  readonly minor: bigint;
}

const NONE: Held = { count: 0, minor: 0n };

/** An open entry as it counts: `held` minor units against the lease, or null; `payer` of those that hold. */
export interface Counted {
  readonly held: number | null;
  readonly payer: string | undefined;
}

export class QueueCounts {
  depth = 0;
  held = NONE;
  readonly #payers = new Map<string, Held>();

  add({ held, payer }: Counted, entries: 1 | -1): void {
    this.depth += entries;
    if (held === null) return;
    this.held = moved(this.held, held, entries);
    if (payer === undefined) return;
    const now = moved(this.ofPayer(payer), held, entries);
    if (now.count === 0) this.#payers.delete(payer);
    else this.#payers.set(payer, now);
  }

  ofPayer(payer: string): Held {
    return this.#payers.get(payer) ?? NONE;
  }
}

const moved = (from: Held, held: number, entries: 1 | -1): Held => ({
  count: from.count + entries,
  minor: from.minor + BigInt(entries * held),
});
